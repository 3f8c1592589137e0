package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
	"golang.org/x/oauth2"
)

// A renewal is the work of one flight. One goroutine does it, for all requests of this process.
type renewal struct {
	result
	breaker *breaker
	hold    *hold // of the mark; nil before there is one
	tries   int
	began   time.Time // of the first try
}

// do renews the grant, and gives the result to the requests that wait. It goes on when their clients have gone.
func (r *renewal) do(ctx context.Context, s session.View) {
	a := r.connections
	defer a.env.Background.Tasks.Done()
	defer func() {
		if p := recover(); p != nil { // of a Provider or a hook of the app: it must not end the process
			r.logPanic(ctx, p)
			_ = r.hold.release(ctx, r.unheard)
			r.end(Grant{}, unavailable(r.provider.Name(), 0))
		}
		r.hold.stop()
	}()
	g, err := r.run(ctx, s)
	r.end(g, err)
	if r.owed {
		r.hold.returnLater(ctx, r.unheard)
	}
	if r.change != nil && a.OnChange != nil {
		a.OnChange(ctx, r.change)
	}
}

// run returns the renewed grant. It looks, waits while another process is at it, asks the provider, and saves; and
// looks again when the grant has changed meanwhile.
func (r *renewal) run(ctx context.Context, s session.View) (Grant, error) {
	a := r.connections
	var wait watch
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
			return g, nil // another was first
		}
		r.seen = g.version
		m := markOf(&s, r.key.id, g.version)
		ours := r.hold.owns(m)
		if m.owner != "" && !ours {
			if wait.see(m.version); !wait.over() {
				if !r.await(ctx, &wait) {
					return Grant{}, unavailable(g.Provider, 0)
				}
				continue
			}
			r.reopen(r.seen) // its holder is dead: the mark is taken over
		}
		if !ours {
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
			continue // another has renewed it
		case r.retries(ctx, v, err):
			continue
		}
		return Grant{}, r.giveUp(ctx, v, err)
	}
}

// await waits for another process before the record is read again, and reports whether to go on. When that process has
// been silent for a lease, the requests that wait are told that the token is not renewed now; only this renewal goes
// on watching.
func (r *renewal) await(ctx context.Context, wait *watch) bool {
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

// attempt claims the mark, asks the provider, and returns the token or the verdict on the error.
func (r *renewal) attempt(ctx context.Context, s *session.View, g *Grant, m mark) (*providers.Token, verdict, error) {
	a := r.connections
	if d := (mark{unheard: r.unheard, sent: m.sent}).rest(a.env.Clock()); d > 0 {
		return nil, unsent, unavailable(g.Provider, d)
	}
	if err := r.breaker.enter(ctx); err != nil {
		return nil, unsent, err
	}
	reply, retry := unasked, time.Duration(0)
	defer func() { r.breaker.leave(reply, retry) }()
	// The mark tells other processes that the token may have been sent.
	if err := r.claim(ctx, s, g, m); err != nil {
		return nil, unsent, err
	}
	if r.tries++; r.tries == 1 {
		r.began = time.Now()
	}
	reply = unanswered // until it is known better: Refresh may panic
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	w := &tokenTransport{base: transportOf(a.Client), hold: r.hold}
	client := &http.Client{Transport: w, Timeout: a.Client.Timeout}
	t, err := r.provider.Refresh(context.WithValue(ctx, oauth2.HTTPClient, client), g.Token)
	if w.tooLate() {
		reply, r.unheard = unasked, r.unheard-1
		return nil, unsent, sessionstore.ErrConflict // another may have been first
	}
	v := w.judge(err)
	if v != lost {
		r.unheard--
	}
	if v != busy && v != lost {
		reply = replied
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

// rejectsClient reports whether e is about the client, and not about a token.
func rejectsClient(e *providers.Error) bool {
	return e.Code == "invalid_client" || e.Code == "unauthorized_client"
}

const (
	maxTries  = 3
	quickTime = time.Second // a failure that takes longer is not tried again while requests wait
	tryRest   = 100 * time.Millisecond
)

// retries waits before the next try, and reports whether there is one.
func (r *renewal) retries(ctx context.Context, v verdict, err error) bool {
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

// giveUp leaves the grant as it is, for a later renewal, and returns the error for the requests that wait.
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
	// Only waiting helps the person.
	return fmt.Errorf("middleware: refresh: %w: %w", providers.ErrUnavailable, err)
}

// claim writes the mark: as ours, or for one more try.
func (r *renewal) claim(ctx context.Context, s *session.View, g *Grant, was mark) error {
	h := r.hold
	if !h.owns(was) {
		owner, err := r.connections.env.RandomText(16)
		if err != nil {
			return reason.New(reason.Random, err)
		}
		h.stop()
		h = &hold{record: &r.record, lineage: s.Lineage(), owner: owner, quit: make(chan struct{}), m: was}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := mark{grant: g.version, unheard: r.unheard + 1, sent: r.connections.env.Clock()}
	same := sessionstore.Match{Name: PrefixGrant + r.key.id, Version: g.version}
	err := h.write(ctx, m, same)
	if err != nil && !env.Contested(err) {
		err = h.write(ctx, m, same) // it may be there: then write finds that it is ours
	}
	r.hold = h // also after an error: the mark may be there, and is released then
	switch {
	case env.Contested(err):
		h.gone = true
		return err
	case err != nil:
		return reason.New(reason.Store, err)
	}
	r.unheard++
	if !h.kept {
		h.kept = true
		go h.keep(context.WithoutCancel(ctx))
	}
	return nil
}
