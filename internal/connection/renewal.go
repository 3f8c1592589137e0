package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
	"golang.org/x/oauth2"
)

// renewal is the work of one flight.
type renewal struct {
	connections *Connections
	key         flightKey
	flight      *flight
	provider    providers.Provider
	breaker     *breaker
	seen        uint64 // version of the grant that is to be renewed
	force       bool

	published bool
	hold      *hold // of the mark; nil before there is one
	unheard   int   // requests with this token that got no answer
	owed      bool  // the mark is still to be given back
	tries     int
	began     time.Time        // of the first try
	change    *Change          // for OnToken
	account   *account.Account // as a refreshed ID token has it
	older     bool             // a sign-in that came meanwhile is newer than what was asked for
}

// do renews the grant and tells everybody who waits. No client's connection ends it.
func (r *renewal) do(ctx context.Context, s session.View) {
	a := r.connections
	defer a.env.Background.Tasks.Done()
	defer func() {
		if p := recover(); p != nil { // in a Provider or a hook of the app's: it takes nobody else along
			r.fell(ctx, p)
			_ = r.hold.release(ctx, r.unheard)
			r.land(Grant{}, unavailable(r.provider.Name(), 0))
		}
		r.hold.stop()
	}()
	g, err := r.run(ctx, s)
	r.land(g, err)
	if r.owed {
		r.hold.returnLater(ctx, r.unheard)
	}
	if r.change != nil && a.OnChange != nil {
		a.OnChange(ctx, r.change)
	}
}

// fell logs a panic, without what it says.
func (r *renewal) fell(ctx context.Context, p any) {
	r.connections.env.Log.Event(ctx, slog.LevelError, "refresh panicked", reason.Refresh,
		slog.String("connection", r.key.id), slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
}

// land ends the flight: those who wait go on, and those who come later begin another.
func (r *renewal) land(g Grant, err error) {
	fs := &r.connections.Flights
	fs.mu.Lock()
	if fs.under[r.key] == r.flight {
		delete(fs.under, r.key)
	}
	fs.mu.Unlock()
	r.publish(g, err)
}

// reopen has those who come from now on wait for what will be published next. Those who have waited so
// far were told already.
func (r *renewal) reopen() {
	if !r.published {
		return
	}
	fs := &r.connections.Flights
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.under[r.key] == r.flight {
		r.flight, r.published = &flight{about: r.seen, done: make(chan struct{})}, false
		fs.under[r.key] = r.flight
	}
}

// publish gives the result to whoever waits, or will.
func (r *renewal) publish(g Grant, err error) {
	if r.published {
		return
	}
	r.published = true
	r.flight.grant, r.flight.err = g, err
	close(r.flight.done)
}

// run takes the grant to where it is renewed, by whomever, or cannot be.
func (r *renewal) run(ctx context.Context, s session.View) (Grant, error) {
	a := r.connections
	var wait patience
	for again := false; ; again = true {
		if again {
			var err error
			if s, err = r.look(ctx); err != nil {
				return Grant{}, r.giveUp(ctx, unsent, reason.New(reason.Store, err))
			}
		}
		g, err := r.holds(&s)
		if err != nil {
			return Grant{}, err
		}
		if g.version != r.seen && !g.due(a.env.Clock()) {
			return g, nil // somebody else was first
		}
		r.seen = g.version
		m := markOf(&s, &g)
		if !r.hold.owns(m) {
			if m.owner != "" {
				if wait.see(m.version); !wait.over() {
					if !r.await(ctx, &wait) {
						return Grant{}, unavailable(g.Provider, 0)
					}
					continue
				}
				r.reopen()
			}
			r.unheard = m.unheard
		}
		t, v, err := r.attempt(ctx, &s, &g, m)
		switch {
		case env.Contested(err):
			continue
		case v == renewed:
			return r.save(ctx, &s, &g, t)
		case v == spent || v == unusable || v == foreign:
			if err := r.endGrant(ctx, &g, v, err); !env.Contested(err) {
				return Grant{}, err
			}
			continue // it has been renewed by another
		case r.again(ctx, v, err):
			continue
		}
		return Grant{}, r.giveUp(ctx, v, err)
	}
}

// await waits for another process before the record is read again, and reports whether to go on. Nobody
// is kept waiting for a holder that stands still or has died: until that is known it is watched alone.
func (r *renewal) await(ctx context.Context, wait *patience) bool {
	fs := &r.connections.Flights
	switch {
	case wait.silent():
		if r.connections.env.Background.Stopping() {
			return false
		}
		r.publish(Grant{}, unavailable(r.provider.Name(), 0))
	case wait.long():
		return false
	}
	others := fs.waiting.Add(1) - 1
	defer fs.waiting.Add(-1)
	return wait.pause(ctx, int(others)) == nil
}

// look returns the session as it is now.
func (r *renewal) look(ctx context.Context) (session.View, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	return r.connections.sessions.Find(ctx, r.key.session)
}

// holds returns the grant that s holds, or why there is nothing to renew.
func (r *renewal) holds(s *session.View) (Grant, error) {
	if s.Born != r.key.born {
		return Grant{}, session.ErrSignedOut
	}
	g, ok := heldBy(s, r.key.id)
	if !ok {
		return Grant{}, notConnected(r.key.id)
	}
	if g.dead {
		return Grant{}, g.reauth()
	}
	return g, nil
}

// attempt sets the mark, asks the provider, and returns what it said.
func (r *renewal) attempt(ctx context.Context, s *session.View, g *Grant, m mark) (*providers.Token, verdict, error) {
	a := r.connections
	if d := (mark{unheard: r.unheard, sent: m.sent}).rest(a.env.Clock()); d > 0 {
		return nil, unsent, unavailable(g.Provider, d)
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
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	w := &tokenTransport{base: transportOf(a.Client), hold: r.hold}
	client := &http.Client{Transport: w, Timeout: a.Client.Timeout}
	t, err := r.provider.Refresh(context.WithValue(ctx, oauth2.HTTPClient, client), g.Token)
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
	rest := tryRest<<r.tries + time.Duration(env.Version()%uint64(tryRest))
	var e *providers.Error
	if errors.As(err, &e) && e.RetryAfter > rest || r.breaker.rest() > 0 || r.unheard >= maxUnheard {
		return false
	}
	return env.Pause(ctx, rest) == nil
}

// giveUp leaves the grant as it is, for a later refresh, and returns what the caller is told.
func (r *renewal) giveUp(ctx context.Context, v verdict, err error) error {
	a := r.connections
	if r.tries == 0 {
		r.owed = r.hold.release(ctx, r.unheard) != nil // of a claim that seemed to fail
		return err
	}
	var e *providers.Error
	if level := slog.LevelWarn; v == refused {
		if errors.As(err, &e) && rejectsClient(e) {
			level = slog.LevelError
		}
		if e == nil || e.Code != "invalid_client" {
			r.unheard = maxUnheard // remembered, and not repeated at once
		}
		a.env.Log.Event(ctx, level, "provider refuses to renew a token: check the client id and secret", reason.Refresh,
			slog.String("connection", r.key.id), slog.Any("error", err))
	} else {
		a.env.Log.Event(ctx, level, "token not renewed", reason.Unavailable, slog.String("connection", r.key.id), slog.Any("error", err))
	}
	if err := r.hold.release(ctx, r.unheard); err != nil {
		r.owed = true
		a.env.Log.Event(ctx, slog.LevelWarn, "refresh mark not released", reason.Store, slog.Any("error", err))
	}
	var p *reason.Error
	if errors.Is(err, providers.ErrUnavailable) || errors.As(err, &p) {
		return err
	}
	// Whatever it is, the person can do nothing about it but wait.
	return fmt.Errorf("middleware: refresh: %w: %w", providers.ErrUnavailable, err)
}
