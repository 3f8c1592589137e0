package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// outcome is the session that a sign-in ended in, and the cookie that the browser gets for it.
type outcome struct {
	session  string
	secret   string // "" if the browser has it
	deadline time.Time
	persist  bool
	user     string
	isNew    bool
	unmet    bool // a step-up came back without what it was for
}

// winner is the session that a sign-in is attached to.
type winner struct {
	session session.View
	how     how
	present string        // what its next secret follows from
	ends    *session.View // the one of somebody else, which the sign-in replaces

	remember bool // OnLogin called RememberMe
}

// how a sign-in comes to its session.
type how uint8

const (
	attach how = iota // the session is this person's already
	rebind            // it has a record, and is anonymous
	bear              // its cookie was given out, and nothing is stored yet
	renew             // a new id
)

// choose says which session wins. F is the one the flow started in, P the one that the callback
// shows, user who came back:
//
//	P is signed in as user           P
//	P shows the cookie from before
//	user signed in to it             P: sign-ins of one person that ended together
//	P is signed in as another        a new one; nothing is carried over, and P ends
//	F is there, anonymous            F: this is the rebind
//	P is anonymous                   P
//	otherwise                        a new one
//
// It looks at nothing else, so that the table of its tests is the whole truth.
func choose(p, f *session.View, user string) winner {
	switch {
	case p.SignedIn() && p.Meta.User == user:
		return winner{session: *p, present: p.Secret}
	case p.Standing == session.Before && p.Meta.User == user:
		return winner{session: *p, present: p.Secret}
	case p.SignedIn():
		return winner{how: renew, ends: p}
	case f.Born != 0 && f.Meta.User == "":
		if p.ID == f.ID && p.Opens() {
			return winner{how: rebind, session: *f, present: p.Secret}
		}
		return winner{how: rebind, session: *f, present: hashed + f.Meta.Current}
	case p.Standing == session.Unborn:
		return winner{how: bear, session: *p, present: p.Secret}
	case p.Anonymous():
		return winner{how: rebind, session: *p, present: p.Secret}
	}
	return winner{how: renew}
}

// What a secret follows from when the browser did not show the one before. No secret looks like it.
const (
	hashed = "hash " // and the hash of the one before
	fresh  = "fresh" // there was none
)

// settle signs in whoever came back with g.
func (a *Auth) settle(ctx context.Context, q *request, f *flow, g connection.Grant, id *providers.Identity) (*outcome, *Problem) {
	if f.purpose != signIn {
		return a.extend(ctx, q, f, g, id)
	}
	e, err := a.accounts.Enrol(ctx, g.User, id)
	if err != nil {
		return nil, problem(reason.Store, err)
	}
	e.Account.Provider = g.Provider
	former, err := a.foresee(ctx, q, f, e.Key.ID)
	if err != nil {
		a.accounts.Drop(ctx, e)
		return nil, problem(reason.Store, err)
	}
	defer q.Foreseen(nil)
	if err := a.welcome(ctx, e, g, former); err != nil {
		a.accounts.Drop(ctx, e)
		return nil, unwelcome(err)
	}
	// The app knows the person now. Whatever happens next, they are not new again.
	if err := a.accounts.Keep(ctx, e); err != nil {
		a.accounts.Drop(ctx, e)
		return nil, problem(reason.Store, err)
	}
	out, err := a.attach(ctx, q, f, g, e)
	if errors.Is(err, session.ErrEnded) {
		return nil, problem(reason.SessionChanged, err)
	}
	if err != nil {
		return nil, problem(reason.Store, err)
	}
	return out, nil
}

// foresee lets OnLogin see the session that the sign-in is about to end in: not that of somebody
// else who is signed in in this browser, whose values it might take for this person's. It reports whether that
// session was taken over from a [Former].
func (a *Auth) foresee(ctx context.Context, q *request, f *flow, user string) (former bool, err error) {
	if a.onLogin == nil {
		return false, nil
	}
	p := *q.Now.Load()
	origin, err := a.started(ctx, f, &p)
	if err != nil {
		return false, err
	}
	s := choose(&p, f.carries(&p, &origin), user).session
	if s.Born != 0 {
		s.Standing = session.Current // whatever the cookie says: its person is here
	}
	q.Foreseen(&s)
	_, former = s.Record.Field(session.FieldFormer)
	return former, nil
}

// clocks is how far those of two replicas may differ where one thing is to come before another.
const clocks = time.Minute

// started returns the session in which f started, as it is now; p is the one that the callback shows. Where
// the browser shows another, and does not know that f started there, it may be anybody's: then there is
// none.
func (a *Auth) started(ctx context.Context, f *flow, p *session.View) (session.View, error) {
	s, err := *p, error(nil)
	if f.session != p.ID {
		if !f.home {
			return session.View{}, nil
		}
		s, err = a.sessions.Find(ctx, f.session)
	}
	if began := f.expires.Add(-flowLife); !s.Opens() && s.Meta.User == "" && !s.Meta.Renewed.IsZero() && began.Before(s.Meta.Renewed.Add(clocks)) {
		return session.View{}, err // by whoever knew a cookie from before RenewToken
	}
	return s, err
}

// carries returns origin if the sign-in may be attached to it. The binding of a flow that was retired may be
// known to others since: of origin then comes back what was saved for the page, and nothing else.
func (f *flow) carries(p, origin *session.View) *session.View {
	if f.session != p.ID && f.retired {
		return &session.View{}
	}
	return origin
}

// welcome calls the app's OnLogin. A panic in it is the app's, and goes on; but it must not leave
// the account held.
func (a *Auth) welcome(ctx context.Context, e *account.Enrolment, g connection.Grant, former bool) error {
	if a.onLogin == nil {
		return nil
	}
	returned := false
	defer func() {
		if !returned {
			a.accounts.Drop(ctx, e)
		}
	}()
	t := *g.Token
	err := a.onLogin(ctx, &Login{Account: (*Account)(e.Account), IsNew: e.IsNew, Provider: g.Provider, Token: &t, Former: former})
	returned = true
	if err == nil && e.Account.ID == "" {
		return errors.New("middleware: OnLogin: empty Account.ID")
	}
	return err
}

// attach saves the sign-in in the session that wins, in one change.
func (a *Auth) attach(ctx context.Context, q *request, f *flow, g connection.Grant, e *account.Enrolment) (*outcome, error) {
	sn, err := q.Snap() // what OnLogin put into the session
	if err != nil {
		return nil, err
	}
	p, user := *q.Now.Load(), e.Key.ID
	var set []sessionstore.Field
	var del []string
	if sn.Modified {
		set, del = sn.Diff(q.ForeseenBase(&p))
	}
	var first account.Entry
	for try := range session.SettleTries {
		origin, err := a.started(ctx, f, &p)
		if err != nil {
			return nil, err
		}
		w := choose(&p, f.carries(&p, &origin), user)
		w.remember = sn.Modified && sn.Persist
		out, c, err := a.signInto(&w, &p, &origin, f, &g, e)
		if err != nil {
			return nil, err
		}
		c.Set, c.Delete = append(c.Set, set...), append(c.Delete, del...)
		listed, err := a.accounts.List(ctx, a.deviceOf(q), w.session.ID, user, sessionAt(g.Token), out.deadline)
		if err != nil {
			return nil, err
		}
		if try == 0 {
			first = listed
		}
		if first.Marked(listed) {
			return nil, session.ErrEnded // which is why the session that was to be written is gone
		}
		if listed.Places[0].Mark != 0 {
			// Whoever gave the account away after it was looked up ended its sessions before this one
			// was listed.
			if err := a.accounts.Unchanged(ctx, e); err != nil {
				return nil, fmt.Errorf("middleware: account: %w", err)
			}
		}
		err = a.env.Write(ctx, w.session.Key(), c)
		if err == nil {
			if a.accounts.MayLackTombstone(&w.session, w.how == attach, listed, e.Account.ID) {
				err = a.accounts.Confirm(ctx, listed)
			}
			if err != nil {
				return nil, err
			}
			a.replace(ctx, q, w.ends)
			return out, nil
		}
		if !env.Contested(err) {
			if !env.Decided(err) {
				a.sessions.Undo(ctx, &w.session, &c)
			}
			return nil, fmt.Errorf("middleware: session: %w", err)
		}
		// Another request was first. The session that it made decides anew.
		if p.ID != "" {
			if p, err = a.sessions.Load(ctx, p.ID, p.Secret); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("middleware: session: changed too often")
}

// replace ends the session of the person who was signed in before, if there is one.
func (a *Auth) replace(ctx context.Context, q *request, s *session.View) {
	if s == nil {
		return
	}
	if err := a.env.Erase(ctx, s.Key()); err != nil {
		a.env.Log.Event(q, slog.LevelError, "replaced session not ended", reason.Store, slog.Any("error", err))
		return
	}
	a.accounts.Remove(ctx, s.Meta.User, s.ID)
}

// signInto returns the change that signs e in to the session of w, and what the browser is told.
func (a *Auth) signInto(w *winner, p, origin *session.View, f *flow, g *connection.Grant, e *account.Enrolment) (*outcome, sessionstore.Change, error) {
	now, s, user := a.env.Clock(), &w.session, e.Key.ID
	m, c := s.Meta, sessionstore.Change{Tier: sessionstore.Member}
	switch w.how {
	case renew:
		id, err := a.env.RandomText(16)
		if err != nil {
			return nil, c, err
		}
		*s, w.present = session.View{ID: id, Born: env.Version()}, fresh
		m = session.Meta{Created: now}
	case bear:
		s.Born = env.Version()
		m = session.Meta{Created: now, Current: keys.Hash(s.Secret)}
	}
	secret := a.env.Ring[0].Next(s.ID, w.present, user, s.Born)
	switch {
	case w.how == attach && p.Standing == session.Current && g.ACR == m.ACR:
		secret = p.Secret // the same person at the same level: the cookie stays
	case w.how == attach && p.Standing != session.Current:
		// What replaced the cookie that came is sent again, if it followed from it and is to stay: at another
		// level the present secret must not open what the new one does.
		var ok bool
		if secret, ok = a.followed(s, p.Secret, user); !ok || g.ACR != m.ACR {
			secret = a.env.Ring[0].Next(s.ID, hashed+m.Current, user, s.Born)
			m.Rotate(secret, false, now)
		}
	default:
		m.Rotate(secret, false, now)
	}
	m.User, m.Provider, m.ACR, m.Persist = user, g.Provider, g.ACR, m.Persist || w.remember
	m.Deadline = now.Add(a.sessions.Manager.Lifetime).UTC().Truncate(time.Millisecond)
	if w.how != attach {
		m.SignedIn = now
	}
	c.Expires = a.sessions.Expiry(&m, now)
	c.Set = append(make([]sessionstore.Field, 0, 6), // and grant, ending, page, born
		sessionstore.Field{Name: session.FieldMeta, Value: m.Pack(), Version: env.Version()},
		sessionstore.Field{Name: session.FieldUser, Value: e.Packed[1:]})
	connection.KeepGrant(s, &c, *g, false, now)
	back, gone := a.sessions.CameBack(s, origin, f.ending("signed_in"), f.page, user)
	c.Set, c.Delete = append(c.Set, back...), gone
	if w.how == bear || w.how == renew {
		c.Mode = sessionstore.MustNotExist
		c.Set = append(c.Set, a.sessions.BornField(s.Born))
	} else {
		c.If = append(c.If, s.Lineage(), sessionstore.Match{Name: session.FieldMeta, Version: s.MetaVersion})
	}
	return &outcome{session: s.ID, secret: secret, deadline: m.Deadline, persist: m.Persist, user: user, isNew: e.IsNew}, c, nil
}

// reissueLife is how long the cookie of a sign-in is given once more.
const reissueLife = 2 * time.Minute

// shown returns a hash of what the request shows, for [Auth.reissue]. A session that was taken over counts as shown: the
// browser has its cookie from now on, or would have if that answer had not been lost.
func (q *request) shown() string {
	if q.FromFormer {
		return keys.Hash(q.First.ID + "." + q.First.Secret)
	}
	return q.auth.app.Cookies.Shown(q.r)
}

// reissue returns the cookie of a sign-in that is done, for its browser: the first answer may have
// been lost on the way. A browser is that one if it shows what the answered request had shown, as long as
// nobody has shown the new cookie. It is nil for any other, if another cookie has followed, or if
// somebody else has signed in since: a reload does not change who that is.
func (a *Auth) reissue(ctx context.Context, q *request, red *redemption) (*outcome, error) {
	if a.env.Clock().Sub(red.at) > reissueLife || !keys.Same(red.shown, q.shown()) {
		return nil, nil
	}
	p := *q.Now.Load()
	if p.ID != "" { // as it is now: this request may have come before the sign-in ended, and have waited for it
		var err error
		if p, err = a.sessions.Load(ctx, p.ID, p.Secret); err != nil {
			return nil, err
		}
	}
	if p.Standing == session.Current && p.ID == red.session || p.SignedIn() && p.Meta.User != red.user {
		return nil, nil
	}
	s, err := a.sessions.Find(ctx, red.session)
	if err != nil || s.Meta.User == "" || s.Meta.User != red.user || !s.Meta.Unseen {
		return nil, err
	}
	shown := ""
	if p.ID == s.ID {
		shown = p.Secret
	}
	secret, ok := a.followed(&s, shown, red.user)
	if !ok {
		return nil, nil
	}
	return &outcome{session: s.ID, secret: secret, deadline: s.Meta.Deadline, persist: s.Meta.Persist, user: red.user}, nil
}

// followed returns the present secret of s if it followed from the one that the browser shows, or if the
// browser showed none at the sign-in, in which user came back.
func (a *Auth) followed(s *session.View, shown, user string) (string, bool) {
	presents := []string{hashed + s.Meta.Previous, fresh, shown}
	for i := range a.env.Ring {
		for _, present := range presents {
			if secret := a.env.Ring[i].Next(s.ID, present, user, s.Born); keys.Hash(secret) == s.Meta.Current {
				return secret, true
			}
		}
	}
	return "", false
}

// sessionAt returns the session at the provider that t is of.
func sessionAt(t *providers.Token) account.ProviderSession {
	return account.ProviderSession{Issuer: t.Issuer, ID: t.Session}
}
