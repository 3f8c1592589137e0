package guest

import (
	"context"
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/sessionstore"
)

// An refill fetches units from the store. Who needs one meanwhile waits for it: many requests
// that come together ask once, and a store that hangs keeps nobody longer than one operation.
type refill struct {
	done chan struct{}
	err  error // read it after done
}

// fetch runs e.
func (b *Budget) fetch(ctx context.Context, store sessionstore.Store, c Charge, w int64, e *refill) {
	b.mu.Lock()
	want := max(b.shares[c].waiting, b.budget/tranches, 1)
	b.mu.Unlock()
	var n count
	var units uint64
	var over bool
	e.err = errCutOff
	defer func() { // also when the store panics: nobody is to wait for what never comes
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
