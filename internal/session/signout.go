package session

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/returnleg/returnleg/internal/env"
)

// SignOut ends the session with the next save. Its values are gone for the rest of the request at once.
func (q *Request) SignOut() {
	q.empty()
	q.mu.Lock()
	q.SignsOut = true
	q.mu.Unlock()
}

// empty removes the values of the session from the manager, but for those that this request has put. A value
// that the request puts from now on counts as its own, even if it is equal to the one that was there.
func (q *Request) empty() {
	a := q.Sessions
	if s := q.Now.Load(); q.elsewhere() || !q.loaded() && !s.Opens() {
		return
	}
	_ = q.ManagerValue()
	sn, err := q.Snap()
	if err != nil {
		return // the save returns the same error
	}
	q.mu.Lock()
	q.SignsOut, q.renew = q.SignsOut || sn.ended, q.renew || sn.renewed
	base := q.data.base
	if base == nil && !sn.ended {
		base = q.data.baseline(q.Now.Load())
	}
	q.data.base = map[string]string{}
	q.mu.Unlock()
	for key, frame := range base {
		if !sn.Modified || sn.frames[key] == frame {
			a.Manager.Remove(q.Outer, key)
		}
	}
}

// end ends the session s: it deletes the record, and clears the cookies.
func (q *Request) end(s *View) error {
	a := q.Sessions
	if s.Standing == Withheld {
		return ErrWithheld
	}
	if s.Replaced() {
		return nil // the cookie does not open the session, and the browser may have a newer one by now
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	if err := q.endFormer(ctx); err != nil {
		return err
	}
	if s.writable() {
		if err := a.Env.Store.Delete(ctx, s.Key()); err != nil {
			return fmt.Errorf("middleware: session: %w", err)
		}
		a.Index.Remove(ctx, s.Meta.User, s.ID)
		q.note(slog.LevelInfo, "signed out", "")
	}
	if s.ID != "" && q.header.Open() {
		q.header.Clear()
	}
	return nil
}

// sessionEnded notes that the session s has ended while the manager may still hold its values. The next session
// of this browser gets none of them: only values that this request itself has put are saved from now on.
// emptied reports that the manager holds none.
func (d *scsData) sessionEnded(s *View, emptied bool) {
	switch {
	case emptied || d.loaded == nil:
		d.base = map[string]string{}
	case d.base == nil:
		d.base = d.baseline(s)
	}
}
