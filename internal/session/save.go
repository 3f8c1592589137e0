package session

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
)

// Commit saves what the request changed, before its answer begins with status. safe reports that the method
// asks for no change.
//
// A change that cannot be saved, because the cookie was replaced or the session has ended, is an error only if
// the answer would claim that it was saved: if status reports success and the request asked for a change, by
// its method, RenewToken or a sign-out. Other answers go out without it: a page that counts its visits is as
// for a visitor without a session. So does the answer of a request that has signed out.
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
	q.Sessions.Env.Log.Visitor(q.Outer, slog.LevelInfo, "session not saved", notSavedReason(err))
	q.drop(&sn)
	return nil
}

// SaveNow saves what the request has changed so far.
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

// Save writes sn and everything else that q has to save, and then logs the events of that.
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

// write is [Request.Save] for a caller that holds the manager's lock: the events wait for [Request.tell]. One
// request saves one thing at a time.
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
		if s.Standing < Superseded || s.entitled { // otherwise the request did not end it, and its cookie stays
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
	slices.Sort(q.forget) // two calls may have named a field, and a change may name it once
	set, del = append(set, q.pages...), append(del, slices.Compact(q.forget)...)

	var err error
	switch {
	case s.writable():
		err = q.update(s, &sn, set, del)
	case len(set) == 0:
		q.renew = false
		return nil // nothing to save
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
