package session

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// Kind is the kind of a session's record.
const Kind = "session"

// Fields of a session's record. Those of the app, of grants and of page states have a name of
// their own behind the prefix.
const (
	FieldBorn  = "born" // its version marks this record among all that ever had its id
	FieldMeta  = "meta"
	FieldUser  = "user" // the account, as of the sign-in
	prefixApp  = "v:"
	prefixPage = "p:"
)

// Meta is what the kit itself keeps of a session.
type Meta struct {
	Created, Deadline time.Time
	Current           string // hash of the cookie's secret
	Previous          string // hash of the one before it
	previousUntil     time.Time
	previousSame      bool   // the user and the level were the same before, and nobody asked for another secret
	User              string // key of the account; "" while anonymous
	Provider          string // of the sign-in
	SignedIn          time.Time
	ACR               string
	Persist           bool      // the cookie outlives the browser
	Renewed           time.Time // when RenewToken was asked for last
	Unseen            bool      // no request has shown the current secret yet
}

func (m *Meta) Pack() string {
	b := make([]byte, 0, 224)
	b = packed.AppendTime(b, m.Created)
	b = packed.AppendTime(b, m.Deadline)
	b = packed.AppendString(b, m.Current)
	b = packed.AppendString(b, m.Previous)
	b = packed.AppendTime(b, m.previousUntil)
	b = packed.AppendBool(b, m.previousSame)
	b = packed.AppendString(b, m.User)
	b = packed.AppendString(b, m.Provider)
	b = packed.AppendTime(b, m.SignedIn)
	b = packed.AppendString(b, m.ACR)
	b = packed.AppendBool(b, m.Persist)
	b = packed.AppendTime(b, m.Renewed)
	b = packed.AppendBool(b, m.Unseen)
	return string(b)
}

func unpackMeta(s string) (Meta, error) {
	r := packed.Read(s)
	m := Meta{
		Created:       r.Time(),
		Deadline:      r.Time(),
		Current:       r.String(),
		Previous:      r.String(),
		previousUntil: r.Time(),
		previousSame:  r.Bool(),
		User:          r.String(),
		Provider:      r.String(),
		SignedIn:      r.Time(),
		ACR:           r.String(),
		Persist:       r.Bool(),
	}
	if r.More() { // an earlier version did not note it
		m.Renewed, m.Unseen = r.Time(), r.Bool()
	}
	return m, r.Err()
}

// Standing is what the cookie of a request says about the session that it names.
type Standing uint8

const (
	Absent   Standing = iota // no cookie, or of a session that is gone
	Unborn                   // given out at a start; nothing is stored yet
	Current                  // its present secret
	Previous                 // the secret before, of the same user at the same level: as good, for a while
	Before                   // the secret before, from before a sign-in, a step-up or RenewToken: opens nothing
	Stale                    // a live session, another secret: opens nothing
	Withheld                 // the path is free of sessions: nothing was looked up
)

// View is one request's view of a session record.
type View struct {
	ID, Secret  string // presented
	Standing    Standing
	Record      sessionstore.Record
	Meta        Meta
	Born        uint64
	MetaVersion uint64
	entitled    bool // the cookie has been replaced since it came: what the request changes is saved still
	taken       bool // absent, and something else has its id: a tombstone, or what cannot be read
}

// Opens reports whether the request may read and write the record.
func (s *View) Opens() bool { return s.Standing == Current || s.Standing == Previous }

func (s *View) SignedIn() bool { return s.Opens() && s.Meta.User != "" }

// Reborn reports that a start with this cookie gets another session: its own is not there, is not the
// cookie's any more, or is one to which a sign-in would bring whoever knew the cookie before RenewToken.
func (s *View) Reborn() bool {
	return s.ID == "" || s.Standing == Absent || s.Standing == Stale || s.Standing == Before && s.Meta.User == ""
}

// Anonymous reports that the request has a session, or could have one, in which nobody is signed in.
func (s *View) Anonymous() bool {
	return s.Standing == Unborn || s.Opens() && s.Meta.User == ""
}

func (s *View) Key() sessionstore.Key { return sessionstore.Key{Kind: Kind, ID: s.ID} }

// Lineage is the condition of every change to a session: the record is still the one that was
// read, and not another that came to have its id after a sign-out.
func (s *View) Lineage() sessionstore.Match {
	return sessionstore.Match{Name: FieldBorn, Version: s.Born}
}

// Find loads the record of id. A record that lacks its own fields, as when the key that sealed
// them is gone, or in which they cannot be read, is as good as none.
func (a *Sessions) Find(ctx context.Context, id string) (View, error) {
	rec, err := a.Env.Read(ctx, sessionstore.Key{Kind: Kind, ID: id})
	return a.view(ctx, id, rec, err)
}

// FindAll is find for many.
func (a *Sessions) FindAll(ctx context.Context, ids []string) ([]View, error) {
	keys := make([]sessionstore.Key, len(ids))
	for i, id := range ids {
		keys[i] = sessionstore.Key{Kind: Kind, ID: id}
	}
	recs, err := a.Env.ReadAll(ctx, keys)
	if err != nil {
		return nil, err
	}
	ss := make([]View, len(ids))
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
func (a *Sessions) view(ctx context.Context, id string, rec sessionstore.Record, err error) (View, error) {
	s := View{ID: id}
	if errors.Is(err, sessionstore.ErrNotFound) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.taken = true
	born, ours := rec.Holds(FieldBorn, a.Env.Site.Own)
	if !ours {
		f, ok := rec.Field(FieldBorn)
		if !ok {
			return s, nil
		}
		if ours, err = a.bore(f); err != nil {
			a.Env.Log.Unread(ctx, Kind, FieldBorn, err)
		}
		if !ours {
			return s, nil
		}
	}
	f, ok := rec.Field(FieldMeta)
	if !ok {
		return s, nil
	}
	m, err := unpackMeta(f.Value)
	if err != nil {
		a.Env.Log.Unread(ctx, Kind, FieldMeta, err)
		return s, nil
	}
	if !a.Env.Clock().Before(m.Deadline) {
		return s, nil
	}
	if m.User != "" {
		// Nobody is half signed in: who it is that a gate lets through has to be readable, too.
		f, ok := rec.Field(FieldUser)
		if !ok {
			return s, nil
		}
		if err := a.Readable(f.Value); err != nil {
			a.Env.Log.Unread(ctx, Kind, FieldUser, err)
			return s, nil
		}
	}
	s.Record, s.Meta, s.Born, s.MetaVersion = rec, m, born, f.Version
	s.taken = false
	s.Standing = Stale // until a secret says otherwise
	return s, nil
}

// Load returns the session that a cookie with these parts stands for.
func (a *Sessions) Load(ctx context.Context, sid, secret string) (View, error) {
	rec, err := a.Env.Store.Load(ctx, sessionstore.Key{Kind: Kind, ID: sid})
	s, err := a.view(ctx, sid, rec, err)
	if err != nil {
		return View{}, err
	}
	s.Secret = secret
	if s.taken {
		return s, nil
	}
	if s.Standing == Absent {
		for i := range a.Env.Ring {
			if keys.Same(secret, a.Env.Ring[i].First(sid)) {
				s.Standing = Unborn
			}
		}
		return s, nil
	}
	h := keys.Hash(secret)
	if keys.Same(h, s.Meta.Current) {
		s.Standing = Current
		return s, nil
	}
	if keys.Same(h, s.Meta.Previous) && a.Env.Clock().Before(s.Meta.previousUntil) {
		s.Standing = Before
		if s.Meta.previousSame {
			s.Standing = Previous
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

// Rotate makes secret the current one. The one before it stays as good for a while if keep says so, which
// it may where the user and the level are the same, and nobody asked for another secret.
func (m *Meta) Rotate(secret string, keep bool, now time.Time) {
	h := keys.Hash(secret)
	if h == m.Current {
		return
	}
	m.Previous, m.previousUntil, m.previousSame = m.Current, now.Add(previousLife), keep
	m.Current, m.Unseen = h, true
}

// seen notes that the browser has the current secret.
func (m *Meta) seen(now time.Time) {
	m.Unseen = false
	if until := now.Add(previousRest); m.Previous != "" && m.previousUntil.After(until) {
		m.previousUntil = until
	}
}

// shown reports that the browser has the current secret, which is not noted yet: the previous one, which
// is still good for long, need not be, and no answer is repeated any more.
func (s *View) shown(now time.Time) bool {
	return s.Standing == Current && (s.Meta.Unseen || s.Meta.Previous != "" && s.Meta.previousUntil.After(now.Add(previousRest)))
}

// rests reports that a request that changed nothing leaves nothing to write about s.
func (a *Sessions) rests(s *View, now time.Time) bool {
	return !s.shown(now) && a.touch(s, now).IsZero()
}

// Idle returns how long a session is kept after its last use; 0 is until its deadline.
func (a *Sessions) Idle(m *Meta) time.Duration {
	if m.User == "" {
		return GuestIdle(a.AnonymousIdle, a.Manager.IdleTimeout)
	}
	return a.Manager.IdleTimeout
}

// GuestIdle is how long a session in which nobody signed in is kept after its last use: an app that has
// sessions end early means theirs, too.
func GuestIdle(anonymous, idle time.Duration) time.Duration {
	if idle > 0 {
		return min(anonymous, idle)
	}
	return anonymous
}

// Expiry returns when the store may forget a session used at now.
func (a *Sessions) Expiry(m *Meta, now time.Time) time.Time {
	if d := a.Idle(m); d > 0 && now.Add(d).Before(m.Deadline) {
		return now.Add(d)
	}
	return m.Deadline
}

// touch returns the new expiry if it is worth writing: at most ten times per idle timeout, and zero
// otherwise.
func (a *Sessions) touch(s *View, now time.Time) time.Time {
	d := a.Idle(&s.Meta)
	if d == 0 {
		return time.Time{}
	}
	if e := a.Expiry(&s.Meta, now); e.Sub(s.Record.Expires) >= d/10 {
		return e
	}
	return time.Time{}
}

// BornField makes a record a session of the site.
func (a *Sessions) BornField(version uint64) sessionstore.Field {
	return sessionstore.Field{Name: FieldBorn, Value: a.Env.Site.Own, Version: version}
}

// bore reports that born is of a session of the site. Most are Own, which [sessionstore.Record.Holds] knows
// without opening it into a string; a later version may say more behind it.
func (a *Sessions) bore(born sessionstore.Field) (bool, error) {
	r := packed.Read(born.Value)
	tag := r.String()
	return tag == a.Env.Site.Tag, r.Err()
}

// Whose tells the session and its user from others; "" if nobody is signed in.
func (s *View) Whose() string {
	if !s.SignedIn() {
		return ""
	}
	return keys.Hash(s.ID + "." + s.Meta.User)
}
