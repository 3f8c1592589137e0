package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// FieldFormer is the name of a field that the record of every session has that was taken over.
const FieldFormer = "former"

// fieldKept is the name of a field in the record of a session that two requests have taken over at once. The
// request that did not make the record has put it there, before it deleted the former session.
const fieldKept = "kept"

// TakeOverFormer gives the request the former session that its cookie names, if it has no session of the kit. A
// former session that is gone, expired or unreadable is not an error.
func (q *Request) TakeOverFormer() error {
	a := q.Sessions
	if q.FormerToken == "" || q.First.Standing != Absent && q.First.Standing != Unstored {
		return nil
	}
	// A takeover that has begun is finished, although the browser may have closed the tab.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	s, err := a.takeOver(ctx, q.FormerToken)
	if err != nil {
		return err
	}
	if s.Standing == Absent {
		return nil // the cookie is too old or made up, or this build cannot read the session
	}
	// A session whose secret was rotated since is not opened: the browser has a newer cookie of it.
	q.First, q.FromFormer = s, true
	if s.Standing != Current {
		return nil
	}
	q.TookOver = true
	q.Varied.Store(true)
	q.header.Set(s.ID, s.Secret, s.Meta.Deadline, s.Meta.Persist, false)
	q.header.ClearFormer()
	a.Env.Log.Event(q.Outer, slog.LevelInfo, "former session taken over", "")
	return nil
}

// takeOver makes the former session of token a session of the kit, and returns it. A session that could not be
// taken over is [Absent].
//
// The new session is stored first, and the former one is deleted before the answer, which is the first chance
// to sign out. So a request that still finds the former session after the new one was stored knows that nobody
// has signed out of the new one yet. A request that does not find it may have come too late, and may have
// stored again what had been ended: it deletes what it has stored, unless another request has marked it with
// fieldKept.
func (a *Sessions) takeOver(ctx context.Context, token string) (View, error) {
	old, found, err := a.Former.find(ctx, token)
	if err != nil {
		return View{}, err
	}
	if !found {
		return a.takenOver(ctx, token)
	}
	fields, deadline, persist, err := a.Former.values(old)
	if err != nil {
		a.Env.Log.Unread(ctx, "former", "", err)
		return View{}, nil
	}
	if !a.Env.Clock().Before(deadline) {
		return View{}, nil
	}
	key, c := a.takeOverChange(token, fields, deadline, persist)
	err = a.Env.Store.Update(ctx, key, c)
	made := err == nil
	if !made && !errors.Is(err, sessionstore.ErrExists) {
		return View{}, fmt.Errorf("middleware: session: %w", err)
	}
	_, found, err = a.Former.find(ctx, token)
	if err != nil {
		return View{}, err
	}
	s, err := a.takenOver(ctx, token)
	if err != nil {
		return View{}, err
	}
	if !found {
		if _, kept := s.Record.Field(fieldKept); made && !kept {
			if err := a.Env.Store.Delete(ctx, key); err != nil {
				return View{}, fmt.Errorf("middleware: session: %w", err)
			}
			return a.takenOver(ctx, token) // there may be one that a replica has made whose ring begins with another key
		}
		return s, nil
	}
	if s.Standing == Absent {
		return View{}, nil // the new session is not there: the former one stays
	}
	if !made && s.Opens() {
		c := sessionstore.Change{If: []sessionstore.Match{s.Lineage()}, Set: []sessionstore.Field{{Name: fieldKept}}}
		if err := a.Env.Store.Update(ctx, s.Key(), c); err != nil {
			return View{}, fmt.Errorf("middleware: session: %w", err)
		}
	}
	if err := a.Former.delete(ctx, token); err != nil {
		return View{}, err
	}
	return s, nil
}

// takeOverSecret returns the id and the secret of the session that takes over from token. They are derived: two
// requests that come together get the same ones without asking each other, and so does a browser that never got
// the answer. The first sign-in replaces the secret, and ends that.
func takeOverSecret(s *keys.Secrets, token string) (id, secret string) {
	i, k := s.Cookie.Derive("heir id", token), s.Cookie.Derive("heir secret", token)
	return keys.Text(i[:16]), keys.Text(k[:])
}

// takeOverChange returns the key of the session that takes over from token, and the change that makes it.
func (a *Sessions) takeOverChange(token string, fields []sessionstore.Field, deadline time.Time, persist bool) (sessionstore.Key, sessionstore.Change) {
	now := a.Env.Clock()
	id, secret := takeOverSecret(&a.Env.Ring[0], token)
	m := Meta{Created: now, Deadline: deadline, Current: keys.Hash(secret), Persist: persist}
	c := sessionstore.Change{
		Mode: sessionstore.MustNotExist,
		Set: append(fields,
			a.BornField(env.Version()),
			sessionstore.Field{Name: FieldMeta, Value: m.Pack(), Version: env.Version()},
			sessionstore.Field{Name: FieldFormer},
		),
		// The app may have signed a user in by its own means: the session does not end as early as a guest's.
		Expires: deadline,
		Tier:    sessionstore.Member,
	}
	if d := a.Manager.IdleTimeout; d > 0 && now.Add(d).Before(deadline) {
		c.Expires = now.Add(d)
	}
	return sessionstore.Key{Kind: Kind, ID: id}, c
}

// takenOver returns the session that has already taken over from token, or an absent one.
func (a *Sessions) takenOver(ctx context.Context, token string) (View, error) {
	for i := range a.Env.Ring {
		id, secret := takeOverSecret(&a.Env.Ring[i], token)
		s, err := a.Load(ctx, id, secret)
		if err != nil {
			return View{}, err
		}
		if s.Standing != Absent {
			return s, nil
		}
	}
	return View{}, nil
}

// endFormer deletes the former session that the request's cookie names, at a sign-out. A session that could not
// be taken over must not come back for the next user of the browser.
func (q *Request) endFormer(ctx context.Context) error {
	if q.FormerToken == "" {
		return nil
	}
	if err := q.Sessions.Former.delete(ctx, q.FormerToken); err != nil {
		return err
	}
	if q.header.Open() {
		q.header.ClearFormer()
	}
	return nil
}
