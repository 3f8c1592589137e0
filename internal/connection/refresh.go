package connection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// flight is the one refresh of a grant in this process. A request that needs its result waits for it.
type flight struct {
	about uint64        // version of the grant that it began with
	done  chan struct{} // closed when the others are set
	grant Grant
	err   error
}

// past reports that f has told what there is to tell, and g has come after it: a renewal that watches
// the mark of another process finds that out a moment later.
func (f *flight) past(g *Grant) bool {
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
	Unsaved atomic.Int32 // renewed tokens that the store has not taken yet
}

const (
	refreshTime = 30 * time.Second // for waiting, and for one request; less than [deadTime]
	forcedRest  = 30 * time.Second
	MaxUnsaved  = 4096 // renewed tokens that a process keeps: while there are more, it renews no others
)

var errUnsaved = errors.New("middleware: refresh: too many renewed tokens are not saved yet")

// current returns g, which is due, as it is to be used now.
func (a *Connections) current(ctx context.Context, s *session.View, g Grant) (Grant, error) {
	if g.Over(a.env.Clock()) || !byHand(ctx) {
		return a.renew(ctx, s, g, false)
	}
	if g.ended(a.env.Clock()) {
		return Grant{}, fmt.Errorf("%w: %s", ErrTokenExpired, g.ID())
	}
	return g, nil
}

// renew returns what g becomes: itself while it is good and its renewal can go on alongside. With
// force it is renewed whatever its age.
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
			return g, nil // a provider that is down takes nothing away before its time
		case f.err != nil:
			return Grant{}, f.err
		case f.grant.version != g.version:
			return f.grant, nil
		}
		// It was a refresh that ended with what the caller has already, and wants another of.
	}
	return g, nil
}

// final reports that err will be the same next time.
func final(err error) bool {
	return errors.Is(err, ErrReauthRequired) || errors.Is(err, session.ErrSignedOut) || errors.Is(err, ErrNotConnected)
}

// join returns the refresh of g in this process; it starts one if there is none. It is nil if nothing
// may be sent now.
func (a *Connections) join(ctx context.Context, s *session.View, g Grant, force bool) *flight {
	k := flightKey{s.ID, s.Born, g.ID()}
	a.Flights.mu.Lock()
	defer a.Flights.mu.Unlock()
	if f := a.Flights.under[k]; f != nil && !f.past(&g) {
		return f
	}
	if a.rest(s, &g) > 0 || a.Flights.Unsaved.Load() >= MaxUnsaved || !a.env.Background.Enter() {
		return nil
	}
	f := &flight{about: g.version, done: make(chan struct{})}
	a.Flights.under[k] = f
	r := &renewal{connections: a, key: k, flight: f, provider: a.Providers[g.Provider], breaker: a.breakers[g.Provider], seen: g.version, force: force}
	go r.do(context.WithoutCancel(ctx), *s)
	return f
}

// rest returns for how long no refresh of g should be tried.
func (a *Connections) rest(s *session.View, g *Grant) time.Duration {
	m := markOf(s, g)
	if m.owner != "" {
		return 0 // another process is at it, or was
	}
	return max(a.breakers[g.Provider].rest(), m.rest(a.env.Clock()))
}

// resting is the error while a.rest lasts.
func (a *Connections) resting(s *session.View, g *Grant) error {
	if d := a.rest(s, g); d > 0 {
		return unavailable(g.Provider, d)
	}
	if a.env.Background.Stopping() {
		return reason.New(reason.Closing, nil)
	}
	return reason.New(reason.Store, errUnsaved)
}

// A Change is what came of a renewal.
type Change struct {
	Account         *account.Account // who is signed in
	Provider, Label string
	Token           *providers.Token // the new one; nil: the provider has ended the connection
}

// Token returns a token of that connection that is good now; with force, one that was renewed.
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
