package env

import (
	"context"
	"sync"
	"time"
)

// A Limit is a context with a deadline, for calls that nearly always return without waiting for
// anything, such as a Check whose metadata is at hand. Its timer is started by whoever first asks for
// Done or Err: starting one wakes the thread that waits for the network, which costs more than the call.
type Limit struct {
	context.Context // without the deadline
	deadline        time.Time

	mu    sync.Mutex
	timed context.Context // nil until somebody asks
	stop  context.CancelFunc
	over  bool
}

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

func (l *Limit) Deadline() (time.Time, bool) {
	if d, ok := l.Context.Deadline(); ok && d.Before(l.deadline) {
		return d, true
	}
	return l.deadline, true
}

func (l *Limit) Done() <-chan struct{} { return l.context().Done() }

func (l *Limit) Err() error { return l.context().Err() }

// Value asks the context with the timer once there is one: a context that is derived from this one finds
// in it what will cancel it.
func (l *Limit) Value(key any) any {
	l.mu.Lock()
	ctx := l.timed
	l.mu.Unlock()
	if ctx == nil {
		ctx = l.Context
	}
	return ctx.Value(key)
}
