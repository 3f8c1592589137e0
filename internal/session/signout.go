package session

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/returnleg/returnleg/internal/env"
)

// SignOut signs out with the next save, and takes what is in the session out of the manager.
func (q *Request) SignOut() {
	q.empty()
	q.mu.Lock()
	q.SignsOut = true
	q.mu.Unlock()
}

// empty takes the values of the session out of the manager, but for those that this request has put. A value that it puts
// from now on is told from them by that, although it may be the same.
func (q *Request) empty() {
	a := q.Sessions
	if s := q.Now.Load(); q.elsewhere() || !q.loaded() && !s.Opens() {
		return
	}
	_ = q.ManagerValue()
	sn, err := q.Snap()
	if err != nil {
		return // nor can it be saved, which the request hears then
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

// end signs out.
func (q *Request) end(s *View) error {
	a := q.Sessions
	if s.Standing == Withheld {
		return ErrWithheld
	}
	if s.Replaced() {
		return nil // not its session, and the browser's cookie may be a better one by now
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
	if s.ID != "" && q.Header.Open() {
		q.Header.Clear()
	}
	return nil
}

// sessionEnded notes that the session is over, whose values are still in the manager unless it has emptied them.
// Nobody who comes next is given any: what is saved from now on is what this request itself has put.
func (d *scsData) sessionEnded(s *View, emptied bool) {
	switch {
	case emptied || d.loaded == nil:
		d.base = map[string]string{}
	case d.base == nil:
		d.base = d.baseline(s)
	}
}
