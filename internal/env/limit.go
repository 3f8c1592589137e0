package env

import (
	"context"
	"sync"
	"time"
)

// A Limit is a context with a deadline, for a call that nearly always returns without a wait, such as a Check
// whose metadata is at hand. Its timer starts when Done or Err is first called: to start one wakes the thread
// that waits for the network, which costs more than the call.
type Limit struct {
	context.Context // without the deadline
	deadline        time.Time

	mu    sync.Mutex
	timed context.Context // with the timer; nil until it is asked for
	stop  context.CancelFunc
	over  bool
}

// Within returns a context that ends after d, or with ctx. The caller calls [Limit.Release].
func Within(ctx context.Context, d time.Duration) *Limit {
	return &Limit{Context: ctx, deadline: time.Now().Add(d)}
}

// Release ends the context, as the function that [context.WithDeadline] returns does.
func (l *Limit) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	if l.stop != nil {
		l.stop()
	}
}

// context returns the context with the timer.
func (l *Limit) context() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timed == nil {
		l.timed, l.stop = context.WithDeadline(l.Context, l.deadline)
		if l.over {
			l.stop()
		}
	}
	return l.timed
}

// Deadline returns the earlier one of both deadlines.
func (l *Limit) Deadline() (time.Time, bool) {
	if d, ok := l.Context.Deadline(); ok && d.Before(l.deadline) {
		return d, true
	}
	return l.deadline, true
}

// Done returns a channel that is closed when the context ends. It starts the timer.
func (l *Limit) Done() <-chan struct{} { return l.context().Done() }

// Err returns why the context has ended. It starts the timer.
func (l *Limit) Err() error { return l.context().Err() }

// Value asks the context with the timer once there is one: a context that is derived from this one finds there
// the context that cancels it.
func (l *Limit) Value(key any) any {
	l.mu.Lock()
	ctx := l.timed
	l.mu.Unlock()
	if ctx == nil {
		ctx = l.Context
	}
	return ctx.Value(key)
}
