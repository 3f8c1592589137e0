package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// A TokenChange is what [Config].OnToken is told.
type TokenChange struct {
	Account         *Account // who is signed in, as of the sign-in
	Provider, Label string
	Token           *providers.Token // the new one; nil: the provider has ended the connection
}

// flight is the one refresh of a grant in this process. A request that needs its result waits for it.
type flight struct {
	about uint64        // version of the grant that it began with
	done  chan struct{} // closed when the others are set
	grant grant
	err   error
}

// past reports that f has told what there is to tell, and g has come after it: a renewal that watches
// the mark of another process finds that out a moment later.
func (f *flight) past(g *grant) bool {
	select {
	case <-f.done:
		return f.about != g.version
	default:
		return false
	}
}

type flightKey struct {
	session string
	born    uint64
	id      string // of the grant
}

type flights struct {
	mu    sync.Mutex
	under map[flightKey]*flight

	waiting atomic.Int32 // for other processes
	unsaved atomic.Int32 // renewed tokens that the store has not taken yet
}

const (
	refreshTime = 30 * time.Second // for waiting, and for one request; less than [deadTime]
	forcedRest  = 30 * time.Second
	maxUnsaved  = 4096 // renewed tokens that a process keeps: while there are more, it renews no others
)

var errUnsaved = errors.New("middleware: refresh: too many renewed tokens are not saved yet")

// current returns g, which is due, as it is to be used now.
func (a *Auth) current(ctx context.Context, s *session.View, g grant) (grant, error) {
	if g.over(a.env.Clock()) || !byHand(ctx) {
		return a.renew(ctx, s, g, false)
	}
	if g.ended(a.env.Clock()) {
		return grant{}, fmt.Errorf("%w: %s", ErrTokenExpired, g.id())
	}
	return g, nil
}

// renew returns what g becomes: itself while it is good and its renewal can go on alongside. With
// force it is renewed whatever its age.
func (a *Auth) renew(ctx context.Context, s *session.View, g grant, force bool) (grant, error) {
	now := a.env.Clock()
	switch {
	case g.dead, g.token.Refresh == "" && (force || g.ended(now)):
		return grant{}, g.reauth()
	case g.token.Refresh == "", force && now.Sub(g.forced).Abs() < forcedRest && !g.ended(now):
		return g, nil
	}
	for range 2 {
		f := a.join(ctx, s, g, force)
		if f == nil { // nothing may be sent now
			if !force && !g.ended(now) {
				return g, nil
			}
			return grant{}, a.resting(s, &g)
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
			return grant{}, ctx.Err()
		}
		switch {
		case f.err != nil && !force && !final(f.err) && !g.ended(a.env.Clock()):
			return g, nil // a provider that is down takes nothing away before its time
		case f.err != nil:
			return grant{}, f.err
		case f.grant.version != g.version:
			return f.grant, nil
		}
		// It was a refresh that ended with what the caller has already, and wants another of.
	}
	return g, nil
}

// final reports that err will be the same next time.
func final(err error) bool {
	return errors.Is(err, ErrReauthRequired) || errors.Is(err, ErrSignedOut) || errors.Is(err, ErrNotConnected)
}

// join returns the refresh of g in this process; it starts one if there is none. It is nil if nothing
// may be sent now.
func (a *Auth) join(ctx context.Context, s *session.View, g grant, force bool) *flight {
	k := flightKey{s.ID, s.Born, g.id()}
	a.flights.mu.Lock()
	defer a.flights.mu.Unlock()
	if f := a.flights.under[k]; f != nil && !f.past(&g) {
		return f
	}
	if a.rest(s, &g) > 0 || a.flights.unsaved.Load() >= maxUnsaved || !a.env.Background.Enter() {
		return nil
	}
	f := &flight{about: g.version, done: make(chan struct{})}
	a.flights.under[k] = f
	r := &renewal{auth: a, key: k, flight: f, provider: a.providers[g.provider], breaker: a.breakers[g.provider], seen: g.version, force: force}
	go r.fly(context.WithoutCancel(ctx), *s)
	return f
}

// rest returns for how long no refresh of g should be tried.
func (a *Auth) rest(s *session.View, g *grant) time.Duration {
	m := markOf(s, g)
	if m.owner != "" {
		return 0 // another process is at it, or was
	}
	return max(a.breakers[g.provider].rest(), m.rest(a.env.Clock()))
}

// resting is the error while a.rest lasts.
func (a *Auth) resting(s *session.View, g *grant) error {
	if d := a.rest(s, g); d > 0 {
		return unavailable(g.provider, d)
	}
	if a.env.Background.Stopping() {
		return problem(reason.Closing, nil)
	}
	return problem(reason.Store, errUnsaved)
}
