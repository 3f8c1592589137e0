package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

// borrow returns a connection. The time until deadline includes dialing and waiting.
func (s *Store) borrow(ctx context.Context, deadline time.Time) (redis.Conn, error) {
	p, ok := s.pool.(interface {
		GetContext(ctx context.Context) (redis.Conn, error)
	})
	if !ok {
		return s.pool.Get(), nil
	}
	var wait context.Context = dated{ctx, deadline}
	if !s.hasRoom() {
		timed, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		wait = timed
	}
	c, err := p.GetContext(wait)
	switch {
	// The bare error of the context is the pool's own; a dial that took too long says more.
	case err == context.DeadlineExceeded:
		return nil, &waitError{err}
	case err != nil:
		return nil, err
	case !time.Now().Before(deadline):
		c.Close()
		return nil, &waitError{context.DeadlineExceeded}
	}
	return c, nil
}

// A binder is a connection to a node of a cluster, as soon as it is bound to one.
type binder interface {
	redis.Conn
	Bind(keys ...string) error
}

// bind leads c to the node of key, or to any if there is none. If it fails, c is closed, or will be.
//
// Bind has no context, and where nodes do not answer it may try one after the other, as long as each
// dial takes. So once something has failed, whoever has no time left does not wait for it. Before
// that, a third of the time of a load is too much for it.
func (s *Store) bind(c binder, key string, deadline time.Time) error {
	var keys []string
	if key != "" {
		keys = []string{key}
	}
	if !s.breaker.failing.Load() {
		err := c.Bind(keys...)
		if err != nil {
			c.Close()
		}
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.Bind(keys...) }()
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case err := <-done:
		if err != nil {
			c.Close()
		}
		return err
	case <-late.C:
		go func() { // to close it waits for Bind, too
			<-done
			c.Close()
		}()
		return fmt.Errorf("no connection to a node: %w", context.DeadlineExceeded)
	}
}

// hasRoom reports whether the pool has a connection at hand, so that nobody will wait or dial. A
// timer for each load would cost a tenth of it, and half of the connections are enough of a
// distance: should as many others come first after all, we wait for one of them, who has a timer.
func (s *Store) hasRoom() bool {
	p, ok := s.pool.(*redis.Pool)
	if !ok {
		return false
	}
	stats := p.Stats()
	if stats.IdleCount == 0 {
		return false
	}
	return !p.Wait || p.MaxActive <= 0 || stats.ActiveCount-stats.IdleCount < p.MaxActive/2
}

// dated is a context with a deadline and no timer. A dial goes by the deadline, if there is one
// after all.
type dated struct {
	context.Context
	deadline time.Time
}

func (d dated) Deadline() (time.Time, bool) { return d.deadline, true }

// undated is a context without its deadline, beneath a timer of one's own.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// A waitError is that of a pool that had no free connection in time.
type waitError struct{ error }

func (e *waitError) Error() string { return "no free connection: " + e.error.Error() }
func (e *waitError) Unwrap() error { return e.error }
