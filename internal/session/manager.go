package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
	if id == "" || !s.Opens() && s.Standing != Unstored {
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

// Scs returns what the manager keeps in a context, decoding it the first time.
func (q *Request) ManagerValue() any {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.data.loaded == nil {
		s := q.View()
		if q.data.preview != nil {
			s = q.data.preview
		}
		q.data.seen = s
		var unread error
		q.data.values, q.data.frames, unread = decode(s)
		if unread != nil {
			q.notes = append(q.notes, func() { q.Sessions.Env.Log.Unread(q.Outer, Kind, prefixApp, unread) })
		}
		q.data.loaded = q.Sessions.present(s, q.data.values)
	}
	return q.data.loaded
}
