package middleware

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// Take removes the session value of key and returns it, in one step: of several requests that take
// one value at one moment, in any process, at most one gets it. Pop of the scs manager cannot
// promise that. A value that is not there is ok false, and so is one that cannot be read: it stays, because
// another version of the app may be able to. A value that this request has put itself and
// not saved yet is taken as it is. Where the cookie of the request has been replaced, or the path is free of
// sessions, the error wraps [ErrNotSaved].
func Take(ctx context.Context, key string) (v any, ok bool, err error) {
	q, err := from(ctx)
	if err != nil {
		return nil, false, err
	}
	a := q.auth
	s := *q.view()
	name := prefixApp + key
	loaded := q.loaded()
	if q.elsewhere() { // what OnLogin takes is gone once the sign-in is saved
		s, loaded = session{}, true
	}
	if loaded {
		if v, here, own := q.unsaved(&s, key); own {
			a.sessions.Remove(ctx, key)
			return v, here, nil
		}
	}
	if err := s.unsavable(); err != nil {
		return nil, false, err
	}
	for {
		if s.entitled && !s.opens() {
			return nil, false, errReplaced // what there is may have been put since, for others
		}
		if !s.opens() {
			break
		}
		f, stored := s.record.Field(name)
		if !stored {
			break
		}
		v, err := values.Decode(f.Value)
		if err != nil {
			a.unread(ctx, kindSession, name, err)
			return nil, false, nil
		}
		c := sessionstore.Change{
			If:     []sessionstore.Match{s.lineage(), {Name: name, Version: f.Version}},
			Delete: []string{name},
		}
		err = a.store.Update(ctx, s.key(), c)
		if err == nil {
			q.taken(key, c)
			if loaded {
				a.sessions.Remove(ctx, key)
			}
			return v, true, nil
		}
		if errors.Is(err, sessionstore.ErrNotFound) {
			return nil, false, nil
		}
		if !contested(err) {
			return nil, false, broken(fmt.Errorf("middleware: session: %w", err))
		}
		again, err := a.load(ctx, s.id, s.secret)
		if err != nil {
			return nil, false, broken(err)
		}
		if again.born != s.born {
			return nil, false, nil
		}
		again.entitled = true
		s = again
	}
	return nil, false, nil
}

func (q *request) loaded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.data.loaded != nil
}

// elsewhere reports that what is shown are the values of another session than the request's.
func (q *request) elsewhere() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.data.shown != nil && q.data.shown.id != q.session.Load().id
}

// unsaved returns what the manager holds for key, and whether that is this request's own doing: it
// has put it, or removed it. A value that was only loaded is not its to give.
func (q *request) unsaved(s *session, key string) (v any, here, own bool) {
	v, here = q.auth.sessions.Get(q, key), q.auth.sessions.Exists(q, key)
	f, stored := s.record.Field(prefixApp + key)
	if !stored || !s.opens() {
		return v, here, here
	}
	old, err := values.Decode(f.Value)
	if err != nil {
		return v, here, here
	}
	return v, here, !here || !reflect.DeepEqual(v, old)
}
