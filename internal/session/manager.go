package session

import (
	"context"
	"errors"
	"fmt"
	"reflect"
)

// Adopt makes the app's scs manager work on the sessions of a.
//
// Handlers use the manager's methods for their own data. Its LoadAndSave, its writes of a whole session and its
// codec are not used. Two things that every app may replace connect it:
//
//   - The data that the manager keeps in a context. [Request.ManagerValue] makes it, with a copy of the manager that
//     loads through a [handover]: that passes a map instead of bytes.
//   - Store and Codec. Calls that the app makes on the manager itself (Destroy, RenewToken, Commit) arrive at [appStore].
func (a *Sessions) Adopt() error {
	sm := a.Manager
	sm.Store, sm.Codec = appStore{}, noCodec{}

	// scs does not export the key of its data in a context. A load asks the context for it.
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

// A keySpy is a context that notes the key under which scs looks for its data.
type keySpy struct {
	context.Context
	key any
}

// Value notes a key of scs, and returns nil.
func (s *keySpy) Value(key any) any {
	if s.key == nil && reflect.TypeOf(key).PkgPath() == "github.com/alexedwards/scs/v2" {
		s.key = key
	}
	return nil
}

// present returns what the manager keeps in a context for a session with the values vs.
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

// ManagerValue returns what the manager keeps in the request's context. The first call decodes the values.
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
