package guest

import (
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	kindTally  = "tally"
	fieldCount = "count"
	tranches   = 1024 // in a budget
)

// A count is what the record of a tally holds.
type count struct {
	window  int64
	before  uint64 // units of the window before
	paid    uint64 // of this one
	born    uint64 // those of paid that were for births
	version uint64 // of the field as it was read
}

// turn makes c that of window w. A clock that is a little ahead of this one has turned it already:
// then it stays, so that all processes pay in one window.
func (c *count) turn(w int64) (turned bool) {
	switch w - c.window {
	case 0, -1:
		return false
	case 1:
		c.before = c.paid
	default:
		// A record that old has ended, so these are clocks more than a window apart. All that may be
		// alive counts on, however often they turn it to and fro.
		c.before += c.born
	}
	c.window, c.paid, c.born = w, 0, 0
	return true
}

// left returns how many units are to be had.
func (c *count) left(what Charge, budget uint64) uint64 {
	if what == Prolonging {
		return less(budget, c.paid)
	}
	return less(min((budget+1)/2, less(budget, c.before)), c.born)
}

func (c *count) pay(what Charge, units uint64) {
	c.paid += units
	if what == Birth {
		c.born += units
	}
}

// less is a - b, or 0: another process may have a larger budget.
func less(a, b uint64) uint64 { return a - min(a, b) }

func (c *count) field() sessionstore.Field {
	b := packed.AppendUint(nil, uint64(c.window))
	b = packed.AppendUint(b, c.before)
	b = packed.AppendUint(b, c.paid)
	b = packed.AppendUint(b, c.born)
	return sessionstore.Field{Name: fieldCount, Value: string(b), Version: env.Version()}
}

// unpackCount returns the count in f. One of another layout counts anew.
func unpackCount(f sessionstore.Field) (count, error) {
	r := packed.Read(f.Value)
	c := count{window: int64(r.Uint()), before: r.Uint(), paid: r.Uint(), born: r.Uint(), version: f.Version}
	if err := r.Err(); err != nil {
		return count{version: f.Version}, err
	}
	return c, nil
}
