package guest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// The record that counts the units.
const (
	kindTally  = "tally"
	fieldCount = "count"
	tranches   = 1024 // a process takes the budget in so many parts
)

// A count is the content of the record.
type count struct {
	window  int64
	before  uint64 // units paid in the window before
	paid    uint64 // units paid in this one
	born    uint64 // the units of paid that were for births
	version uint64 // of the field as it was read
}

// key returns the key of the record. Windows of another length are not the same time: they have another record.
func (b *Budget) key() sessionstore.Key {
	return sessionstore.Key{Kind: kindTally, ID: "guests-" + strconv.FormatInt(b.length.Milliseconds(), 10)}
}

// take moves at most want units from the record to this process. over reports that no more are left, and n is
// the count as it is afterwards.
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

// load returns the count and the expiry of its record. Without a record, both are zero.
func (b *Budget) load(ctx context.Context, store sessionstore.Store) (count, time.Time, error) {
	rec, err := store.Load(ctx, b.key())
	if errors.Is(err, sessionstore.ErrNotFound) {
		return count{}, time.Time{}, nil
	}
	if err != nil {
		return count{}, time.Time{}, err
	}
	f, ok := rec.Field(fieldCount)
	if !ok { // it was sealed with a key that is gone: counting begins anew
		return count{}, time.Time{}, store.Delete(ctx, b.key())
	}
	n, err := unpackCount(f)
	if err != nil {
		b.Unread(ctx, kindTally, fieldCount, err)
	}
	return n, rec.Expires, nil
}

// change returns the change of the record, which ends at ends now, to n. The record is needed until both its
// windows are over by the fastest clock.
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

// turn makes c the count of window w, and reports whether it has changed. If c is of the next window already,
// because the clock of another process is a little ahead, it stays: all processes pay in one window.
func (c *count) turn(w int64) (turned bool) {
	switch w - c.window {
	case 0, -1:
		return false
	case 1:
		c.before = c.paid
	default:
		// A record that old would have expired: two clocks are more than a window apart. All sessions
		// that may be alive stay counted, however often the clocks turn the window.
		c.before += c.born
	}
	c.window, c.paid, c.born = w, 0, 0
	return true
}

// left returns how many units the budget has left for what.
func (c *count) left(what Charge, budget uint64) uint64 {
	if what == Prolonging {
		return less(budget, c.paid)
	}
	return less(min((budget+1)/2, less(budget, c.before)), c.born)
}

// pay counts units for what.
func (c *count) pay(what Charge, units uint64) {
	c.paid += units
	if what == Birth {
		c.born += units
	}
}

// less returns a - b, or 0 if b is larger: another process may have a larger budget.
func less(a, b uint64) uint64 { return a - min(a, b) }

// field returns the field that stores c.
func (c *count) field() sessionstore.Field {
	b := packed.AppendUint(nil, uint64(c.window))
	b = packed.AppendUint(b, c.before)
	b = packed.AppendUint(b, c.paid)
	b = packed.AppendUint(b, c.born)
	return sessionstore.Field{Name: fieldCount, Value: string(b), Version: env.Version()}
}

// unpackCount returns the count that is stored in f. A value of another layout is an error, and counts as zero.
func unpackCount(f sessionstore.Field) (count, error) {
	r := packed.Read(f.Value)
	c := count{window: int64(r.Uint()), before: r.Uint(), paid: r.Uint(), born: r.Uint(), version: f.Version}
	if err := r.Err(); err != nil {
		return count{version: f.Version}, err
	}
	return c, nil
}
