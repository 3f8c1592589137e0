package session

import (
	"sync"
	"time"
)

// A TouchNote is what a request that changed nothing writes about its session: that the browser has its new
// secret, or that the session is used. It is told by what was read, which differs once it is done.
type TouchNote struct {
	Born, Meta uint64 // versions
	Expires    int64
}

func (s *View) touchNote() TouchNote {
	return TouchNote{s.Born, s.MetaVersion, s.Record.Expires.UnixMilli()}
}

// touchNotes are those that a request of this process does, or did a moment ago. Requests that come
// together, as those of a page do after a sign-in, have all read that there is one; the store would take
// it from the first of them, and refuse the others.
type touchNotes struct {
	mu           sync.Mutex
	young, older map[TouchNote]struct{}
	turned       time.Time
}

const (
	choreRest = 10 * time.Second // or up to thrice that, before a chore that a store lost is done again
	maxChores = 4096             // in each map: of more, the oldest may be done twice
)

// Take reports whether the caller has to do c, because nobody does.
func (cs *touchNotes) Take(c TouchNote, now time.Time) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	age := now.Sub(cs.turned).Abs()
	if len(cs.young) >= maxChores || age >= choreRest {
		cs.young, cs.older, cs.turned = map[TouchNote]struct{}{}, cs.young, now
	}
	if age >= 2*choreRest {
		cs.older = nil // nobody has turned them for so long: they are no moment ago
	}
	_, young := cs.young[c]
	_, older := cs.older[c]
	if young || older {
		return false
	}
	cs.young[c] = struct{}{}
	return true
}

// undone gives c to the next request: the store could not take it.
func (cs *touchNotes) undone(c TouchNote) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.young, c)
	delete(cs.older, c)
}
