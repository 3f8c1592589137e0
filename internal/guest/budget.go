package guest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Budget keeps the number of guests' sessions below a budget, among all processes that share the
// store, without ever looking at one of them. A guest is whoever has not signed in: anybody who can
// reach the app can make it create such a session.
//
// Time is cut into windows that are a little longer than a guest's session lasts unused. A session
// pays a unit in the window in which it is born, and one in each later window in which it is
// prolonged; its own end tells whether it has paid already. What lives has therefore paid in this
// window or in the one before, and at most this many do:
//
//	paid for in the window before + born in this one ≤ budget
//
// A birth that would break this is refused. Who is there already is prolonged whatever comes: that
// takes a session from the first summand along, and adds none. Of the budget only half is for the
// births of one window, so that a rush that ends is over when the window is.
//
// The units are counted in one record, by compare-and-set. A process takes a thousandth of the
// budget at a time, so that it is asked seldom; what is left of that when the window ends is lost.
type Budget struct {
	budget uint64
	idle   time.Duration
	length time.Duration // of a window
	Unread func(ctx context.Context, kind, field string, err error)

	mu     sync.Mutex
	shares [2]share // by charge
}

// New returns the tally of sessions that last for idle. A window is an eighth longer, because
// the store ends sessions by its clock and a window ends by the fastest one of the processes: the
// sum holds while none is further ahead of the store than this eighth. While one is, by less than a
// window, sessions of a third window may be alive, half a budget more. A clock that is behind changes
// nothing: what it makes ends early.
func New(budget int, idle time.Duration) *Budget {
	return &Budget{budget: uint64(budget), idle: idle, length: max(idle+idle/8, time.Millisecond)}
}

// A Charge is what a unit is paid for.
type Charge uint8

const (
	Birth Charge = iota
	Prolonging
)

// Owes reports that a guest's session which lasts until then has to pay for a life until expires.
func (b *Budget) Owes(until, expires, now time.Time) bool {
	// It lasts for idle from when it was last prolonged. Where a deadline cuts that short it pays
	// twice, which is no harm.
	return expires.After(until) && b.window(until.Add(-b.idle)) < b.window(now)
}

// Pay takes a unit for a session whose end is counted from now. For a birth it returns
// [sessionstore.ErrFull] if there is no room; otherwise an error is the store's.
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

// draw takes a unit out of the share. If there is none it returns the refill that brings more, and
// whether the caller is to run it.
func (b *Budget) draw(c Charge, w int64) (e *refill, mine bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &b.shares[c]
	switch good := p.good(w); {
	case good && p.units > 0:
		p.units--
		return nil, false, nil
	case good && p.over && c == Birth:
		return nil, false, errNoPlace
	case good && p.over:
		return nil, false, nil // the whole budget is taken to live on: nothing is left to count
	}
	p.waiting++
	if p.refill == nil {
		p.refill, mine = &refill{done: make(chan struct{})}, true
	}
	return p.refill, mine, nil
}

// A share holds the units of one process.
type share struct {
	window  int64
	units   uint64
	over    bool // no more of them are to be had in this window
	refill  *refill
	waiting uint64 // how many need a unit when it comes back
}

// good reports whether p is one for window w, in which the next one's units are as good.
func (p *share) good(w int64) bool { return p.window == w || p.window == w+1 }

func (b *Budget) window(at time.Time) int64 { return at.UnixMilli() / b.length.Milliseconds() }

// key is another one for windows of another length, which are not the same time.
func (b *Budget) key() sessionstore.Key {
	return sessionstore.Key{Kind: kindTally, ID: "guests-" + strconv.FormatInt(b.length.Milliseconds(), 10)}
}

// take moves up to so many units from the record to this process. It says whether those were the
// last, and as of which count.
func (b *Budget) take(
	ctx context.Context, store sessionstore.Store, c Charge, w int64, want uint64,
) (n count, units uint64, over bool, err error) {
	for ctx.Err() == nil {
		n, ends, err := b.load(ctx, store)
		if err != nil {
			return n, 0, false, err
		}
		turned := n.turn(w)
		left := n.left(c, b.budget)
		units = min(want, left)
		if units == 0 && !turned {
			return n, 0, true, nil
		}
		n.pay(c, units)
		err = store.Update(ctx, b.key(), b.change(&n, ends))
		if err == nil {
			return n, units, units == left, nil
		}
		if !env.Contested(err) {
			return n, 0, false, err
		}
	}
	return n, 0, false, ctx.Err()
}

// load returns the count, and when its record ends: never, if there is none.
func (b *Budget) load(ctx context.Context, store sessionstore.Store) (count, time.Time, error) {
	rec, err := store.Load(ctx, b.key())
	if errors.Is(err, sessionstore.ErrNotFound) {
		return count{}, time.Time{}, nil
	}
	if err != nil {
		return count{}, time.Time{}, err
	}
	f, ok := rec.Field(fieldCount)
	if !ok { // sealed with a key that is gone: it counts anew
		return count{}, time.Time{}, store.Delete(ctx, b.key())
	}
	n, err := unpackCount(f)
	if err != nil {
		b.Unread(ctx, kindTally, fieldCount, err)
	}
	return n, rec.Expires, nil
}

// change is that of the record, which ends then, into n. The record is of use until both its windows
// are over, by the clock that is the furthest ahead.
func (b *Budget) change(n *count, ends time.Time) sessionstore.Change {
	c := sessionstore.Change{Set: []sessionstore.Field{n.field()}, Tier: sessionstore.Member}
	if ends.IsZero() {
		c.Mode = sessionstore.MustNotExist
	} else {
		c.If = []sessionstore.Match{{Name: fieldCount, Version: n.version}}
	}
	if e := time.UnixMilli((n.window + 2) * b.length.Milliseconds()); e.After(ends) {
		c.Expires = e
	}
	return c
}
