package session

import (
	"context"
	"time"

	"github.com/alexedwards/scs/v2"
)

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
	q.data.deleted = true
	vs := q.data.values
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
	deleted, vs := q.data.deleted, q.data.values
	q.data.deleted = false
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
func (appStore) Find(string) ([]byte, bool, error) { return nil, false, ErrUnsupported }

func (appStore) Commit(string, []byte, time.Time) error { return ErrUnsupported }

func (appStore) Delete(string) error { return ErrUnsupported }

func (appStore) All() (map[string][]byte, error) { return nil, ErrUnsupported }

// noCodec is the Codec of the app's manager: what is saved goes through [appStore], not through bytes.
type noCodec struct{}

// Encode passes the deadline on, which nobody can ask for while the manager is locked.
func (noCodec) Encode(deadline time.Time, _ map[string]any) ([]byte, error) {
	return deadline.MarshalBinary()
}

func (noCodec) Decode([]byte) (time.Time, map[string]any, error) {
	return time.Time{}, nil, ErrUnsupported
}
