package middleware

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/internal/values"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Former is where an app's sessions were before: with an scs manager and its LoadAndSave. Each of
// them is taken over by the first request that shows its cookie: a session of this kit gets its
// values, its deadline and its RememberMe, the old one is deleted, and that answer brings the new
// cookie and removes the old one. Requests that come at the same time, at any replica, get the same
// session. It is anonymous: the person signs in once more, and while they do, [Config].OnLogin
// finds the values of before, such as the app's user id, and [Login].Former set. Those values are what some
// cookie brought, and no proof of who it is: see there before an account is linked by them.
//
// Only a request that shows the old cookie, and none of ours that opens a session, reads the old
// store. If that fails the answer is 503, and everything is as it was. A request with a session that cannot be
// decoded, because a type in it is not registered with encoding/gob say, is served as a visitor, and the log
// says why with [ReasonValue]; so it is with a value that cannot be stored here. That session and its cookie stay
// where they are, for a build that can read it: it is taken over by the first request to that one which shows no
// session of ours. To give such sessions up, hand in a Codec that returns no error for them.
//
// A sign-out ends what is left of before as well: the old session that the browser shows is deleted, and so is
// its cookie.
//
// Replicas that still run the app as it was do not see sessions that were taken over, and may write
// to one that is being so: have none of them left when the first new one starts, or accept that.
// The session takes its place among those of [sessionstore.Member], and none of [Config].MaxGuests.
type Former struct {
	Store scs.Store // as the manager had it. A CtxStore is called by its methods with a context
	Codec scs.Codec // as the manager had it; nil: scs.GobCodec

	// Cookie is the manager's. An empty Name is "session", scs's default; Domain and Path are those
	// under which the browser is told to forget it.
	Cookie scs.SessionCookie

	HashTokenInStore bool // as the manager had it
}

// fieldKept is in the record of a session that was taken over by two requests at once: the one that
// did not make the record has put it there, before it deleted the old session.
const fieldKept = "kept"

// fieldFormer is in the record of every session that was taken over.
const fieldFormer = "former"

const maxKey = 128 - len(prefixApp) // bytes of a session value's key

// check returns what is wrong with f, which may be nil.
func (f *Former) check(base *url.URL, prefix, name string) error {
	if f == nil {
		return nil
	}
	if isNil(f.Store) {
		return errors.New("middleware: config: Former.Store: missing")
	}
	if base != nil && f.name() == newCookies(base, prefix, name, f.Cookie.SameSite, false).session {
		return fmt.Errorf("middleware: config: Former.Cookie.Name %q: is the name of ours", f.name())
	}
	return nil
}

func (f *Former) name() string { return cmp.Or(f.Cookie.Name, "session") }

// token returns what r shows; ok is false unless scs can have made it, and if there are two
// different ones, because then somebody else may have planted one.
func (f *Former) token(r *http.Request) (t string, ok bool) {
	name, ok := f.name(), true
	each(r, func(n, v string) bool {
		if n == name {
			ok = ok && (t == "" || t == v)
			t = v
		}
		return ok
	})
	return t, ok && token(t, 43)
}

// key returns that of the session in the store.
func (f *Former) key(token string) string {
	if !f.HashTokenInStore {
		return token
	}
	h := sha256.Sum256([]byte(token))
	return text(h[:])
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

// clear makes the browser forget the old cookie.
func (f *Former) clear(c *cookies, h http.Header) {
	c.set(h, &http.Cookie{
		Name: f.name(), Path: f.Cookie.Path, Domain: f.Cookie.Domain, MaxAge: -1,
		HttpOnly: true, Secure: c.secure || f.Cookie.Secure, SameSite: f.Cookie.SameSite, Partitioned: f.Cookie.Partitioned,
	})
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
		fields = append(fields, sessionstore.Field{Name: prefixApp + k, Value: string(frame), Version: version()})
	}
	persist, _ = vs[rememberMe].(bool)
	return fields, deadline.UTC().Truncate(time.Millisecond), persist, nil
}

// heir returns id and secret of the session that takes over from a token. They are derived, so that
// requests that come together agree without asking one another, and so that a browser that never
// got the answer gets it again. The first sign-in replaces the secret, and ends that.
func (s *secrets) heir(token string) (id, secret string) {
	i, k := s.cookie.Derive("heir id", token), s.cookie.Derive("heir secret", token)
	return text(i[:16]), text(k[:])
}

// inherit gives the request the session of before, if it shows one and has none of ours.
func (q *request) inherit(h http.Header) *Problem {
	a := q.auth
	if a.former == nil || q.first.standing != absent && q.first.standing != unborn {
		return nil
	}
	token, ok := a.former.token(q.r)
	if !ok {
		return nil
	}
	// Begun is finished, although the person has closed the tab.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.Context), storeTime)
	defer cancel()
	s, p := a.takeOver(ctx, token)
	if p != nil {
		return p
	}
	if s.standing == absent {
		return nil // a cookie that is too old, made up, or of what this build cannot read
	}
	// One that has been replaced since opens nothing; the browser has a better one by now.
	q.first, q.heir = s, true
	if s.standing != current {
		return nil
	}
	q.inherited = true
	q.writer.varied.Store(true)
	a.cookies.setSession(h, s.id, s.secret, s.meta.deadline, a.cookies.persist || s.meta.persist)
	a.former.clear(&a.cookies, h)
	a.event(q, slog.LevelInfo, "former session taken over", "")
	return nil
}

// disinherit ends the session of before that the request shows, if it does, at a sign-out: what could not be
// taken over is not to come back for whoever uses the browser next.
func (q *request) disinherit(ctx context.Context) error {
	a := q.auth
	if a.former == nil {
		return nil
	}
	token, ok := a.former.token(q.r)
	if !ok {
		return nil
	}
	if err := a.former.delete(ctx, token); err != nil {
		return err
	}
	if h := q.writer.open(); h != nil {
		a.former.clear(&a.cookies, h)
	}
	return nil
}

// takeOver makes the session of before one of ours, and returns it. The old one is deleted when the
// new one is there, and an answer goes out, and with it a chance to sign out, when the old one is
// gone. So whoever still finds the old one after the new one was made knows that nobody has signed
// out of that yet; whoever does not may have come too late, and brought back what had ended.
func (a *Auth) takeOver(ctx context.Context, token string) (session, *Problem) {
	old, found, err := a.former.find(ctx, token)
	if err != nil {
		return session{}, problem(ReasonStore, err)
	}
	if !found {
		return a.heir(ctx, token)
	}
	fields, deadline, persist, err := a.former.values(old)
	if err != nil {
		a.unread(ctx, "former", "", err)
		return session{}, nil
	}
	if !a.now().Before(deadline) {
		return session{}, nil
	}
	key, c := a.bequest(token, fields, deadline, persist)
	err = a.store.Update(ctx, key, c)
	made := err == nil
	if !made && !errors.Is(err, sessionstore.ErrExists) {
		return session{}, problem(ReasonStore, fmt.Errorf("middleware: session: %w", err))
	}
	_, found, err = a.former.find(ctx, token)
	if err != nil {
		return session{}, problem(ReasonStore, err)
	}
	s, p := a.heir(ctx, token)
	if p != nil {
		return session{}, p
	}
	if !found {
		if _, kept := s.record.Field(fieldKept); made && !kept {
			if err := a.store.Delete(ctx, key); err != nil {
				return session{}, problem(ReasonStore, fmt.Errorf("middleware: session: %w", err))
			}
			return a.heir(ctx, token) // of a replica whose ring begins with another key, or none
		}
		return s, nil
	}
	if s.standing == absent {
		return session{}, nil // what was saved is not there: the old one stays
	}
	if !made && s.opens() {
		c := sessionstore.Change{If: []sessionstore.Match{s.lineage()}, Set: []sessionstore.Field{{Name: fieldKept}}}
		if err := a.store.Update(ctx, s.key(), c); err != nil {
			return session{}, problem(ReasonStore, fmt.Errorf("middleware: session: %w", err))
		}
	}
	if err := a.former.delete(ctx, token); err != nil {
		return session{}, problem(ReasonStore, err)
	}
	return s, nil
}

// bequest returns the key of the session that takes over from a token, and the change that makes it.
func (a *Auth) bequest(token string, fields []sessionstore.Field, deadline time.Time, persist bool) (sessionstore.Key, sessionstore.Change) {
	now := a.now()
	id, secret := a.secrets[0].heir(token)
	m := meta{created: now, deadline: deadline, current: hash(secret), persist: persist}
	c := sessionstore.Change{
		Mode: sessionstore.MustNotExist,
		Set: append(fields,
			a.site.born(version()),
			sessionstore.Field{Name: fieldMeta, Value: m.pack(), Version: version()},
			sessionstore.Field{Name: fieldFormer},
		),
		// Whoever it was may have been signed in by the app, and not have an anonymous visitor's patience.
		Expires: deadline,
		Tier:    sessionstore.Member,
	}
	if d := a.sessions.IdleTimeout; d > 0 && now.Add(d).Before(deadline) {
		c.Expires = now.Add(d)
	}
	return sessionstore.Key{Kind: kindSession, ID: id}, c
}

// heir returns the session that has taken over from a token already, or an absent one.
func (a *Auth) heir(ctx context.Context, token string) (session, *Problem) {
	for i := range a.secrets {
		id, secret := a.secrets[i].heir(token)
		s, err := a.load(ctx, id, secret)
		if err != nil {
			return session{}, problem(ReasonStore, err)
		}
		if s.standing != absent {
			return s, nil
		}
	}
	return session{}, nil
}
