package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// renewal is the work of one flight.
type renewal struct {
	auth     *Auth
	key      flightKey
	flight   *flight
	provider providers.Provider
	breaker  *breaker
	seen     uint64 // version of the grant that is to be renewed
	force    bool

	published bool
	hold      *hold // of the mark; nil before there is one
	unheard   int   // requests with this token that got no answer
	tries     int
	began     time.Time    // of the first try
	change    *TokenChange // for OnToken
}

// fly renews the grant and tells everybody who waits. No client's connection ends it.
func (r *renewal) fly(ctx context.Context, s session) {
	a := r.auth
	defer a.callbacks.Done()
	defer func() {
		if p := recover(); p != nil { // in a Provider or a hook of the app's: it takes nobody else along
			r.fell(ctx, p)
			_ = r.hold.release(ctx, r.unheard)
			r.land(grant{}, unavailable(r.provider.Name(), 0))
		}
		r.hold.stop()
	}()
	g, err := r.run(ctx, s)
	r.land(g, err)
	if r.change != nil && a.onToken != nil {
		a.onToken(ctx, r.change)
	}
}

// fell logs a panic, without what it says.
func (r *renewal) fell(ctx context.Context, p any) {
	r.auth.event(ctx, slog.LevelError, "refresh panicked", ReasonRefresh,
		slog.String("connection", r.key.id), slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
}

// land ends the flight: those who wait go on, and those who come later begin another.
func (r *renewal) land(g grant, err error) {
	fs := &r.auth.flights
	fs.mu.Lock()
	if fs.under[r.key] == r.flight {
		delete(fs.under, r.key)
	}
	fs.mu.Unlock()
	r.publish(g, err)
}

// publish gives the result to whoever waits, or will.
func (r *renewal) publish(g grant, err error) {
	if r.published {
		return
	}
	r.published = true
	r.flight.grant, r.flight.err = g, err
	close(r.flight.done)
}

// run takes the grant to where it is renewed, by whomever, or cannot be.
func (r *renewal) run(ctx context.Context, s session) (grant, error) {
	a := r.auth
	within, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	var wait patience
	for again := false; ; again = true {
		if again {
			var err error
			if s, err = a.find(within, r.key.session); err != nil {
				return grant{}, r.giveUp(ctx, unsent, problem(ReasonStore, err))
			}
		}
		g, err := r.holds(&s)
		if err != nil {
			return grant{}, err
		}
		if g.version != r.seen && !g.due(a.now()) {
			return g, nil // somebody else was first
		}
		r.seen = g.version
		m := s.mark(&g)
		if !r.hold.owns(m) {
			if m.owner != "" && !wait.over(m.version) {
				others := a.flights.waiting.Add(1) - 1
				err := wait.pause(within, int(others))
				a.flights.waiting.Add(-1)
				if err != nil {
					return grant{}, unavailable(g.provider, 0)
				}
				continue
			}
			r.unheard = m.unheard
		}
		t, v, err := r.attempt(within, &s, &g, m)
		switch {
		case contested(err):
			continue
		case v == renewed:
			return r.save(ctx, &s, &g, t)
		case v == spent || v == unusable || v == foreign:
			if err := r.bury(ctx, &g, v, err); !contested(err) {
				return grant{}, err
			}
			continue // it has been renewed by another
		case r.again(within, v, err):
			continue
		}
		return grant{}, r.giveUp(ctx, v, err)
	}
}

// holds returns the grant that s holds, or why there is nothing to renew.
func (r *renewal) holds(s *session) (grant, error) {
	if s.born != r.key.born {
		return grant{}, ErrSignedOut
	}
	g, ok := s.held(r.key.id)
	if !ok {
		return grant{}, notConnected(r.key.id)
	}
	if g.dead {
		return grant{}, g.reauth()
	}
	return g, nil
}

// attempt sets the mark, asks the provider, and returns what it said.
func (r *renewal) attempt(ctx context.Context, s *session, g *grant, m mark) (*providers.Token, verdict, error) {
	a := r.auth
	if d := (mark{unheard: r.unheard, sent: m.sent}).rest(a.now()); d > 0 {
		return nil, unsent, unavailable(g.provider, d)
	}
	if err := r.breaker.enter(ctx); err != nil {
		return nil, unsent, err
	}
	result, retry := unasked, time.Duration(0)
	defer func() { r.breaker.leave(result, retry) }()
	// From now on whoever finds the mark knows that the token may have been sent.
	if err := r.claim(ctx, s, g, m); err != nil {
		return nil, unsent, err
	}
	if r.tries++; r.tries == 1 {
		r.began = time.Now()
	}
	result = unanswered // what a panic leaves behind
	w := &wire{base: transport(a.client), hold: r.hold}
	client := &http.Client{Transport: w, Timeout: a.client.Timeout}
	t, err := r.provider.Refresh(context.WithValue(ctx, oauth2.HTTPClient, client), g.token)
	if w.tooLate() {
		result, r.unheard = unasked, r.unheard-1
		return nil, unsent, sessionstore.ErrConflict // somebody may have been first
	}
	v := w.judge(err)
	if v != lost {
		r.unheard--
	}
	if v != busy && v != lost {
		result = replied
	}
	var e *providers.Error
	if errors.As(err, &e) {
		retry = e.RetryAfter
		if e.Code == "invalid_client" {
			retry = clientRest // it is not this token's fault, and will be the same for the next
		}
	}
	return t, v, err
}

func rejectsClient(e *providers.Error) bool {
	return e.Code == "invalid_client" || e.Code == "unauthorized_client"
}

const (
	maxTries  = 3
	quickTime = time.Second // a failure that takes longer is not tried again while somebody waits
	tryRest   = 100 * time.Millisecond
)

// again waits before the next try, and reports whether there is one.
func (r *renewal) again(ctx context.Context, v verdict, err error) bool {
	if v != busy && v != lost || r.tries >= maxTries || time.Since(r.began) > quickTime {
		return false
	}
	rest := tryRest<<r.tries + time.Duration(version()%uint64(tryRest))
	var e *providers.Error
	if errors.As(err, &e) && e.RetryAfter > rest || r.breaker.rest() > 0 || r.unheard >= maxUnheard {
		return false
	}
	return pause(ctx, rest) == nil
}

// giveUp leaves the grant as it is, for a later refresh, and returns what the caller is told.
func (r *renewal) giveUp(ctx context.Context, v verdict, err error) error {
	if r.tries == 0 {
		return err
	}
	a := r.auth
	var e *providers.Error
	if level := slog.LevelWarn; v == refused {
		if errors.As(err, &e) && rejectsClient(e) {
			level = slog.LevelError
		}
		if e == nil || e.Code != "invalid_client" {
			r.unheard = maxUnheard // remembered, and not repeated at once
		}
		a.event(ctx, level, "provider refuses to renew a token: check the client id and secret", ReasonRefresh,
			slog.String("connection", r.key.id), slog.Any("error", err))
	} else {
		a.event(ctx, level, "token not renewed", ReasonUnavailable, slog.String("connection", r.key.id), slog.Any("error", err))
	}
	if err := r.hold.release(ctx, r.unheard); err != nil {
		a.event(ctx, slog.LevelWarn, "refresh mark not released", ReasonStore, slog.Any("error", err))
	}
	var p *Problem
	if errors.Is(err, providers.ErrUnavailable) || errors.As(err, &p) {
		return err
	}
	// Whatever it is, the person can do nothing about it but wait.
	return fmt.Errorf("middleware: refresh: %w: %w", providers.ErrUnavailable, err)
}

const (
	saveTime = time.Second           // after which a token is used although it is not saved
	saveRest = 50 * time.Millisecond // before the second try
	saveSlow = 5 * time.Second       // between later ones
	holdTime = time.Hour             // for a token that does not say when it ends
)

// save stores what the provider gave for g. If the store cannot take it, it is used from memory after
// a while, and tried until it ends: to throw it away would end the connection.
func (r *renewal) save(ctx context.Context, s *session, g *grant, t *providers.Token) (grant, error) {
	a := r.auth
	next := *g
	next.token, next.issued, next.forced, next.version = t, a.now(), time.Time{}, version()
	if r.force {
		next.forced = next.issued
	}
	c := sessionstore.Change{
		If:     []sessionstore.Match{s.lineage(), {Name: prefixGrant + r.key.id, Version: g.version}},
		Set:    []sessionstore.Field{next.field()},
		Delete: []string{prefixMark + r.key.id},
	}
	end := t.Expiry
	if end.IsZero() {
		end = next.issued.Add(holdTime)
	}
	began, failures := time.Now(), 0
	for rest := saveRest; ; rest = min(2*rest, saveSlow) {
		err := r.update(ctx, c)
		if err == nil {
			r.changed(s, g, t)
			a.event(ctx, slog.LevelInfo, "token renewed", "", slog.String("connection", r.key.id))
			return next, nil
		}
		if contested(err) {
			return r.overtaken(ctx, g, &next)
		}
		a.event(ctx, slog.LevelError, "renewed token not saved", ReasonStore, slog.String("connection", r.key.id), slog.Any("error", err))
		// A process that was stopped for a while tries at least twice: another may have been first.
		if failures++; failures > 2 && time.Since(began) >= saveTime {
			r.publish(next, nil)
		}
		if !a.now().Before(end) {
			return grant{}, problem(ReasonStore, err)
		}
		_ = pause(ctx, rest) // ctx does not end
	}
}

// overtaken returns what counts, when was could not be made next because the session has changed.
func (r *renewal) overtaken(ctx context.Context, was, next *grant) (grant, error) {
	a := r.auth
	within, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	s, err := a.find(within, r.key.session)
	if err != nil {
		return grant{}, problem(ReasonStore, err)
	}
	g, err := r.holds(&s)
	switch {
	case errors.Is(err, ErrSignedOut) || errors.Is(err, ErrNotConnected) || err == nil && g.user != was.user:
		// What nobody can use any more, nobody should find either.
		a.revoke(ctx, r.provider, next.token)
	case err == nil && g.version == next.version: // by a write that seemed to fail
		r.changed(&s, &g, next.token)
	case err == nil && g.token.Refresh == was.token.Refresh:
		// A sign-in in between has kept what was traded here, see [grant.after].
		t := *next.token
		if g.token.Access != was.token.Access {
			t = *g.token
			t.Refresh = next.token.Refresh
		}
		if t.Access != g.token.Access || t.Refresh != g.token.Refresh {
			return r.save(ctx, &s, &g, &t)
		}
	}
	return g, err // what was written first
}

// bury ends the grant, unless it has changed since the provider said that it is over.
func (r *renewal) bury(ctx context.Context, g *grant, v verdict, cause error) error {
	a := r.auth
	within, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	s, err := a.find(within, r.key.session)
	if err != nil {
		return problem(ReasonStore, err)
	}
	now, err := r.holds(&s)
	if err != nil {
		return err
	}
	if now.version != g.version {
		return sessionstore.ErrConflict
	}
	c := sessionstore.Change{If: []sessionstore.Match{s.lineage(), {Name: prefixGrant + r.key.id, Version: g.version}}}
	if v == foreign && g.user == s.meta.user {
		// Whoever is signed in is not who the provider speaks of.
		c.Expires = time.Unix(0, 0)
		if err := r.update(ctx, c); err != nil {
			return err
		}
		a.delist(within, s.meta.user, s.id)
		a.event(ctx, slog.LevelError, "session ended: refresh answered for somebody else", ReasonIdentity, slog.String("connection", r.key.id))
		return ErrSignedOut
	}
	end := now
	t := *now.token
	t.Access, t.Refresh = "", ""
	end.token, end.dead, end.version = &t, true, version()
	c.Set, c.Delete = []sessionstore.Field{end.field()}, []string{prefixMark + r.key.id}
	if err := r.update(ctx, c); err != nil {
		return err
	}
	r.changed(&s, g, nil)
	what := "connection ended by the provider"
	if errors.Is(cause, providers.ErrNoRefresh) {
		what = "connection ended: there is nothing to renew it with" // the provider was not asked
	}
	a.event(ctx, slog.LevelWarn, what, ReasonRefresh, slog.String("connection", r.key.id), slog.Any("error", cause))
	return g.reauth()
}

// update writes to the session's record, whoever has gone meanwhile. A panic of the app's store is an
// error as any: no request is there that could fail of it, and a renewed token is to be saved all the same.
func (r *renewal) update(ctx context.Context, c sessionstore.Change) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r.fell(ctx, p)
			err = errors.New("middleware: store panicked")
		}
	}()
	return r.auth.store.Update(ctx, sessionstore.Key{Kind: kindSession, ID: r.key.session}, c)
}

// changed notes what OnToken is told.
func (r *renewal) changed(s *session, g *grant, t *providers.Token) {
	f, _ := s.record.Field(fieldUser)
	acc, err := unpackAccount(f.Value)
	if err != nil {
		return
	}
	r.change = &TokenChange{Account: &acc, Provider: g.provider, Label: g.label}
	if t != nil {
		own := *t
		r.change.Token = &own
	}
}
