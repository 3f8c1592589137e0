package session

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
)

// Commit saves what the request changed, before its answer begins with that status. A change that cannot be saved,
// because the session is not the request's or has ended, refuses an answer that would say that it was. One
// to a request that asked for no change, by its method, which is safe then, RenewToken or a sign-out, is given: a page that counts its
// visits is as for a visitor. So is one that reports a failure, and that of a request which has signed out.
func (q *Request) Commit(safe bool, status int) error {
	sn, err := q.Snap()
	if err == nil {
		err = q.Save(sn)
	}
	q.mu.Lock()
	if err == nil {
		err = q.refused
	}
	asked := !safe || q.renew || q.SignsOut
	q.mu.Unlock()
	if !errors.Is(err, ErrNotSaved) || status < http.StatusBadRequest && asked && !q.signedOut {
		return err
	}
	q.Sessions.Env.Log.Visitor(q.Outer, slog.LevelInfo, "session not saved", NotSavedReason(err))
	q.drop(&sn)
	return nil
}

// SaveNow saves what the request changed so far.
func (q *Request) SaveNow() error {
	sn, err := q.Snap()
	if err == nil {
		err = q.Save(sn)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.saved = err
	if err == nil {
		err = q.refused
	}
	return err
}

// Save writes sn and whatever else is to be written, and then tells the log.
func (q *Request) Save(sn Snapshot) error {
	defer q.tell()
	return q.write(sn)
}

// drop forgets what the request could not save.
func (q *Request) drop(sn *Snapshot) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pages, q.forget, q.renew, q.refused = nil, nil, false, nil
	if sn.Modified {
		q.data.base = sn.frames
	}
}

// write is save for a caller who holds the manager's lock: what there is to tell waits for [request.tell].
// One request writes one thing at a time.
func (q *Request) write(sn Snapshot) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.SignsOut = q.SignsOut || sn.ended
	q.renew = q.renew || sn.renewed

	s := q.Now.Load()
	if q.SignsOut {
		if err := q.end(s); err != nil {
			return err
		}
		q.SignsOut, q.renew, q.signedOut = false, false, true
		q.data.sessionEnded(s, sn.ended)
		if s.Standing < Superseded || s.entitled { // else it was not the request's to end, nor is the cookie to replace
			s = &View{}
			q.Now.Store(s)
		}
	}
	if sn.Modified && q.data.preview != nil && q.data.preview.ID != s.ID {
		return fmt.Errorf("%w: what OnLogin changes is saved with the sign-in", ErrNotSaved)
	}
	if q.data.base == nil && sn.Modified {
		q.data.base = q.data.baseline(s)
	}
	set, del := sn.Diff(q.data.base)
	slices.Sort(q.forget) // by two calls of SavePage, or of ClearPage: a change names a field once
	set, del = append(set, q.pages...), append(del, slices.Compact(q.forget)...)

	var err error
	switch {
	case s.writable():
		err = q.update(s, &sn, set, del)
	case len(set) == 0:
		q.renew = false
		return nil // nothing to keep
	default:
		if err = s.unsavable(); err == nil {
			err = q.create(s, &sn, set)
		}
	}
	if err != nil {
		return err
	}
	q.pages, q.forget, q.renew = nil, nil, false
	if sn.Modified {
		q.data.base = sn.frames
	}
	return nil
}
