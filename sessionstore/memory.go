package sessionstore

import (
	"context"
	"hash/maphash"
	"sync/atomic"
	"time"
)

// Memory is the [Store] of one process: it forgets everything when the process ends. The zero
// Memory is ready to use; it must not be copied. It starts no goroutine and needs no closing.
//
// It is bounded, and never evicts: when a budget is used up, and no record that counts against it
// has expired, what needs more room is [ErrFull]. Expired records leave a few at a time, with
// each change, so that no sweep ever holds anybody up.
type Memory struct {
	// MaxBytes is the budget of members: sessions of people who are signed in, and whatever
	// else is not a guest. It counts what is stored and an estimate of what the tables around
	// it take. The last sixteenth is not for new records, so that one that is there can still
	// be changed, such as a session whose token was just refreshed. 0: 1 GiB, more than a
	// million sessions of ten small values.
	MaxBytes int64

	// MaxGuestBytes is the budget of guests, beside MaxBytes and apart from it: whatever
	// anonymous visitors do, members have their room. 0: 64 MiB.
	MaxGuestBytes int64

	used   [2]atomic.Int64 // by class
	cursor atomic.Uint32   // the shard in which the next look for expired records begins
	shards [shardCount]shard
}

var (
	_ Store        = (*Memory)(nil)
	_ Pinger       = (*Memory)(nil)
	_ BatchLoader  = (*Memory)(nil)
	_ BatchUpdater = (*Memory)(nil)
)

const (
	shardCount = 64

	// sweepStep is how many expired records a change takes away besides its own work: more
	// than it can add, so that expired ones do not pile up.
	sweepStep = 4

	// reclaimStep is how many expired records leave a shard under one hold of its lock.
	reclaimStep = 64
)

// shardSeed is random, so that nobody can aim at one shard.
var shardSeed = maphash.MakeSeed()

// Load implements [Store].
func (m *Memory) Load(ctx context.Context, k Key) (Record, error) {
	if err := ready(ctx, k); err != nil {
		return Record{}, err
	}
	s := m.shard(k)
	s.mu.Lock()
	e := s.entries[k]
	if e == nil {
		s.mu.Unlock()
		return Record{}, ErrNotFound
	}
	r, expires := Record{packed: e.packed}, e.expires
	s.mu.Unlock()
	if expires <= time.Now().UnixMilli() {
		return Record{}, ErrNotFound
	}
	r.Expires = time.UnixMilli(expires).UTC()
	return r, nil
}

// Update implements [Store].
func (m *Memory) Update(ctx context.Context, k Key, c Change) error {
	if err := valid(k, &c); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		lacking, err := m.update(k, &c)
		if err != ErrFull || !m.reclaim(lacking) {
			return err
		}
	}
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, ks ...Key) error {
	if err := validKeys(ks); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, k := range ks {
		s := m.shard(k)
		s.mu.Lock()
		if e := s.entries[k]; e != nil {
			m.release(s.remove(e))
		}
		s.mu.Unlock()
	}
	return nil
}

// LoadAll implements [BatchLoader].
func (m *Memory) LoadAll(ctx context.Context, ks []Key) ([]Record, error) {
	rs := make([]Record, len(ks))
	for i, k := range ks {
		r, err := m.Load(ctx, k)
		if err != nil && err != ErrNotFound {
			return nil, err
		}
		rs[i] = r
	}
	return rs, nil
}

// UpdateAll implements [BatchUpdater].
func (m *Memory) UpdateAll(ctx context.Context, us []KeyedChange) []error {
	errs := make([]error, len(us))
	for i, u := range us {
		errs[i] = m.Update(ctx, u.Key, u.Change)
	}
	return errs
}

// Ping implements [Pinger]: a Memory is always there.
func (m *Memory) Ping(ctx context.Context) error { return ctx.Err() }

// Used returns how many bytes count against MaxBytes and MaxGuestBytes, expired records that have
// not left yet included.
func (m *Memory) Used() (members, guests int64) {
	return m.used[member].Load(), m.used[guest].Load()
}

// update makes one attempt. With [ErrFull] it says which class lacks room.
func (m *Memory) update(k Key, c *Change) (class, error) {
	s := m.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now().UnixMilli()
	for cl := range class(len(m.used)) {
		_, freed := s.sweep(cl, now, sweepStep)
		m.release(cl, freed)
	}
	e := s.entries[k]
	if e != nil && e.expires <= now {
		m.release(s.remove(e))
		e = nil
	}
	var before Record
	if e != nil {
		before = Record{packed: e.packed, Expires: time.UnixMilli(e.expires)}
	}
	if err := c.Mode.judge(e != nil); err != nil {
		return 0, err
	}
	after, err := before.Apply(*c)
	if err != nil {
		return 0, err
	}
	expires := after.Expires.UnixMilli()
	if expires <= now {
		if e != nil {
			m.release(s.remove(e))
		}
		return 0, nil
	}
	cl := c.Tier.class(e)
	size := cost(k, after.packed)
	if !m.acquire(cl, e, size) {
		return cl, ErrFull
	}
	if e != nil && e.class != cl {
		m.release(e.class, cost(k, e.packed))
	}
	s.put(k, e, cl, after.packed, expires)
	return 0, nil
}

// acquire counts size bytes against a class, in place of what e, if it is of that class, has taken
// so far. It does not if that exceeds the budget.
func (m *Memory) acquire(cl class, e *entry, size int64) bool {
	budget := m.budget(cl)
	var own int64
	if e != nil && e.class == cl {
		own = cost(e.key, e.packed)
	} else {
		budget -= budget / 16
	}
	for {
		used := m.used[cl].Load()
		after := used - own + size
		if size > own && after > budget {
			return false
		}
		if m.used[cl].CompareAndSwap(used, after) {
			return true
		}
	}
}

func (m *Memory) release(cl class, size int64) {
	if size != 0 {
		m.used[cl].Add(-size)
	}
}

func (m *Memory) budget(cl class) int64 {
	switch {
	case cl == guest && m.MaxGuestBytes > 0:
		return m.MaxGuestBytes
	case cl == guest:
		return 64 << 20
	case m.MaxBytes > 0:
		return m.MaxBytes
	}
	return 1 << 30
}

// reclaim takes away expired records of a class, from the first shard that has something to look
// at, and reports whether there was one. It holds one lock at a time, for a step.
func (m *Memory) reclaim(cl class) bool {
	now := time.Now().UnixMilli()
	start := m.cursor.Load()
	for i := range uint32(shardCount) {
		s := &m.shards[(start+i)%shardCount]
		s.mu.Lock()
		done, freed := s.sweep(cl, now, reclaimStep)
		s.mu.Unlock()
		if done > 0 {
			m.release(cl, freed)
			m.cursor.Store(start + i)
			return true
		}
	}
	return false
}

func (m *Memory) shard(k Key) *shard {
	return &m.shards[maphash.String(shardSeed, k.ID)%shardCount]
}

// ready returns what forbids to begin.
func ready(ctx context.Context, k Key) error {
	if err := k.Validate(); err != nil {
		return err
	}
	return ctx.Err()
}

// judge returns the error of a mode that is not met.
func (m Mode) judge(exists bool) error {
	switch {
	case m == MustExist && !exists:
		return ErrNotFound
	case m == MustNotExist && exists:
		return ErrExists
	}
	return nil
}
