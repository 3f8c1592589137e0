package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// The scs manager is the API that handlers use for their own data. Its LoadAndSave, its writes of
// the whole session and its codec are not on our path. It is driven through two things that it
// lets everybody replace:
//
//   - the data that it keeps in a context: a request's context makes it when the manager asks, by
//     letting a copy of the manager load through [handover], which passes a map instead of bytes;
//   - Store and Codec: calls that the app makes on the manager itself (Destroy, RenewToken,
//     Commit) arrive at [appStore].

// Adopt takes the manager over.
func (a *Sessions) Adopt() error {
	sm := a.Manager
	sm.Store, sm.Codec = appStore{}, noCodec{}

	// The key under which the manager keeps its data is not exported; it asks a context for it.
	spy := &keySpy{Context: context.Background()}
	c := *sm
	c.Store, c.Codec = &handover{}, &handover{}
	if _, err := c.Load(spy, "-"); err != nil {
		return fmt.Errorf("middleware: config: Sessions: %w", err)
	}
	if spy.key == nil {
		return errors.New("middleware: config: Sessions: this version of scs is not supported")
	}
	a.ManagerKey = spy.key
	return nil
}

type keySpy struct {
	context.Context
	key any
}

func (s *keySpy) Value(key any) any {
	if s.key == nil && reflect.TypeOf(key).PkgPath() == "github.com/alexedwards/scs/v2" {
		s.key = key
	}
	return nil
}

// present returns what the manager keeps in a context for a session with these values.
func (a *Sessions) present(s *View, vs map[string]any) any {
	id := s.ID
	if id == "" || !s.Opens() && s.Standing != Unborn {
		id = "-"
	}
	h := &handover{values: vs, deadline: s.Meta.Deadline}
	if !s.Opens() {
		h.deadline = a.Env.Clock().Add(a.Manager.Lifetime)
	}
	c := *a.Manager
	c.Store, c.Codec, c.IdleTimeout = h, h, 0
	ctx, err := c.Load(context.Background(), id)
	if err != nil {
		return nil // a handover returns no error
	}
	return ctx.Value(a.ManagerKey)
}

// handover is a Store and Codec through which a copy of the manager takes and gives a map.
type handover struct {
	values   map[string]any
	deadline time.Time
	encode   func(deadline time.Time, values map[string]any) error
}

func (h *handover) Find(string) ([]byte, bool, error)      { return nil, true, nil }
func (h *handover) Commit(string, []byte, time.Time) error { return nil }
func (h *handover) Delete(string) error                    { return nil }
func (h *handover) Decode([]byte) (time.Time, map[string]any, error) {
	return h.deadline, h.values, nil
}

func (h *handover) Encode(deadline time.Time, vs map[string]any) ([]byte, error) {
	return nil, h.encode(deadline, vs)
}

// deletion marks the map in a call of Destroy or RenewToken, which both begin by deleting:
// afterwards Destroy has emptied the map, RenewToken has not.
const deletion = "\x00deletion"

// Snapshot is what the manager holds for a request at one moment.
type Snapshot struct {
	frames   map[string]string
	deadline time.Time
	Modified bool
	ended    bool // by Destroy
	renewed  bool // by RenewToken
	Persist  bool // by RememberMe
}

const rememberMe = "__rememberMe" // where scs keeps it

// Snap returns what the manager holds for q. Values are encoded under its lock, which is not held
// while the store is written.
func (q *Request) Snap() (Snapshot, error) {
	q.mu.Lock()
	loaded, deleted := q.Data.loaded, q.Data.deleted
	q.Data.deleted = false
	q.mu.Unlock()
	if loaded == nil {
		return Snapshot{}, nil
	}
	a := q.Sessions
	if !deleted && a.Manager.Status(q.Outer) == scs.Unmodified {
		return Snapshot{}, nil
	}
	var sn Snapshot
	c := *a.Manager
	h := &handover{encode: func(deadline time.Time, vs map[string]any) (err error) {
		sn, err = takeSnapshot(deadline, vs, deleted)
		return err
	}}
	c.Store, c.Codec, c.IdleTimeout = h, h, 0
	if _, _, err := c.Commit(q.Outer); err != nil {
		return Snapshot{}, err
	}
	return sn, nil
}

// takeSnapshot encodes vs. The manager's lock is held.
func takeSnapshot(deadline time.Time, vs map[string]any, deleted bool) (Snapshot, error) {
	sn := Snapshot{deadline: deadline, Modified: true, frames: make(map[string]string, len(vs))}
	if deleted {
		_, marked := vs[deletion]
		sn.renewed, sn.ended = marked, !marked
		delete(vs, deletion)
	}
	var b []byte
	for k, v := range vs {
		var err error
		if b, err = values.Append(b[:0], v); err != nil {
			return Snapshot{}, fmt.Errorf("middleware: session value %q: %w", k, err)
		}
		sn.frames[k] = string(b)
	}
	remember, _ := vs[rememberMe].(bool)
	sn.Persist = remember
	return sn, nil
}

// Diff returns the fields that differ from base, and the names of those that are gone.
func (sn *Snapshot) Diff(base map[string]string) (set []sessionstore.Field, del []string) {
	if !sn.Modified {
		return nil, nil
	}
	for k, frame := range sn.frames {
		if old, ok := base[k]; !ok || old != frame {
			set = append(set, sessionstore.Field{Name: prefixApp + k, Value: frame, Version: env.Version()})
		}
	}
	for k := range base {
		if _, ok := sn.frames[k]; !ok {
			del = append(del, prefixApp+k)
		}
	}
	return set, del
}

// appStore is the Store of the app's manager. It sees only calls that the app makes itself.
type appStore struct{}

var _ scs.IterableCtxStore = appStore{}

// FindCtx refuses: scs calls it for MergeSession, and for a Load outside of Handler.
func (appStore) FindCtx(context.Context, string) ([]byte, bool, error) {
	return nil, false, ErrUnsupported
}

// DeleteCtx notes the Destroy or RenewToken that calls it; it takes effect when the answer begins.
// The manager's lock is held.
func (appStore) DeleteCtx(ctx context.Context, _ string) error {
	q, err := FromContext(ctx)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.Data.deleted = true
	vs := q.Data.values
	q.mu.Unlock()
	if vs != nil { // else the caller has kept the context of OnLogin, and its values are not shown any more
		vs[deletion] = true
	}
	return nil
}

// CommitCtx saves the request's session: the app called Commit. The manager's lock is held.
func (appStore) CommitCtx(ctx context.Context, _ string, b []byte, _ time.Time) error {
	q, err := FromContext(ctx)
	if err != nil {
		return err
	}
	var deadline time.Time
	if err := deadline.UnmarshalBinary(b); err != nil {
		return err
	}
	q.mu.Lock()
	deleted, vs := q.Data.deleted, q.Data.values
	q.Data.deleted = false
	q.mu.Unlock()
	sn, err := takeSnapshot(deadline, vs, deleted)
	if err != nil {
		return err
	}
	return q.write(sn)
}

// AllCtx refuses: the store keeps no list of sessions to walk through.
func (appStore) AllCtx(context.Context) (map[string][]byte, error) { return nil, ErrUnsupported }

// The methods without a context are those of scs.Store; scs calls the ones above in their place.
func (appStore) Find(string) ([]byte, bool, error)      { return nil, false, ErrUnsupported }
func (appStore) Commit(string, []byte, time.Time) error { return ErrUnsupported }
func (appStore) Delete(string) error                    { return ErrUnsupported }
func (appStore) All() (map[string][]byte, error)        { return nil, ErrUnsupported }

// noCodec is the Codec of the app's manager: what is saved goes through [appStore], not through bytes.
type noCodec struct{}

// Encode passes the deadline on, which nobody can ask for while the manager is locked.
func (noCodec) Encode(deadline time.Time, _ map[string]any) ([]byte, error) {
	return deadline.MarshalBinary()
}

func (noCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, nil, ErrUnsupported
}
