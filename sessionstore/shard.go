package sessionstore

import "sync"

// A shard is a part of [Memory] with a lock of its own. Its methods are called under that lock.
type shard struct {
	mu      sync.Mutex
	entries map[Key]*entry
	ends    [2]expiry // by class
}

// A class is the budget that a record counts against.
type class uint8

const (
	member class = iota
	guest
)

// class returns the class of a record that a change of this tier leaves; e is nil for a new one.
func (t Tier) class(e *entry) class {
	switch {
	case t == Guest:
		return guest
	case t == SameTier && e != nil:
		return e.class
	}
	return member
}

// An entry is a record that is stored.
type entry struct {
	key     Key
	packed  string
	expires int64 // milliseconds since 1970
	slot    int32 // where the shard's ends has it
	class   class
}

// entryCost is what an entry takes besides its bytes, as measured: the entry itself, its places in
// the map and in the ends, and what they keep in reserve.
const entryCost = 192

func cost(k Key, packed string) int64 {
	return int64(len(k.Kind) + len(k.ID) + len(packed) + entryCost)
}

// put stores a record; e is its entry, or nil for a new one.
func (s *shard) put(k Key, e *entry, cl class, packed string, expires int64) {
	if e == nil {
		e = &entry{key: k.clone(), packed: packed, expires: expires, class: cl}
		if s.entries == nil {
			s.entries = make(map[Key]*entry)
		}
		s.entries[e.key] = e
		s.ends[cl].push(e)
		return
	}
	e.packed, e.expires = packed, expires
	if e.class == cl {
		s.ends[cl].update(e)
		return
	}
	s.ends[e.class].remove(e)
	e.class = cl
	s.ends[cl].push(e)
}

// remove forgets e and returns what that frees.
func (s *shard) remove(e *entry) (class, int64) {
	s.ends[e.class].remove(e)
	delete(s.entries, e.key)
	return e.class, cost(e.key, e.packed)
}

// sweep forgets expired records of a class, in at most so many steps, and returns how many it took
// and what that frees.
func (s *shard) sweep(cl class, now int64, steps int) (done int, freed int64) {
	for ; done < steps; done++ {
		e := s.ends[cl].due(now)
		if e == nil {
			break
		}
		if e.expires > now {
			s.ends[cl].postpone(e)
			continue
		}
		_, n := s.remove(e)
		freed += n
	}
	return done, freed
}
