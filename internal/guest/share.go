package guest

import (
	"context"
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/sessionstore"
)

// A share is what one process has of the units for a charge.
type share struct {
	window  int64
	units   uint64
	over    bool    // the store has no more units in this window
	refill  *refill // nil unless it is running
	waiting uint64  // how many callers wait for a unit from it
}

// good reports whether units of p may be used in window w: they are of this window or of the next one.
func (p *share) good(w int64) bool { return p.window == w || p.window == w+1 }

// A refill fetches units from the store. Callers that need a unit meanwhile wait for it: many requests that
// come together ask the store once, and a store that does not answer delays each by one operation at most.
type refill struct {
	done chan struct{}
	err  error // read it after done
}

// draw takes a unit out of the share. If there is none, it returns the refill that brings more, and whether the
// caller has to run it.
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
		return nil, false, nil // prolonging is free once it has used the whole budget
	}
	p.waiting++
	if p.refill == nil {
		p.refill, mine = &refill{done: make(chan struct{})}, true
	}
	return p.refill, mine, nil
}

// fetch runs the refill e.
func (b *Budget) fetch(ctx context.Context, store sessionstore.Store, c Charge, w int64, e *refill) {
	b.mu.Lock()
	want := max(b.shares[c].waiting, b.budget/tranches, 1)
	b.mu.Unlock()
	var n count
	var units uint64
	var over bool
	e.err = errCutOff
	defer func() { // also when the store panics: callers are waiting for e
		b.mu.Lock()
		defer b.mu.Unlock()
		p := &b.shares[c]
		p.refill, p.waiting = nil, 0
		if e.err == nil && n.window != p.window {
			p.window, p.units = n.window, 0
		}
		if e.err == nil {
			p.units, p.over = p.units+units, over
		}
		close(e.done)
	}()
	n, units, over, e.err = b.take(ctx, store, c, w, want)
}

var (
	errNoPlace = fmt.Errorf("guests: %w", sessionstore.ErrFull)
	errCutOff  = errors.New("guests: cut off")
)
