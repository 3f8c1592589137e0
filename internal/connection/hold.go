package connection

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/sessionstore"
)

// A hold is a mark that this process has written. It is written anew, so that no other process takes it over.
type hold struct {
	record  *record
	lineage sessionstore.Match
	owner   string // of this mark, and of no other
	quit    chan struct{}

	mu    sync.Mutex
	m     mark      // as it was written last; at first, as it was found
	wrote time.Time // when m was last written, at the latest
	gone  bool      // taken over, or released
	kept  bool      // keep has begun
}

// owns reports whether m is the mark that h holds.
func (h *hold) owns(m mark) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.gone && m.owner == h.owner
}

// stands reports whether the mark was written less than a lease ago. A process that stood still finds that out here,
// before it sends a token that another process may have used meanwhile. The wall clock is read as well, because the
// monotonic clock may stop while the machine sleeps.
func (h *hold) stands() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	wall := time.Now().Round(0).Sub(h.wrote.Round(0))
	return !h.gone && max(time.Since(h.wrote), wall) < lease
}

// keep writes the mark anew, until stop or until another process has it.
func (h *hold) keep(ctx context.Context) {
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
		}
		h.mu.Lock()
		if !h.gone {
			h.gone = env.Contested(h.write(ctx, h.m))
		}
		gone := h.gone
		h.mu.Unlock()
		if gone {
			return
		}
	}
}

// write replaces the mark by m, on more conditions if there are any. The caller holds h.mu. A mark that an earlier write
// has made, whose answer was lost, is h's; and so is one that a sign-in has written for h's owner.
func (h *hold) write(ctx context.Context, m mark, more ...sessionstore.Match) error {
	for again := false; ; again = true {
		m.owner, m.version = h.owner, env.Version()
		began := time.Now()
		err := h.record.update(ctx, h.change(m, more))
		if err == nil {
			h.m, h.wrote = m, began
		}
		if again || !env.Contested(err) {
			return err
		}
		if ours, unknown := h.find(ctx); !ours {
			return cmp.Or(unknown, err)
		}
		m.grant = h.m.grant
	}
}

// find reads the mark, and reports whether h owns it.
func (h *hold) find(ctx context.Context) (ours bool, err error) {
	s, err := h.record.look(ctx)
	if err != nil || s.Born != h.lineage.Version {
		return false, err
	}
	m := markedIn(&s, h.record.key.id)
	if m.owner != h.owner {
		return false, nil
	}
	h.m.version, h.m.grant = m.version, m.grant
	return true, nil
}

// change returns the change that replaces the mark by m.
func (h *hold) change(m mark, more []sessionstore.Match) sessionstore.Change {
	return sessionstore.Change{
		If:  append([]sessionstore.Match{h.lineage, {Name: prefixMark + h.record.key.id, Version: h.m.version}}, more...),
		Set: []sessionstore.Field{m.field(h.record.key.id)},
	}
}

// release gives the mark up. It leaves the number of unanswered requests for the next renewal.
func (h *hold) release(ctx context.Context, unheard int) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for again := false; !h.gone; again = true {
		m := h.m
		m.owner, m.unheard, m.version = "", unheard, env.Version()
		c := h.change(m, nil)
		if unheard == 0 {
			c.Set, c.Delete = nil, []string{prefixMark + h.record.key.id}
		}
		err := h.record.update(ctx, c)
		if err != nil && !env.Contested(err) {
			return err
		}
		if err == nil || again {
			h.gone = true
			return nil
		}
		ours, err := h.find(ctx)
		if err != nil {
			return err
		}
		h.gone = !ours
	}
	return nil
}

// returnLater releases the mark as soon as the store takes that, because others would wait for its holder. It gives up
// after deadTime, or when the server is about to stop.
func (h *hold) returnLater(ctx context.Context, unheard int) {
	began := time.Now()
	for rest := saveRest; time.Since(began) < deadTime && !h.record.connections.env.Background.Stopping(); rest = min(2*rest, saveSlow) {
		_ = env.Pause(ctx, rest) // ctx does not end
		if h.release(ctx, unheard) == nil {
			return
		}
	}
}

// stop ends keep.
func (h *hold) stop() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	select {
	case <-h.quit:
	default:
		close(h.quit)
	}
}
