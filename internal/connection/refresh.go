package connection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

const forcedRest = 30 * time.Second // between two renewals that are asked for

// MaxUnsaved is how many renewed tokens that are not saved yet a process keeps. While there are as many, it renews no
// others.
const MaxUnsaved = 4096

var errUnsaved = errors.New("middleware: refresh: too many renewed tokens are not saved yet")

// current returns the grant that g, which is due, is renewed to. In a context of [WithoutRefresh] it is g as long as it
// is good.
func (a *Connections) current(ctx context.Context, s *session.View, g Grant) (Grant, error) {
	if g.Over(a.env.Clock()) || !byHand(ctx) {
		return a.renew(ctx, s, g, false)
	}
	if g.ended(a.env.Clock()) {
		return Grant{}, fmt.Errorf("%w: %s", ErrTokenExpired, g.ID())
	}
	return g, nil
}

// renew returns the grant that g is renewed to. While g is good for a little longer it is g itself, and the renewal goes
// on in the background. With force, g is renewed although it is good.
func (a *Connections) renew(ctx context.Context, s *session.View, g Grant, force bool) (Grant, error) {
	now := a.env.Clock()
	switch {
	case g.dead, g.Token.Refresh == "" && (force || g.ended(now)):
		return Grant{}, g.reauth()
	case g.Token.Refresh == "", force && now.Sub(g.forced).Abs() < forcedRest && !g.ended(now):
		return g, nil
	}
	for range 2 {
		f := a.join(ctx, s, g, force)
		if f == nil { // nothing may be sent now
			if !force && !g.ended(now) {
				return g, nil
			}
			return Grant{}, a.resting(s, &g)
		}
		if !force && g.lasts(now) {
			select {
			case <-f.done:
			default:
				return g, nil
			}
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return Grant{}, ctx.Err()
		}
		switch {
		case f.err != nil && !force && !final(f.err) && !g.ended(a.env.Clock()):
			return g, nil // a token is good until its end, also while the provider is down
		case f.err != nil:
			return Grant{}, f.err
		case f.grant.version != g.version:
			return f.grant, nil
		}
		// The flight ended with the grant that the caller has, and wants to have renewed.
	}
	return g, nil
}

// final reports whether a later renewal would end with the same err.
func final(err error) bool {
	return errors.Is(err, ErrReauthRequired) || errors.Is(err, session.ErrSignedOut) || errors.Is(err, ErrNotConnected)
}

// join returns the flight in which this process renews g, and begins one if there is none. It is nil if nothing may
// be sent now.
func (a *Connections) join(ctx context.Context, s *session.View, g Grant, force bool) *flight {
	k := grantKey{s.ID, s.Born, g.ID()}
	a.Flights.mu.Lock()
	defer a.Flights.mu.Unlock()
	if f := a.Flights.under[k]; f != nil && !f.past(&g) {
		return f
	}
	if a.rest(s, &g) > 0 || a.Flights.Unsaved.Load() >= MaxUnsaved || !a.env.Background.Enter() {
		return nil
	}
	f := &flight{key: k, about: g.version, done: make(chan struct{})}
	a.Flights.under[k] = f
	r := &renewal{
		result: result{
			record: record{a, k}, publication: publication{flights: &a.Flights, flight: f}, provider: a.Providers[g.Provider],
			seen: g.version, force: force,
		},
		breaker: a.breakers[g.Provider],
	}
	go r.do(context.WithoutCancel(ctx), *s)
	return f
}

// rest returns for how long no renewal of g should be tried.
func (a *Connections) rest(s *session.View, g *Grant) time.Duration {
	m := markOf(s, g.ID(), g.version)
	if m.owner != "" {
		return 0 // another process renews it, or did
	}
	return max(a.breakers[g.Provider].rest(), m.rest(a.env.Clock()))
}

// resting returns the error of a grant that is not renewed now.
func (a *Connections) resting(s *session.View, g *Grant) error {
	if d := a.rest(s, g); d > 0 {
		return unavailable(g.Provider, d)
	}
	if a.env.Background.Stopping() {
		return reason.New(reason.Closing, nil)
	}
	return reason.New(reason.Store, errUnsaved)
}

// Token returns a token of that connection of q's session that is good now; provider "" is the one of the sign-in. With
// force it is renewed first. A connection that is not there, or has ended, is a [*Shortfall].
func (a *Connections) Token(ctx context.Context, q *session.Request, provider, label string, force bool) (*providers.Token, error) {
	s := q.View()
	g, err := a.connection(ctx, s, provider, label)
	if err != nil {
		return nil, err
	}
	if !force && !g.due(a.env.Clock()) {
		return g.Token, nil
	}
	if a.Providers[g.Provider] == nil {
		return nil, notConfigured(g.Provider)
	}
	var next Grant
	if force {
		next, err = a.renew(ctx, s, g, true)
	} else {
		next, err = a.current(ctx, s, g)
	}
	if err != nil {
		return nil, err
	}
	if next.version != g.version {
		q.ShowField(next.field())
	}
	return next.Token, nil
}
