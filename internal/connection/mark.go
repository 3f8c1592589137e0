package connection

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// A mark says that a grant is being renewed, and by which refresh. It is a field beside the grant,
// written before the provider is asked, by compare-and-set: whoever writes it is the one who asks, so a
// mark with an owner stands for a request that may have been sent. Its holder writes it anew while it
// works, and as long as it has a renewed token that is not saved. A mark that has not changed for a
// lease, by the clock of the process that waits, has a holder that stands still, has lost the store, or
// died. As nobody can tell which, it is taken over only when it has not changed for deadTime. What
// decides in the end is not the mark but the grant's version: a result for a version that is gone is not
// saved.
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

	// deadTime is after how long the holder of a mark counts as dead. No request of a refresh takes so
	// long, and many providers that rotate tokens take a used one for a minute more.
	deadTime = 45 * time.Second

	maxUnheard = 2           // the first, and one that hopes that the provider gives some grace
	unheardGap = time.Minute // between later ones
)

// mark returns the one about g, which is empty if there is none.
func markOf(s *session.View, g *Grant) mark {
	m := markedIn(s, g.ID())
	if m.grant != g.version {
		return mark{version: m.version}
	}
	return m
}

// marked returns the mark of the connection with that id, whichever grant it is about.
func markedIn(s *session.View, id string) mark {
	f, ok := s.Record.Field(prefixMark + id)
	if !ok {
		return mark{}
	}
	r := packed.Read(f.Value)
	m := mark{owner: r.String(), grant: r.Uint(), unheard: int(r.Uint()), sent: r.Time(), version: f.Version}
	if r.Err() != nil {
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

// see notes the version that the mark has now.
func (p *patience) see(version uint64) {
	now := time.Now()
	if p.began.IsZero() {
		p.began = now
	}
	if p.since.IsZero() || version != p.version {
		p.version, p.since = version, now
	}
}

// silent reports that the mark has not changed for a lease.
func (p *patience) silent() bool { return time.Since(p.since) >= lease }

// over reports that its holder counts as dead.
func (p *patience) over() bool { return time.Since(p.since) >= deadTime }

// long reports that nobody should wait any longer.
func (p *patience) long() bool { return time.Since(p.began) >= refreshTime }

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
	if p.silent() {
		most = time.Second / 2 // nobody waits any more
	}
	p.rest = min(max(2*p.rest, 5*time.Millisecond), most)
	rest := p.rest * time.Duration(crowd+others) / crowd
	if others > crowd {
		rest = max(rest, waited/4)
	}
	return env.Pause(ctx, rest)
}

// crowd is how many may wait for other processes before they do so with more patience.
const crowd = 64

// A hold keeps a mark from being taken over.
type hold struct {
	renewal *renewal
	lineage sessionstore.Match
	owner   string // of the mark, and of no other
	quit    chan struct{}

	mu    sync.Mutex
	m     mark      // as it was last written; or, at first, as it was found
	wrote time.Time // when m was last written, at the latest
	gone  bool      // taken over, or given back
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

// stands reports that the mark was written a moment ago. A process that stood still finds out here that
// it did, and looks again before it sends a token which another may have traded meanwhile. The clock on
// the wall is asked as well: the other one may stand while the machine sleeps.
func (h *hold) stands() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	wall := time.Now().Round(0).Sub(h.wrote.Round(0))
	return !h.gone && max(time.Since(h.wrote), wall) < lease
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
			h.gone = env.Contested(h.write(ctx, h.m))
		}
		gone := h.gone
		h.mu.Unlock()
		if gone {
			return
		}
	}
}

// write replaces the mark by m, on more conditions if need be. The caller holds h.mu. What an answer of
// the store's that was lost had done already, and what a sign-in made of the mark, is h's all the same.
func (h *hold) write(ctx context.Context, m mark, more ...sessionstore.Match) error {
	for again := false; ; again = true {
		m.owner, m.version = h.owner, env.Version()
		began := time.Now()
		err := h.renewal.update(ctx, h.change(m, more))
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

// find reads the mark, and reports whether it is h's.
func (h *hold) find(ctx context.Context) (ours bool, err error) {
	s, err := h.renewal.look(ctx)
	if err != nil || s.Born != h.lineage.Version {
		return false, err
	}
	m := markedIn(&s, h.renewal.key.id)
	if m.owner != h.owner {
		return false, nil
	}
	h.m.version, h.m.grant = m.version, m.grant
	return true, nil
}

// change is that of the mark into m.
func (h *hold) change(m mark, more []sessionstore.Match) sessionstore.Change {
	return sessionstore.Change{
		If:  append([]sessionstore.Match{h.lineage, {Name: prefixMark + h.renewal.key.id, Version: h.m.version}}, more...),
		Set: []sessionstore.Field{m.field(h.renewal.key.id)},
	}
}

// claim makes the mark ours, or sets it for one more try.
func (r *renewal) claim(ctx context.Context, s *session.View, g *Grant, was mark) error {
	h := r.hold
	if !h.owns(was) {
		owner, err := r.connections.env.RandomText(16)
		if err != nil {
			return reason.New(reason.Random, err)
		}
		h.stop()
		h = &hold{renewal: r, lineage: s.Lineage(), owner: owner, quit: make(chan struct{}), m: was}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	m := mark{grant: g.version, unheard: r.unheard + 1, sent: r.connections.env.Clock()}
	same := sessionstore.Match{Name: PrefixGrant + r.key.id, Version: g.version}
	err := h.write(ctx, m, same)
	if err != nil && !env.Contested(err) {
		err = h.write(ctx, m, same) // it may be there: then it is found to be ours
	}
	r.hold = h // if it failed, too: it may be there, and is given back then
	switch {
	case env.Contested(err):
		h.gone = true
		return err
	case err != nil:
		return reason.New(reason.Store, err)
	}
	r.unheard++
	if !h.kept {
		h.kept = true
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
	for again := false; !h.gone; again = true {
		m := h.m
		m.owner, m.unheard, m.version = "", unheard, env.Version()
		c := h.change(m, nil)
		if unheard == 0 {
			c.Set, c.Delete = nil, []string{prefixMark + h.renewal.key.id}
		}
		err := h.renewal.update(ctx, c)
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

// returnLater releases the mark, however long that takes: others would wait for its holder. Nobody waits for
// giveBack, and no process stays for it.
func (h *hold) returnLater(ctx context.Context, unheard int) {
	began := time.Now()
	for rest := saveRest; time.Since(began) < deadTime && !h.renewal.connections.env.Background.Stopping(); rest = min(2*rest, saveSlow) {
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
