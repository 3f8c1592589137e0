package redisstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A breaker keeps operations from a server that does not answer: each would hold a connection, and
// whoever waits for it, until its time is up. Nothing but failures for a while opens it; then one
// operation a second finds out, and the first answer closes it. The zero breaker is closed.
//
// It counts what every operation of the store met, not what one server did. A cluster of which one
// node is down has answers from the others in between, which keep it closed; and a failover is seen
// by the first operation that the new master answers, a second late at most. A connection that was
// cut, or a server that was restarted at once, is over before a second is.
type breaker struct {
	failing atomic.Bool // something failed since the last answer: all that an answered operation looks at

	mu    sync.Mutex // guards what follows
	fails int        // since the last answer
	since time.Time  // when the first of them had failed
	probe time.Time  // when the next operation may find out; zero while closed
}

const (
	maxFails  = 5
	breakTime = time.Second // of nothing but failures
	probeRest = time.Second
)

// errAway is why nothing was asked.
var errAway = errors.New("server has not answered for a while")

// errNoPool is a Store that [New] has not made, or was made of nothing.
var errNoPool = errors.New("no pool: want a Store of New")

// ask sends q and returns its reply, unless the server is not likely to give one.
func (s *Store) ask(ctx context.Context, q *query) (any, error) {
	if s.pool == nil {
		return nil, failed(q.op, errNoPool)
	}
	if !s.breaker.enter() {
		return nil, failed(q.op, errAway)
	}
	reply, err := s.insist(ctx, q)
	s.breaker.leave(ctx, err)
	return reply, err
}

// enter reports whether an operation may be sent.
func (b *breaker) enter() bool {
	if !b.failing.Load() {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probe.IsZero() {
		return true
	}
	now := time.Now()
	if now.Before(b.probe) {
		return false
	}
	// It counts from now and not from its end: one whose answer never comes delays nobody.
	b.probe = now.Add(probeRest)
	return true
}

// leave notes what came of an operation.
func (b *breaker) leave(ctx context.Context, err error) {
	switch {
	case err == nil:
		if b.failing.Load() {
			b.answered()
		}
	case isAway(err):
		// Whoever gave it less time than the store would have cannot tell.
		if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
			return
		}
		b.failed()
	case errors.Is(err, context.Canceled), errors.Is(err, sessionstore.ErrOverloaded):
	default:
		b.answered()
	}
}

// isAway reports that no server has answered. One that says that it cannot answer now is there, and
// says so at once; and one record that is too large to be read is no reason not to ask for others.
func isAway(err error) bool {
	var said answer
	return errors.Is(err, sessionstore.ErrUnavailable) && !errors.As(err, &said) &&
		!errors.Is(err, errMoved) && !errors.Is(err, errBehind) && !errors.Is(err, errTooLarge)
}

func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails, b.probe = 0, time.Time{}
	b.failing.Store(false)
}

func (b *breaker) failed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.fails == 0 {
		b.since = now
		b.failing.Store(true)
	}
	b.fails++
	if b.probe.IsZero() && b.fails >= maxFails && now.Sub(b.since) >= breakTime {
		b.probe = now.Add(probeRest)
	}
}
