package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// Kinds of records.
const (
	kindSession    = "session"
	kindRedemption = "redemption"
	kindAccount    = "account"
	kindAside      = "aside"
)

// Fields of a session's record. Those of the app, of grants and of page states have a name of
// their own behind the prefix.
const (
	fieldBorn   = "born" // its version marks this record among all that ever had its id
	fieldMeta   = "meta"
	fieldUser   = "user" // the account, as of the sign-in
	prefixApp   = "v:"
	prefixGrant = "g:"
	prefixPage  = "p:"
)

// meta is what the kit itself keeps of a session.
type meta struct {
	created, deadline time.Time
	current           string // hash of the cookie's secret
	previous          string // hash of the one before it
	previousUntil     time.Time
	previousSame      bool   // the user and the level were the same before, and nobody asked for another secret
	user              string // key of the account; "" while anonymous
	provider          string // of the sign-in
	signedIn          time.Time
	acr               string
	persist           bool      // the cookie outlives the browser
	renewed           time.Time // when RenewToken was asked for last
	unseen            bool      // no request has shown the current secret yet
}

func (m *meta) pack() string {
	b := make([]byte, 0, 224)
	b = packed.AppendTime(b, m.created)
	b = packed.AppendTime(b, m.deadline)
	b = packed.AppendString(b, m.current)
	b = packed.AppendString(b, m.previous)
	b = packed.AppendTime(b, m.previousUntil)
	b = packed.AppendBool(b, m.previousSame)
	b = packed.AppendString(b, m.user)
	b = packed.AppendString(b, m.provider)
	b = packed.AppendTime(b, m.signedIn)
	b = packed.AppendString(b, m.acr)
	b = packed.AppendBool(b, m.persist)
	b = packed.AppendTime(b, m.renewed)
	b = packed.AppendBool(b, m.unseen)
	return string(b)
}

func unpackMeta(s string) (meta, error) {
	r := packed.Read(s)
	m := meta{
		created:       r.Time(),
		deadline:      r.Time(),
		current:       r.String(),
		previous:      r.String(),
		previousUntil: r.Time(),
		previousSame:  r.Bool(),
		user:          r.String(),
		provider:      r.String(),
		signedIn:      r.Time(),
		acr:           r.String(),
		persist:       r.Bool(),
	}
	if r.More() { // an earlier version did not note it
		m.renewed, m.unseen = r.Time(), r.Bool()
	}
	return m, r.Err()
}

// standing is what the cookie of a request says about the session that it names.
type standing uint8

const (
	absent   standing = iota // no cookie, or of a session that is gone
	unborn                   // given out at a start; nothing is stored yet
	current                  // its present secret
	previous                 // the secret before, of the same user at the same level: as good, for a while
	before                   // the secret before, from before a sign-in, a step-up or RenewToken: opens nothing
	stale                    // a live session, another secret: opens nothing
	withheld                 // the path is free of sessions: nothing was looked up
)

// session is one request's view of a session record.
type session struct {
	id, secret  string // presented
	standing    standing
	record      sessionstore.Record
	meta        meta
	born        uint64
	metaVersion uint64
	entitled    bool // the cookie has been replaced since it came: what the request changes is saved still
	taken       bool // absent, and something else has its id: a tombstone, or what cannot be read
}

// opens reports whether the request may read and write the record.
func (s *session) opens() bool { return s.standing == current || s.standing == previous }

func (s *session) signedIn() bool { return s.opens() && s.meta.user != "" }

// reborn reports that a start with this cookie gets another session: its own is not there, is not the
// cookie's any more, or is one to which a sign-in would bring whoever knew the cookie before RenewToken.
func (s *session) reborn() bool {
	return s.id == "" || s.standing == absent || s.standing == stale || s.standing == before && s.meta.user == ""
}

// anonymous reports that the request has a session, or could have one, in which nobody is signed in.
func (s *session) anonymous() bool {
	return s.standing == unborn || s.opens() && s.meta.user == ""
}

func (s *session) key() sessionstore.Key { return sessionstore.Key{Kind: kindSession, ID: s.id} }

// lineage is the condition of every change to a session: the record is still the one that was
// read, and not another that came to have its id after a sign-out.
func (s *session) lineage() sessionstore.Match {
	return sessionstore.Match{Name: fieldBorn, Version: s.born}
}

// find loads the record of id. A record that lacks its own fields, as when the key that sealed
// them is gone, or in which they cannot be read, is as good as none.
func (a *Auth) find(ctx context.Context, id string) (session, error) {
	rec, err := a.read(ctx, sessionstore.Key{Kind: kindSession, ID: id})
	return a.view(ctx, id, rec, err)
}

// findAll is find for many.
func (a *Auth) findAll(ctx context.Context, ids []string) ([]session, error) {
	keys := make([]sessionstore.Key, len(ids))
	for i, id := range ids {
		keys[i] = sessionstore.Key{Kind: kindSession, ID: id}
	}
	recs, err := a.readAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	ss := make([]session, len(ids))
	for i, rec := range recs {
		var none error
		if rec.Expires.IsZero() {
			none = sessionstore.ErrNotFound
		}
		if ss[i], err = a.view(ctx, ids[i], rec, none); err != nil {
			return nil, err
		}
	}
	return ss, nil
}

// view returns the session of id that a load has found. One of another site is none.
func (a *Auth) view(ctx context.Context, id string, rec sessionstore.Record, err error) (session, error) {
	s := session{id: id}
	if errors.Is(err, sessionstore.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.taken = true
	born, ours := rec.Holds(fieldBorn, a.site.own)
	if !ours {
		f, ok := rec.Field(fieldBorn)
		if !ok {
			return s, nil
		}
		if ours, err = a.site.bore(f); err != nil {
			a.unread(ctx, kindSession, fieldBorn, err)
		}
		if !ours {
			return s, nil
		}
	}
	f, ok := rec.Field(fieldMeta)
	if !ok {
		return s, nil
	}
	m, err := unpackMeta(f.Value)
	if err != nil {
		a.unread(ctx, kindSession, fieldMeta, err)
		return s, nil
	}
	if !a.now().Before(m.deadline) {
		return s, nil
	}
	if m.user != "" {
		// Nobody is half signed in: who it is that a gate lets through has to be readable, too.
		f, ok := rec.Field(fieldUser)
		if !ok {
			return s, nil
		}
		if _, _, err := readAccount(f.Value); err != nil {
			a.unread(ctx, kindSession, fieldUser, err)
			return s, nil
		}
	}
	s.record, s.meta, s.born, s.metaVersion = rec, m, born, f.Version
	s.taken = false
	s.standing = stale // until a secret says otherwise
	return s, nil
}

// load returns the session that a cookie with these parts stands for.
func (a *Auth) load(ctx context.Context, sid, secret string) (session, error) {
	rec, err := a.store.Load(ctx, sessionstore.Key{Kind: kindSession, ID: sid})
	s, err := a.view(ctx, sid, rec, err)
	if err != nil {
		return session{}, err
	}
	s.secret = secret
	if s.taken {
		return s, nil
	}
	if s.standing == absent {
		for i := range a.secrets {
			if same(secret, a.secrets[i].first(sid)) {
				s.standing = unborn
			}
		}
		return s, nil
	}
	h := hash(secret)
	if same(h, s.meta.current) {
		s.standing = current
		return s, nil
	}
	if same(h, s.meta.previous) && a.now().Before(s.meta.previousUntil) {
		s.standing = before
		if s.meta.previousSame {
			s.standing = previous
		}
	}
	return s, nil
}

// Windows in which the previous secret is still good. Until the browser has shown the new one it
// may not have received it; requests that left before it did are under way a little longer.
const (
	previousLife = 10 * time.Minute
	previousRest = 30 * time.Second
)

// rotate makes secret the current one. The one before it stays as good for a while if keep says so, which
// it may where the user and the level are the same, and nobody asked for another secret.
func (m *meta) rotate(secret string, keep bool, now time.Time) {
	h := hash(secret)
	if h == m.current {
		return
	}
	m.previous, m.previousUntil, m.previousSame = m.current, now.Add(previousLife), keep
	m.current, m.unseen = h, true
}

// seen notes that the browser has the current secret.
func (m *meta) seen(now time.Time) {
	m.unseen = false
	if until := now.Add(previousRest); m.previous != "" && m.previousUntil.After(until) {
		m.previousUntil = until
	}
}

// shown reports that the browser has the current secret, which is not noted yet: the previous one, which
// is still good for long, need not be, and no answer is repeated any more.
func (s *session) shown(now time.Time) bool {
	return s.standing == current && (s.meta.unseen || s.meta.previous != "" && s.meta.previousUntil.After(now.Add(previousRest)))
}

// rests reports that a request that changed nothing leaves nothing to write about s.
func (a *Auth) rests(s *session, now time.Time) bool {
	return !s.shown(now) && a.touch(s, now).IsZero()
}

// idle returns how long a session is kept after its last use; 0 is until its deadline.
func (a *Auth) idle(m *meta) time.Duration {
	if m.user == "" {
		return guestIdle(a.anonymousIdle, a.sessions.IdleTimeout)
	}
	return a.sessions.IdleTimeout
}

// guestIdle is how long a session in which nobody signed in is kept after its last use: an app that has
// sessions end early means theirs, too.
func guestIdle(anonymous, idle time.Duration) time.Duration {
	if idle > 0 {
		return min(anonymous, idle)
	}
	return anonymous
}

// expiry returns when the store may forget a session used at now.
func (a *Auth) expiry(m *meta, now time.Time) time.Time {
	if d := a.idle(m); d > 0 && now.Add(d).Before(m.deadline) {
		return now.Add(d)
	}
	return m.deadline
}

// touch returns the new expiry if it is worth writing: at most ten times per idle timeout, and zero
// otherwise.
func (a *Auth) touch(s *session, now time.Time) time.Time {
	d := a.idle(&s.meta)
	if d == 0 {
		return time.Time{}
	}
	if e := a.expiry(&s.meta, now); e.Sub(s.record.Expires) >= d/10 {
		return e
	}
	return time.Time{}
}
