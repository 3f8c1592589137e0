package connection

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/returnleg/returnleg/providers"
)

// A breaker keeps renewals from a provider that cannot answer them. It lets a number of them through at a time. After
// a few failures in a row it lets one through each second, until one is answered. It lets none through for as long as
// the provider asks for that.
type breaker struct {
	provider string
	slots    chan struct{}

	mu    sync.Mutex
	fails int       // in a row
	probe time.Time // while there are too many: when the next one may find out
	until time.Time // when the provider wants to be asked again
}

const (
	maxRefreshes = 256 // at a time, per provider
	maxFails     = 3
	probeRest    = time.Second
	maxRest      = 5 * time.Minute // of a Retry-After
	clientRest   = 30 * time.Second
	slotTime     = 10 * time.Second // for a slot; a call without an answer takes as long
)

func newBreaker(provider string) *breaker {
	return &breaker{provider: provider, slots: make(chan struct{}, maxRefreshes)}
}

// rest returns for how long nothing should be sent.
func (b *breaker) rest() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left(time.Now())
}

// left is rest at now. The caller holds b.mu.
func (b *breaker) left(now time.Time) time.Duration {
	left := b.until.Sub(now)
	if b.fails >= maxFails {
		left = max(left, b.probe.Sub(now))
	}
	return max(left, 0)
}

// enter waits for a slot. After nil, the caller sends one request and calls leave.
func (b *breaker) enter(ctx context.Context) error {
	wait := time.NewTimer(slotTime)
	defer wait.Stop()
	select {
	case b.slots <- struct{}{}:
	case <-wait.C:
		return unavailable(b.provider, 0)
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if left := b.left(now); left > 0 {
		<-b.slots
		return unavailable(b.provider, left)
	}
	b.probe = now.Add(probeRest)
	return nil
}

// A report is how a turn ended.
type report uint8

const (
	unasked    report = iota // nothing was sent after all
	replied                  // there was an answer, also an error
	unanswered               // no answer, or one that there is none now
)

// leave ends a turn. retry is how long the provider asks to be left alone, 0 if it does not say.
func (b *breaker) leave(r report, retry time.Duration) {
	<-b.slots
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch r {
	case unasked:
		return
	case replied:
		b.fails = 0
	case unanswered:
		b.fails++
		b.probe = now.Add(probeRest)
	}
	if until := now.Add(min(retry, maxRest)); retry > 0 && until.After(b.until) {
		b.until = until
	}
}

// A restError is the error for a request that was not sent, because those before it failed. A program finds in it the
// error that the provider would have returned. Its text does not claim that the provider was asked.
type restError struct{ stands *providers.Error }

// Error says that the token is not renewed now.
func (e *restError) Error() string {
	return "middleware: refresh: " + e.stands.Provider + ": not renewed now: " + providers.ErrUnavailable.Error()
}

// Unwrap returns the error that it stands for.
func (e *restError) Unwrap() error { return e.stands }

// unavailable is the error of a token that is not renewed now. retry is when it may be, 0 if that is not known.
func unavailable(provider string, retry time.Duration) error {
	return &restError{&providers.Error{Provider: provider, Endpoint: "token", Status: http.StatusServiceUnavailable, RetryAfter: retry}}
}
