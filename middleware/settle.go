package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

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
	session session
	how     how
	present string   // what its next secret follows from
	ends    *session // the one of somebody else, which the sign-in replaces

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
func choose(p, f *session, user string) winner {
	switch {
	case p.signedIn() && p.meta.user == user:
		return winner{session: *p, present: p.secret}
	case p.standing == before && p.meta.user == user:
		return winner{session: *p, present: p.secret}
	case p.signedIn():
		return winner{how: renew, ends: p}
	case f.born != 0 && f.meta.user == "":
		if p.id == f.id && p.opens() {
			return winner{how: rebind, session: *f, present: p.secret}
		}
		return winner{how: rebind, session: *f, present: hashed + f.meta.current}
	case p.standing == unborn:
		return winner{how: bear, session: *p, present: p.secret}
	case p.anonymous():
		return winner{how: rebind, session: *p, present: p.secret}
	}
	return winner{how: renew}
}

// What a secret follows from when the browser did not show the one before. No secret looks like it.
const (
	hashed = "hash " // and the hash of the one before
	fresh  = "fresh" // there was none
)

const settleTries = 32 // sixteen tabs may end at once

// settle signs in whoever came back with g.
func (a *Auth) settle(ctx context.Context, q *request, f *flow, g grant, id *providers.Identity) (*outcome, *Problem) {
	if f.purpose != signIn {
		return a.extend(ctx, q, f, g, id)
	}
	e, err := a.enrol(ctx, g.user, id)
	if err != nil {
		return nil, problem(ReasonStore, err)
	}
	e.account.Provider = g.provider
	former, err := a.foresee(ctx, q, f, e.key.ID)
	if err != nil {
		a.drop(ctx, e)
		return nil, problem(ReasonStore, err)
	}
	defer q.foreseen(nil)
	if err := a.welcome(ctx, e, g, former); err != nil {
		a.drop(ctx, e)
		return nil, unwelcome(err)
	}
	// The app knows the person now. Whatever happens next, they are not new again.
	if err := a.keep(ctx, e); err != nil {
		a.drop(ctx, e)
		return nil, problem(ReasonStore, err)
	}
	out, err := a.attach(ctx, q, f, g, e)
	if errors.Is(err, errEnded) {
		return nil, problem(ReasonSessionChanged, err)
	}
	if err != nil {
		return nil, problem(ReasonStore, err)
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
	p := *q.session.Load()
	origin, err := a.started(ctx, f, &p)
	if err != nil {
		return false, err
	}
	s := choose(&p, f.carries(&p, &origin), user).session
	if s.born != 0 {
		s.standing = current // whatever the cookie says: its person is here
	}
	q.foreseen(&s)
	_, former = s.record.Field(fieldFormer)
	return former, nil
}

// clocks is how far those of two replicas may differ where one thing is to come before another.
const clocks = time.Minute

// started returns the session in which f started, as it is now; p is the one that the callback shows. Where
// the browser shows another, and does not know that f started there, it may be anybody's: then there is
// none.
func (a *Auth) started(ctx context.Context, f *flow, p *session) (session, error) {
	s, err := *p, error(nil)
	if f.session != p.id {
		if !f.home {
			return session{}, nil
		}
		s, err = a.find(ctx, f.session)
	}
	if began := f.expires.Add(-flowLife); !s.opens() && s.meta.user == "" && !s.meta.renewed.IsZero() && began.Before(s.meta.renewed.Add(clocks)) {
		return session{}, err // by whoever knew a cookie from before RenewToken
	}
	return s, err
}

// carries returns origin if the sign-in may be attached to it. The binding of a flow that was retired may be
// known to others since: of origin then comes back what was saved for the page, and nothing else.
func (f *flow) carries(p, origin *session) *session {
	if f.session != p.id && f.retired {
		return &session{}
	}
	return origin
}

// welcome calls the app's OnLogin. A panic in it is the app's, and goes on; but it must not leave
// the account held.
func (a *Auth) welcome(ctx context.Context, e *enrolment, g grant, former bool) error {
	if a.onLogin == nil {
		return nil
	}
	returned := false
	defer func() {
		if !returned {
			a.drop(ctx, e)
		}
	}()
	t := *g.token
	err := a.onLogin(ctx, &Login{Account: e.account, IsNew: e.isNew, Provider: g.provider, Token: &t, Former: former})
	returned = true
	if err == nil && e.account.ID == "" {
		return errors.New("middleware: OnLogin: empty Account.ID")
	}
	return err
}

// attach saves the sign-in in the session that wins, in one change.
func (a *Auth) attach(ctx context.Context, q *request, f *flow, g grant, e *enrolment) (*outcome, error) {
	sn, err := q.snap() // what OnLogin put into the session
	if err != nil {
		return nil, err
	}
	p, user := *q.session.Load(), e.key.ID
	var set []sessionstore.Field
	var del []string
	if sn.modified {
		set, del = sn.diff(q.foreseenBase(&p))
	}
	var first entry
	for try := range settleTries {
		origin, err := a.started(ctx, f, &p)
		if err != nil {
			return nil, err
		}
		w := choose(&p, f.carries(&p, &origin), user)
		w.remember = sn.modified && sn.persist
		out, c, err := a.signInto(&w, &p, &origin, f, &g, e)
		if err != nil {
			return nil, err
		}
		c.Set, c.Delete = append(c.Set, set...), append(c.Delete, del...)
		listed, err := a.list(ctx, q, w.session.id, user, g.token, out.deadline)
		if err != nil {
			return nil, err
		}
		if try == 0 {
			first = listed
		}
		if first.marked(listed) {
			return nil, errEnded // which is why the session that was to be written is gone
		}
		if listed.places[0].mark != 0 {
			// Whoever gave the account away after it was looked up ended its sessions before this one
			// was listed.
			if err := a.unchanged(ctx, e); err != nil {
				return nil, fmt.Errorf("middleware: account: %w", err)
			}
		}
		err = a.write(ctx, w.session.key(), c)
		if err == nil {
			if a.unburied(&w, listed, e.account.ID) {
				err = a.confirm(ctx, listed)
			}
			if err != nil {
				return nil, err
			}
			a.replace(ctx, q, w.ends)
			return out, nil
		}
		if !contested(err) {
			if !decided(err) {
				a.undo(ctx, &w.session, &c)
			}
			return nil, fmt.Errorf("middleware: session: %w", err)
		}
		// Another request was first. The session that it made decides anew.
		if p.id != "" {
			if p, err = a.load(ctx, p.id, p.secret); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("middleware: session: changed too often")
}

// replace ends the session of the person who was signed in before, if there is one.
func (a *Auth) replace(ctx context.Context, q *request, s *session) {
	if s == nil {
		return
	}
	if err := a.erase(ctx, s.key()); err != nil {
		a.event(q, slog.LevelError, "replaced session not ended", ReasonStore, slog.Any("error", err))
		return
	}
	a.delist(ctx, s.meta.user, s.id)
}

// signInto returns the change that signs e in to the session of w, and what the browser is told.
func (a *Auth) signInto(w *winner, p, origin *session, f *flow, g *grant, e *enrolment) (*outcome, sessionstore.Change, error) {
	now, s, user := a.now(), &w.session, e.key.ID
	m, c := s.meta, sessionstore.Change{Tier: sessionstore.Member}
	switch w.how {
	case renew:
		id, err := a.randomText(16)
		if err != nil {
			return nil, c, err
		}
		*s, w.present = session{id: id, born: version()}, fresh
		m = meta{created: now}
	case bear:
		s.born = version()
		m = meta{created: now, current: hash(s.secret)}
	}
	secret := a.secrets[0].next(s.id, w.present, user, s.born)
	switch {
	case w.how == attach && p.standing == current && g.acr == m.acr:
		secret = p.secret // the same person at the same level: the cookie stays
	case w.how == attach && p.standing != current:
		// What replaced the cookie that came is sent again, if it followed from it and is to stay: at another
		// level the present secret must not open what the new one does.
		var ok bool
		if secret, ok = a.followed(s, p.secret, user); !ok || g.acr != m.acr {
			secret = a.secrets[0].next(s.id, hashed+m.current, user, s.born)
			m.rotate(secret, false, now)
		}
	default:
		m.rotate(secret, false, now)
	}
	m.user, m.provider, m.acr, m.persist = user, g.provider, g.acr, m.persist || w.remember
	m.deadline = now.Add(a.sessions.Lifetime).UTC().Truncate(time.Millisecond)
	if w.how != attach {
		m.signedIn = now
	}
	c.Expires = a.expiry(&m, now)
	c.Set = append(make([]sessionstore.Field, 0, 6), // and grant, ending, page, born
		sessionstore.Field{Name: fieldMeta, Value: m.pack(), Version: version()},
		sessionstore.Field{Name: fieldUser, Value: e.packed[1:]})
	s.keep(&c, *g, false, now)
	back, gone := a.cameBack(s, origin, f, user)
	c.Set, c.Delete = append(c.Set, back...), gone
	if w.how == bear || w.how == renew {
		c.Mode = sessionstore.MustNotExist
		c.Set = append(c.Set, a.site.born(s.born))
	} else {
		c.If = append(c.If, s.lineage(), sessionstore.Match{Name: fieldMeta, Version: s.metaVersion})
	}
	return &outcome{session: s.id, secret: secret, deadline: m.deadline, persist: m.persist, user: user, isNew: e.isNew}, c, nil
}

// reissueLife is how long the cookie of a sign-in is given once more.
const reissueLife = 2 * time.Minute

// shown returns a hash of what the request shows, for [Auth.reissue]. A session that was taken over counts as shown: the
// browser has its cookie from now on, or would have if that answer had not been lost.
func (q *request) shown() string {
	if q.heir {
		return hash(q.first.id + "." + q.first.secret)
	}
	return q.auth.cookies.shown(q.r)
}

// reissue returns the cookie of a sign-in that is done, for its browser: the first answer may have
// been lost on the way. A browser is that one if it shows what the answered request had shown, as long as
// nobody has shown the new cookie. It is nil for any other, if another cookie has followed, or if
// somebody else has signed in since: a reload does not change who that is.
func (a *Auth) reissue(ctx context.Context, q *request, red *redemption) (*outcome, error) {
	if a.now().Sub(red.at) > reissueLife || !same(red.shown, q.shown()) {
		return nil, nil
	}
	p := *q.session.Load()
	if p.id != "" { // as it is now: this request may have come before the sign-in ended, and have waited for it
		var err error
		if p, err = a.load(ctx, p.id, p.secret); err != nil {
			return nil, err
		}
	}
	if p.standing == current && p.id == red.session || p.signedIn() && p.meta.user != red.user {
		return nil, nil
	}
	s, err := a.find(ctx, red.session)
	if err != nil || s.meta.user == "" || s.meta.user != red.user || !s.meta.unseen {
		return nil, err
	}
	shown := ""
	if p.id == s.id {
		shown = p.secret
	}
	secret, ok := a.followed(&s, shown, red.user)
	if !ok {
		return nil, nil
	}
	return &outcome{session: s.id, secret: secret, deadline: s.meta.deadline, persist: s.meta.persist, user: red.user}, nil
}

// followed returns the present secret of s if it followed from the one that the browser shows, or if the
// browser showed none at the sign-in, in which user came back.
func (a *Auth) followed(s *session, shown, user string) (string, bool) {
	presents := []string{hashed + s.meta.previous, fresh, shown}
	for i := range a.secrets {
		for _, present := range presents {
			if secret := a.secrets[i].next(s.id, present, user, s.born); hash(secret) == s.meta.current {
				return secret, true
			}
		}
	}
	return "", false
}
