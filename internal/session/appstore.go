package session

import (
	"context"
	"time"

	"github.com/alexedwards/scs/v2"
)

// appStore is the Store of the app's manager. Only calls that the app makes on the manager itself arrive here.
type appStore struct{}

var _ scs.IterableCtxStore = appStore{}

// FindCtx returns [ErrUnsupported]. scs calls it for MergeSession, and for a Load outside of Handler.
func (appStore) FindCtx(context.Context, string) ([]byte, bool, error) {
	return nil, false, ErrUnsupported
}

// DeleteCtx notes that Destroy or RenewToken was called. It takes effect when the answer begins. The caller
// holds the manager's lock.
func (appStore) DeleteCtx(ctx context.Context, _ string) error {
	q, err := fromContext(ctx)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.data.deleted = true
	vs := q.data.values
	q.mu.Unlock()
	if vs != nil { // nil if the app has kept the context of OnLogin, whose values are not shown any more
		vs[deletion] = true
	}
	return nil
}

// CommitCtx saves the request's session: the app has called Commit. The caller holds the manager's lock.
func (appStore) CommitCtx(ctx context.Context, _ string, b []byte, _ time.Time) error {
	q, err := fromContext(ctx)
	if err != nil {
		return err
	}
	var deadline time.Time
	if err := deadline.UnmarshalBinary(b); err != nil {
		return err
	}
	q.mu.Lock()
	deleted, vs := q.data.deleted, q.data.values
	q.data.deleted = false
	q.mu.Unlock()
	sn, err := takeSnapshot(deadline, vs, deleted)
	if err != nil {
		return err
	}
	return q.write(sn)
}

// AllCtx returns [ErrUnsupported]: the store has no list of sessions.
func (appStore) AllCtx(context.Context) (map[string][]byte, error) { return nil, ErrUnsupported }

// Find, Commit, Delete and All make appStore a scs.Store. scs calls the methods with a context in their place.
func (appStore) Find(string) ([]byte, bool, error) { return nil, false, ErrUnsupported }

func (appStore) Commit(string, []byte, time.Time) error { return ErrUnsupported }

func (appStore) Delete(string) error { return ErrUnsupported }

func (appStore) All() (map[string][]byte, error) { return nil, ErrUnsupported }

// noCodec is the Codec of the app's manager. Values are saved through [appStore], not through bytes.
type noCodec struct{}

// Encode returns the deadline as bytes for [appStore.CommitCtx], which cannot ask the locked manager for it.
func (noCodec) Encode(deadline time.Time, _ map[string]any) ([]byte, error) {
	return deadline.MarshalBinary()
}

func (noCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, nil, ErrUnsupported
}
