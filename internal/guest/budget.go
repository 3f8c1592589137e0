package guest

import (
	"context"
	"sync"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A Budget limits the number of guests' sessions, among all processes that share the store, and never reads one
// of them.
//
// Time is cut into windows that are a little longer than an unused session of a guest lasts. A session pays one
// unit in the window in which it is made, and one in each later window in which it is prolonged. Its expiry
// tells whether it has paid in this window already. So each session that is alive has paid in this window or in
// the one before, and their number is at most
//
//	units paid in the window before + units paid for births in this window ≤ budget
//
// A birth that would break this is refused. A session that exists is always prolonged: that moves a unit from
// the first summand to this window, and makes no new session. Births of one window get at most half of the
// budget, so that a rush of guests refuses others only until its window ends.
//
// The units are counted in one record, by compare-and-set. A process takes a thousandth of the budget at a
// time, so that it asks the store seldom. Units that it has left when the window ends are lost.
type Budget struct {
	budget uint64
	idle   time.Duration                                            // an unused session of a guest lasts for so long
	length time.Duration                                            // of a window
	Unread func(ctx context.Context, kind, field string, err error) // logs a count that cannot be read

	mu     sync.Mutex
	shares [2]share // by Charge
}

// New returns a budget for sessions that last for idle while they are unused. A window is an eighth longer than
// idle: the store ends sessions by its own clock, and the fastest clock of the processes ends a window. The
// limit holds while no process is further ahead of the store than this eighth. While one is ahead by more, but
// by less than a window, sessions of a third window may be alive, which is half a budget more. A clock that is
// behind does no harm: sessions that it makes end early.
func New(budget int, idle time.Duration) *Budget {
	return &Budget{budget: uint64(budget), idle: idle, length: max(idle+idle/8, time.Millisecond)}
}

// Owes reports whether a guest's session that lasts until the time until has to pay for a life until expires.
func (b *Budget) Owes(until, expires, now time.Time) bool {
	// The session was last prolonged idle before its end. If its deadline made that earlier, it pays
	// twice, which does no harm.
	return expires.After(until) && b.window(until.Add(-b.idle)) < b.window(now)
}

// Pay takes a unit for a session that is made or prolonged at now. For a birth, the error is
// [sessionstore.ErrFull] if the budget is used up. Any other error is the store's, or that of ctx.
func (b *Budget) Pay(ctx context.Context, store sessionstore.Store, c Charge, now time.Time) error {
	w := b.window(now)
	for {
		e, mine, err := b.draw(c, w)
		if e == nil {
			return err
		}
		if mine {
			b.fetch(ctx, store, c, w, e)
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if e.err != nil {
			return e.err
		}
	}
}

// window returns the window at a time.
func (b *Budget) window(at time.Time) int64 { return at.UnixMilli() / b.length.Milliseconds() }
