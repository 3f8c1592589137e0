package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Former is where an app's sessions were before: see Former of the package middleware.
type Former struct {
	Store            scs.Store
	Codec            scs.Codec
	Cookie           scs.SessionCookie
	HashTokenInStore bool
}

// FieldFormer is in the record of every session that was taken over.
const FieldFormer = "former"

// fieldKept is in the record of a session that was taken over by two requests at once: the one that
// did not make the record has put it there, before it deleted the old session.
const fieldKept = "kept"

const maxKey = 128 - len(prefixApp) // bytes of a session value's key

func (f *Former) CookieName() string { return cmp.Or(f.Cookie.Name, "session") }

// Token returns what r shows; it is "" unless scs can have made it, and if there are two
// different ones, because then somebody else may have planted one.
func (f *Former) Token(r *http.Request) (t string) {
	name, ok := f.CookieName(), true
	web.Each(r, func(n, v string) bool {
		if n == name {
			ok = ok && (t == "" || t == v)
			t = v
		}
		return ok
	})
	if !ok || !keys.Token(t, 43) {
		return ""
	}
	return t
}

// key returns that of the session in the store.
func (f *Former) key(token string) string {
	if !f.HashTokenInStore {
		return token
	}
	h := sha256.Sum256([]byte(token))
	return keys.Text(h[:])
}

func (f *Former) find(ctx context.Context, token string) (b []byte, found bool, err error) {
	if s, ok := f.Store.(scs.CtxStore); ok {
		b, found, err = s.FindCtx(ctx, f.key(token))
	} else {
		b, found, err = f.Store.Find(f.key(token))
	}
	return b, found, f.hide(err, token)
}

func (f *Former) delete(ctx context.Context, token string) error {
	if s, ok := f.Store.(scs.CtxStore); ok {
		return f.hide(s.DeleteCtx(ctx, f.key(token)), token)
	}
	return f.hide(f.Store.Delete(f.key(token)), token)
}

// hide returns err without the key, which some servers repeat in what they answer.
func (f *Former) hide(err error, token string) error {
	if err == nil {
		return nil
	}
	return errors.New("middleware: former session: " + strings.ReplaceAll(err.Error(), f.key(token), "[redacted]"))
}

// values returns what a session of before holds, as fields, and its deadline.
func (f *Former) values(b []byte) (fields []sessionstore.Field, deadline time.Time, persist bool, err error) {
	var codec scs.Codec = scs.GobCodec{}
	if f.Codec != nil {
		codec = f.Codec
	}
	deadline, vs, err := codec.Decode(b)
	if err != nil {
		return nil, time.Time{}, false, fmt.Errorf("middleware: former session: %w", err)
	}
	for k, v := range vs {
		if len(k) > maxKey {
			return nil, time.Time{}, false, fmt.Errorf("middleware: former session: a key has more than %d bytes", maxKey)
		}
		frame, err := values.Append(nil, v)
		if err != nil {
			return nil, time.Time{}, false, fmt.Errorf("middleware: former session: value %q: %w", k, err)
		}
		fields = append(fields, sessionstore.Field{Name: prefixApp + k, Value: string(frame), Version: env.Version()})
	}
	persist, _ = vs[rememberMe].(bool)
	return fields, deadline.UTC().Truncate(time.Millisecond), persist, nil
}

// takeOverSecret returns id and secret of the session that takes over from a token. They are derived, so that
// requests that come together agree without asking one another, and so that a browser that never
// got the answer gets it again. The first sign-in replaces the secret, and ends that.
func takeOverSecret(s *keys.Secrets, token string) (id, secret string) {
	i, k := s.Cookie.Derive("heir id", token), s.Cookie.Derive("heir secret", token)
	return keys.Text(i[:16]), keys.Text(k[:])
}

// TakeOverFormer gives the request the session of before, if it shows one and has none of ours.
func (q *Request) TakeOverFormer() error {
	a := q.Sessions
	if q.FormerToken == "" || q.First.Standing != Absent && q.First.Standing != Unstored {
		return nil
	}
	// Begun is finished, although the person has closed the tab.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Outer), env.StoreTime)
	defer cancel()
	s, err := a.takeOver(ctx, q.FormerToken)
	if err != nil {
		return err
	}
	if s.Standing == Absent {
		return nil // a cookie that is too old, made up, or of what this build cannot read
	}
	// One that has been replaced since opens nothing; the browser has a better one by now.
	q.First, q.FromFormer = s, true
	if s.Standing != Current {
		return nil
	}
	q.TookOver = true
	q.Varied.Store(true)
	q.Header.Set(s.ID, s.Secret, s.Meta.Deadline, s.Meta.Persist, false)
	q.Header.ClearFormer()
	a.Env.Log.Event(q.Outer, slog.LevelInfo, "former session taken over", "")
	return nil
}

// endFormer ends the session of before that the request shows, if it does, at a sign-out: what could not be
// taken over is not to come back for whoever uses the browser next.
func (q *Request) endFormer(ctx context.Context) error {
	if q.FormerToken == "" {
		return nil
	}
	if err := q.Sessions.Former.delete(ctx, q.FormerToken); err != nil {
		return err
	}
	if q.Header.Open() {
		q.Header.ClearFormer()
	}
	return nil
}

// takeOver makes the session of before one of ours, and returns it. The old one is deleted when the
// new one is there, and an answer goes out, and with it a chance to sign out, when the old one is
// gone. So whoever still finds the old one after the new one was made knows that nobody has signed
// out of that yet; whoever does not may have come too late, and brought back what had ended.
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
			return a.takenOver(ctx, token) // of a replica whose ring begins with another key, or none
		}
		return s, nil
	}
	if s.Standing == Absent {
		return View{}, nil // what was saved is not there: the old one stays
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

// takeOverChange returns the key of the session that takes over from a token, and the change that makes it.
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
		// Whoever it was may have been signed in by the app, and not have an anonymous visitor's patience.
		Expires: deadline,
		Tier:    sessionstore.Member,
	}
	if d := a.Manager.IdleTimeout; d > 0 && now.Add(d).Before(deadline) {
		c.Expires = now.Add(d)
	}
	return sessionstore.Key{Kind: Kind, ID: id}, c
}

// takenOver returns the session that has taken over from a token already, or an absent one.
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
