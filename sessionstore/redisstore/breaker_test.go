//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// An oracle is a pool without a server: it answers as a test says, and counts how often it was asked.
type oracle struct {
	asked        atomic.Int64
	parked, most atomic.Int64 // operations that wait now, and the most at once since it last said something else

	mu     sync.Mutex
	answer func(n int64, timeout time.Duration) (any, error) // to the n-th command
}

func (o *oracle) says(f func(n int64, timeout time.Duration) (any, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = f
	o.most.Store(0)
}

func (o *oracle) Get() redis.Conn { return oracleConn{o} }

// oracleConn answers commands; the rest of a connection is not used.
type oracleConn struct{ *oracle }

func (oracleConn) Close() error                                  { return nil }
func (oracleConn) Err() error                                    { return nil }
func (oracleConn) Do(string, ...any) (any, error)                { return nil, errors.New("without a timeout") }
func (oracleConn) Send(string, ...any) error                     { return errors.New("not used") }
func (oracleConn) Flush() error                                  { return errors.New("not used") }
func (oracleConn) Receive() (any, error)                         { return nil, errors.New("not used") }
func (oracleConn) ReceiveWithTimeout(time.Duration) (any, error) { return nil, errors.New("not used") }

func (o oracleConn) DoWithTimeout(timeout time.Duration, command string, _ ...any) (any, error) {
	if timeout == time.Nanosecond { // the store gives the connection up
		return nil, os.ErrDeadlineExceeded
	}
	n := o.asked.Add(1)
	for n := o.parked.Add(1); ; {
		if most := o.most.Load(); n <= most || o.most.CompareAndSwap(most, n) {
			break
		}
	}
	defer o.parked.Add(-1)
	o.mu.Lock()
	answer := o.answer
	o.mu.Unlock()
	return answer(n, timeout)
}

// What a server may do.
func pong(int64, time.Duration) (any, error)   { return "PONG", nil }
func refuse(int64, time.Duration) (any, error) { return nil, syscall.ECONNREFUSED }
func hang(_ int64, timeout time.Duration) (any, error) {
	time.Sleep(timeout)
	return nil, os.ErrDeadlineExceeded
}

func says(text string) func(int64, time.Duration) (any, error) {
	return func(int64, time.Duration) (any, error) { return nil, redis.Error(text) }
}

// F10, F11: while nothing is answered one operation a second finds out, and the others fail at once;
// the first answer ends it.
func TestBreaker(t *testing.T) {
	rows := []struct {
		name   string
		fault  func(int64, time.Duration) (any, error)
		closed time.Duration // how long every operation is tried
	}{
		{"F10 refused", refuse, 1100 * time.Millisecond},
		{"F11 hangs", hang, 2100 * time.Millisecond}, // the first has failed after one
		{"F11 hangs, and the pool is used up", func(n int64, d time.Duration) (any, error) {
			if n%3 == 0 {
				return hang(n, d)
			}
			return nil, redis.ErrPoolExhausted
		}, 2100 * time.Millisecond},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &oracle{answer: pong}
				s := redisstore.New(o)
				s.Timeout = 900 * time.Millisecond
				if err := s.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				o.says(row.fault)
				crowd(t, s, row.closed, unavailable)
				o.says(row.fault)
				asked, began := o.asked.Load(), time.Now()
				waited := crowd(t, s, time.Minute, unavailable)
				seconds := int64(time.Since(began) / time.Second)
				if n := o.asked.Load() - asked; n > seconds+1 || n < seconds/2 {
					t.Errorf("%d operations were sent in %d s, want one a second", n, seconds)
				}
				if waited > seconds+1 {
					t.Errorf("%d callers waited in %d s, want one a second at most", waited, seconds)
				}
				if n := o.most.Load(); n > 1 {
					t.Errorf("%d operations waited for the server at once, want 1 at most", n)
				}
				o.says(pong)
				ended := time.Now()
				for s.Ping(t.Context()) != nil {
					time.Sleep(10 * time.Millisecond)
				}
				if d := time.Since(ended); d > time.Second {
					t.Errorf("the first answer came %v after the fault had ended, want 1 s at most", d)
				}
				crowd(t, s, 2*time.Second, well)
			})
		})
	}
}

func well(err error) bool { return err == nil }

func unavailable(err error) bool {
	return errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, sessionstore.ErrOverloaded)
}

// crowd is 50 people who ask ten times a second, for so long. It returns how many had to wait.
func crowd(t *testing.T, s *redisstore.Store, d time.Duration, want func(error) bool) (waited int64) {
	t.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range 50 {
		wg.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				if err := s.Ping(t.Context()); !want(err) {
					t.Errorf("got error %v", err)
				}
				if time.Since(began) > 0 {
					n.Add(1)
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	return n.Load()
}

// What is no reason to keep operations back: each of them is sent.
func TestBreaker_closed(t *testing.T) {
	timely := func(t *testing.T) (context.Context, context.CancelFunc) { return t.Context(), func() {} }
	rows := []struct {
		name    string
		answer  func(n int64, timeout time.Duration) (any, error)
		context func(t *testing.T) (context.Context, context.CancelFunc)
	}{
		{"one node of three is down", func(n int64, d time.Duration) (any, error) {
			if n%3 == 0 {
				return pong(n, d)
			}
			return hang(n, d)
		}, timely},
		{"refused for less than a second", func(n int64, d time.Duration) (any, error) {
			if n%10 == 0 { // of ten a second
				return pong(n, d)
			}
			return refuse(n, d)
		}, timely},
		{"full", says("OOM command not allowed"), timely},
		{"loading", says("LOADING Redis is loading the dataset in memory"), timely},
		{"a replica", says("READONLY You can't write against a read only replica."), timely},
		{"script not known", says("NOSCRIPT No matching script."), timely},
		{"no permission", says("NOPERM this user has no permissions"), timely},
		{"pool exhausted", func(int64, time.Duration) (any, error) { return nil, redis.ErrPoolExhausted }, timely},
		{"one record that is too large", func(int64, time.Duration) (any, error) {
			return guarded(strings.NewReader("$1001\r\n")).Do("PING")
		}, timely},
		{"callers have no time", hang, func(t *testing.T) (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 50*time.Millisecond)
		}},
		{"callers have gone", hang, func(t *testing.T) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx, cancel
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &oracle{answer: row.answer}
				s := redisstore.New(o)
				for i := range 100 {
					ctx, cancel := row.context(t)
					before := o.asked.Load()
					_ = s.Ping(ctx)
					if o.asked.Load() == before && ctx.Err() != context.Canceled {
						t.Fatalf("operation %d was not sent", i)
					}
					cancel()
					time.Sleep(100 * time.Millisecond)
				}
				o.says(pong)
				if err := s.Ping(t.Context()); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			})
		})
	}
}
