package middleware

import (
	"context"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// A mark says that a grant is being renewed, and by which refresh. It is a field beside the grant,
// written before the provider is asked, by compare-and-set: whoever writes it is the one who asks. Its
// holder writes it anew while it works; who waits takes over when it has not changed for a whole
// lease on their own clock, so that no two clocks are ever compared. What decides in the end is not
// the mark but the grant's version: a result for a version that is gone is not saved.
//
// One without an owner remembers that a request with this token was never answered.
type mark struct {
	owner   string // "": nobody is at it
	grant   uint64 // version of the grant that it is about
	unheard int    // requests with its token that got no answer, or may still
	sent    time.Time
	version uint64 // of the field
}

const (
	prefixMark = "r:"
	lease      = 3 * time.Second
	maxUnheard = 2           // the first, and one that hopes that the provider gives some grace
	unheardGap = time.Minute // between later ones
)

// mark returns the one about g, which is empty if there is none.
func (s *session) mark(g *grant) mark {
	f, ok := s.record.Field(prefixMark + g.id())
	if !ok {
		return mark{}
	}
	r := packed.Read(f.Value)
	m := mark{owner: r.String(), grant: r.Uint(), unheard: int(r.Uint()), sent: r.Time(), version: f.Version}
	if r.Err() != nil || m.grant != g.version {
		return mark{version: f.Version}
	}
	return m
}

func (m *mark) field(id string) sessionstore.Field {
	b := packed.AppendString(nil, m.owner)
	b = packed.AppendUint(b, m.grant)
	b = packed.AppendUint(b, uint64(m.unheard))
	b = packed.AppendTime(b, m.sent)
	return sessionstore.Field{Name: prefixMark + id, Value: string(b), Version: m.version}
}

// rest returns how long to wait before the token is sent once more: a provider that rotates strictly
// takes each one that it has seen before for a thief's.
func (m mark) rest(now time.Time) time.Duration {
	if m.unheard < maxUnheard {
		return 0
	}
	// A clock that jumped makes nobody wait for longer.
	return min(max(m.sent.Add(unheardGap).Sub(now), 0), unheardGap)
}

// patience is that of somebody who waits for another process.
type patience struct {
	version uint64
	since   time.Time // when version was first seen
	began   time.Time
	rest    time.Duration
}

// over reports that the mark has not changed for a lease.
func (p *patience) over(version uint64) bool {
	now := time.Now()
	if p.began.IsZero() {
		p.began = now
	}
	if version != p.version {
		p.version, p.since = version, now
	}
	return now.Sub(p.since) >= lease
}

// pause waits before the record is read again: 5, 10, 10 … ms, and less often when it takes long,
// or when others, so many, wait in this process as well. A crowd that asked as often as one does would
// take the processor from those who renew.
func (p *patience) pause(ctx context.Context, others int) error {
	waited := time.Since(p.began)
	most := 10 * time.Millisecond
	if waited > 5*time.Second {
		most = 100 * time.Millisecond
	} else if waited > time.Second {
		most = 20 * time.Millisecond
	}
	p.rest = min(max(2*p.rest, 5*time.Millisecond), most)
	rest := p.rest * time.Duration(crowd+others) / crowd
	if others > crowd {
		rest = max(rest, waited/4)
	}
	return pause(ctx, rest)
}

// crowd is how many may wait for other processes before they do so with more patience.
const crowd = 64

// A hold keeps a mark from being taken over.
type hold struct {
	renewal *renewal
	lineage sessionstore.Match
	quit    chan struct{}

	mu    sync.Mutex
	m     mark
	wrote time.Time // when m was last written, at the latest
	gone  bool      // taken over, or given back
}

// owns reports whether m is the mark that h holds.
func (h *hold) owns(m mark) bool {
	if h == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.gone && m.owner != "" && m.owner == h.m.owner
}

// stands reports that nobody may have taken the mark over yet. A process that was stopped finds out
// here that it was, before it sends a token which another may have traded meanwhile.
func (h *hold) stands() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.gone && time.Since(h.wrote) < lease
}

// keep writes the mark anew until stop, or until it is somebody else's.
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
			m := h.m
			m.version = version()
			began := time.Now()
			err := h.renewal.update(ctx, h.change(&m))
			if err == nil {
				h.m, h.wrote = m, began
			}
			h.gone = contested(err)
		}
		gone := h.gone
		h.mu.Unlock()
		if gone {
			return
		}
	}
}

// change is that of the mark into m.
func (h *hold) change(m *mark) sessionstore.Change {
	return sessionstore.Change{
		If:  []sessionstore.Match{h.lineage, {Name: prefixMark + h.renewal.key.id, Version: h.m.version}},
		Set: []sessionstore.Field{m.field(h.renewal.key.id)},
	}
}

// claim makes the mark ours, or sets it for one more try.
func (r *renewal) claim(ctx context.Context, s *session, g *grant, was mark) error {
	owner, err := r.auth.randomText(16)
	if err != nil {
		return problem(ReasonRandom, err)
	}
	m := mark{owner: owner, grant: g.version, unheard: r.unheard + 1, sent: r.auth.now(), version: version()}
	h := r.hold
	if !h.owns(was) {
		h.stop()
		h = &hold{renewal: r, lineage: s.lineage(), quit: make(chan struct{}), m: was}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.change(&m)
	c.If = append(c.If, sessionstore.Match{Name: prefixGrant + r.key.id, Version: g.version})
	began := time.Now()
	if err := r.update(ctx, c); err != nil {
		if contested(err) {
			h.gone = true
			return err
		}
		return problem(ReasonStore, err)
	}
	h.m, h.wrote = m, began
	r.unheard++
	if h != r.hold {
		r.hold = h
		go h.keep(context.WithoutCancel(ctx))
	}
	return nil
}

// release gives the mark back, and leaves what the next one has to know.
func (h *hold) release(ctx context.Context, unheard int) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return nil
	}
	h.gone = true
	m := h.m
	m.owner, m.unheard, m.version = "", unheard, version()
	c := h.change(&m)
	if unheard == 0 {
		c.Set, c.Delete = nil, []string{prefixMark + h.renewal.key.id}
	}
	err := h.renewal.update(ctx, c)
	if contested(err) {
		return nil
	}
	return err
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
