package signin

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

// An Outcome is the session that a sign-in ended in, and the cookie that the browser gets for it.
type Outcome struct {
	session  string
	secret   string // "" if the browser has it
	deadline time.Time
	persist  bool
	user     string
	isNew    bool
	unmet    bool // a step-up came back without what it was for
}

// settle signs in the person who came back with g.
func (a *SignIns) settle(ctx context.Context, q *session.Request, b Browser, f *Flow, g connection.Grant, id *providers.Identity) (*Outcome, error) {
	if f.Purpose != SignIn {
		return a.extend(ctx, q, f, g, id)
	}
	e, err := a.accounts.Enrol(ctx, g.User, id)
	if err != nil {
		return nil, reason.New(reason.Store, err)
	}
	e.Account.Provider = g.Provider
	former, err := a.foresee(ctx, q, f, e.Key.ID)
	if err != nil {
		a.accounts.Drop(ctx, e)
		return nil, reason.New(reason.Store, err)
	}
	defer q.Preview(nil)
	if err := a.admit(ctx, e, g, former); err != nil {
		a.accounts.Drop(ctx, e)
		return nil, err
	}
	out, err := a.attach(ctx, q, b, f, g, e)
	if err != nil && e.Pending() {
		// The app knows the person now. Whatever has failed, they are not new again.
		if failed := a.accounts.Keep(ctx, e); failed != nil {
			a.accounts.Drop(ctx, e)
		}
	}
	if errors.Is(err, session.ErrEnded) {
		return nil, reason.New(reason.SessionChanged, err)
	}
	if err != nil {
		return nil, reason.New(reason.Store, err)
	}
	return out, nil
}

// foresee lets OnLogin see the session that the sign-in is about to end in: not that of somebody
// else who is signed in in this browser, whose values it might take for this person's. It reports whether that
// session was taken over from a [session.Former].
func (a *SignIns) foresee(ctx context.Context, q *session.Request, f *Flow, user string) (former bool, err error) {
	if a.OnLogin == nil {
		return false, nil
	}
	p := *q.Now.Load()
	origin, err := a.started(ctx, f, &p)
	if err != nil {
		return false, err
	}
	s := Choose(&p, f.carries(&p, &origin), user).Session
	if s.Born != 0 {
		s.Standing = session.Current // whatever the cookie says: its person is here
	}
	q.Preview(&s)
	_, former = s.Record.Field(session.FieldFormer)
	return former, nil
}

// clocks is how far those of two replicas may differ where one thing is to come before another.
const clocks = time.Minute

// started returns the session in which f started, as it is now; p is the one that the callback shows. Where
// the browser shows another, and does not know that f started there, it may be anybody's: then there is
// none.
func (a *SignIns) started(ctx context.Context, f *Flow, p *session.View) (session.View, error) {
	s, err := *p, error(nil)
	if f.session != p.ID {
		if !f.home {
			return session.View{}, nil
		}
		s, err = a.sessions.Find(ctx, f.session)
	}
	if began := f.expires.Add(-flowLife); !s.Opens() && s.Meta.User == "" && !s.Meta.Renewed.IsZero() && began.Before(s.Meta.Renewed.Add(clocks)) {
		return session.View{}, err // the flow was started with a cookie from before RenewToken
	}
	return s, err
}

// carries returns origin if the sign-in may be attached to it. The binding of a flow that was retired may be
// known to others since: of origin then comes back what was saved for the page, and nothing else.
func (f *Flow) carries(p, origin *session.View) *session.View {
	if f.session != p.ID && f.retired {
		return &session.View{}
	}
	return origin
}

// admit calls the app's OnLogin. A panic in it is the app's, and goes on; but it must not leave
// the account held.
func (a *SignIns) admit(ctx context.Context, e *account.Enrolment, g connection.Grant, former bool) error {
	if a.OnLogin == nil {
		return nil
	}
	returned := false
	defer func() {
		if !returned {
			a.accounts.Drop(ctx, e)
		}
	}()
	t := *g.Token
	err := a.accounts.Admit(e, func() error {
		return a.OnLogin(ctx, &Admission{Account: e.Account, IsNew: e.IsNew, Provider: g.Provider, Token: &t, Former: former})
	})
	returned = true
	return err
}

// attach saves the sign-in in the session that wins, in one change.
func (a *SignIns) attach(ctx context.Context, q *session.Request, b Browser, f *Flow, g connection.Grant, e *account.Enrolment) (*Outcome, error) {
	sn, err := q.Snap() // what OnLogin put into the session
	if err != nil {
		return nil, err
	}
	p, user := *q.Now.Load(), e.Key.ID
	var set []sessionstore.Field
	var del []string
	if sn.Modified {
		set, del = sn.Diff(q.PreviewBase(&p))
	}
	var first account.Entry
	for try := range session.SettleTries {
		origin, err := a.started(ctx, f, &p)
		if err != nil {
			return nil, err
		}
		w := Choose(&p, f.carries(&p, &origin), user)
		w.remember = sn.Modified && sn.Persist
		out, c, err := a.signInto(&w, &p, &origin, f, &g, e)
		if err != nil {
			return nil, err
		}
		c.Set, c.Delete = append(c.Set, set...), append(c.Delete, del...)
		listed, err := a.accounts.List(ctx, e, b.Device(), w.Session.ID, sessionAt(g.Token), out.deadline)
		if err != nil {
			return nil, err
		}
		if try == 0 {
			first = listed
		}
		if first.Marked(listed) {
			return nil, session.ErrEnded // which is why the session that was to be written is gone
		}
		err = a.env.Write(ctx, w.Session.Key(), c)
		if err == nil {
			if a.accounts.MayLackTombstone(&w.Session, w.How == Attach, listed, e.Account.ID) {
				err = a.accounts.Confirm(ctx, listed)
			}
			if err != nil {
				return nil, err
			}
			a.replace(ctx, q, w.Ends)
			return out, nil
		}
		if !env.Contested(err) {
			if !env.Decided(err) {
				a.sessions.Undo(ctx, &w.Session, &c)
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
func (a *SignIns) replace(ctx context.Context, q *session.Request, s *session.View) {
	if s == nil {
		return
	}
	if err := a.env.Erase(ctx, s.Key()); err != nil {
		a.env.Log.Event(q.Outer, slog.LevelError, "replaced session not ended", reason.Store, slog.Any("error", err))
		return
	}
	a.accounts.Remove(ctx, s.Meta.User, s.ID)
}

// signInto returns the change that signs e in to the session of w, and what the browser is told.
func (a *SignIns) signInto(w *Winner, p, origin *session.View, f *Flow, g *connection.Grant, e *account.Enrolment) (*Outcome, sessionstore.Change, error) {
	now, s, user := a.env.Clock(), &w.Session, e.Key.ID
	m, c := s.Meta, sessionstore.Change{Tier: sessionstore.Member}
	switch w.How {
	case Renew:
		id, err := a.env.RandomText(16)
		if err != nil {
			return nil, c, err
		}
		*s, w.Present = session.View{ID: id, Born: env.Version()}, fresh
		m = session.Meta{Created: now}
	case Create:
		s.Born = env.Version()
		m = session.Meta{Created: now, Current: keys.Hash(s.Secret)}
	}
	secret := a.env.Ring[0].Next(s.ID, w.Present, user, s.Born)
	switch {
	case w.How == Attach && p.Standing == session.Current && g.ACR == m.ACR:
		secret = p.Secret // the same person at the same level: the cookie stays
	case w.How == Attach && p.Standing != session.Current:
		// The browser gets the secret that has replaced its own, if that follows from its own and is to stay: at
		// another level, the present secret must not open what the new one does.
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
	if w.How != Attach {
		m.SignedIn = now
	}
	c.Expires = a.sessions.Expiry(&m, now)
	c.Set = append(make([]sessionstore.Field, 0, 6), // and grant, ending, page, born
		sessionstore.Field{Name: session.FieldMeta, Value: m.Pack(), Version: env.Version()},
		sessionstore.Field{Name: session.FieldUser, Value: e.Packed()})
	connection.KeepGrant(s, &c, *g, false, now)
	back, gone := a.sessions.ReturnFields(s, origin, f.ending("signed_in"), f.Page, user)
	c.Set, c.Delete = append(c.Set, back...), gone
	if w.How == Create || w.How == Renew {
		c.Mode = sessionstore.MustNotExist
		c.Set = append(c.Set, a.sessions.BornField(s.Born))
	} else {
		c.If = append(c.If, s.Lineage(), sessionstore.Match{Name: session.FieldMeta, Version: s.MetaVersion})
	}
	return &Outcome{session: s.ID, secret: secret, deadline: m.Deadline, persist: m.Persist, user: user, isNew: e.IsNew}, c, nil
}

// sessionAt returns the session at the provider that t is of.
func sessionAt(t *providers.Token) account.ProviderSession {
	return account.ProviderSession{Issuer: t.Issuer, ID: t.Session}
}

// An Admission is what the app is asked before a person is signed in: see Login of the package middleware. The app
// may set the ID of Account.
type Admission struct {
	Account  *account.Account
	IsNew    bool
	Provider string
	Token    *providers.Token
	Former   bool
}
