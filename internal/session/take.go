package session

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// Take removes the value of key from the session and returns it, in one step: of several requests, one gets it.
func (q *Request) Take(key string) (v any, ok bool, err error) {
	ctx := q.Outer
	a := q.Sessions
	s := *q.View()
	name := prefixApp + key
	loaded := q.loaded()
	if q.elsewhere() { // in OnLogin: the value is gone once the sign-in is saved
		s, loaded = View{}, true
	}
	if loaded {
		if v, here, own := q.unsaved(&s, key); own {
			a.Manager.Remove(ctx, key)
			return v, here, nil
		}
	}
	if err := s.unsavable(); err != nil {
		return nil, false, err
	}
	for {
		if s.entitled && !s.Opens() {
			return nil, false, errReplaced // the value may have been put since, for the holder of the new cookie
		}
		if !s.Opens() {
			break
		}
		f, stored := s.Record.Field(name)
		if !stored {
			break
		}
		v, err := values.Decode(f.Value)
		if err != nil {
			a.Env.Log.Unread(ctx, Kind, name, err)
			return nil, false, nil
		}
		c := sessionstore.Change{
			If:     []sessionstore.Match{s.Lineage(), {Name: name, Version: f.Version}},
			Delete: []string{name},
		}
		err = a.Env.Store.Update(ctx, s.Key(), c)
		if err == nil {
			q.taken(key, c)
			if loaded {
				a.Manager.Remove(ctx, key)
			}
			return v, true, nil
		}
		if errors.Is(err, sessionstore.ErrNotFound) {
			return nil, false, nil
		}
		if !env.Contested(err) {
			return nil, false, fmt.Errorf("middleware: session: %w", err)
		}
		again, err := a.Load(ctx, s.ID, s.Secret)
		if err != nil {
			return nil, false, err
		}
		if again.Born != s.Born {
			return nil, false, nil
		}
		again.entitled = true
		s = again
	}
	return nil, false, nil
}

// unsaved returns the value that the manager holds for key, if there is one. own reports whether the request
// itself has put or removed it: a value that was only loaded has to be taken from the store.
func (q *Request) unsaved(s *View, key string) (v any, here, own bool) {
	v, here = q.Sessions.Manager.Get(q.Outer, key), q.Sessions.Manager.Exists(q.Outer, key)
	f, stored := s.Record.Field(prefixApp + key)
	if !stored || !s.Opens() {
		return v, here, here
	}
	old, err := values.Decode(f.Value)
	if err != nil {
		return v, here, here
	}
	return v, here, !here || !reflect.DeepEqual(v, old)
}

// taken notes that Take has removed key with the change c.
func (q *Request) taken(key string, c sessionstore.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.Now.Load()
	q.show(s, c, s.Meta)
	if q.data.base == nil {
		return
	}
	delete(q.data.base, key)
}
