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
	touchRest  = 10 * time.Second // or up to thrice that, before a chore that a store lost is done again
	maxTouches = 4096             // in each map: of more, the oldest may be done twice
)

// Take reports whether the caller has to do c, because nobody does.
func (t *touchNotes) Take(c TouchNote, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := now.Sub(t.turned).Abs()
	if len(t.young) >= maxTouches || age >= touchRest {
		t.young, t.older, t.turned = map[TouchNote]struct{}{}, t.young, now
	}
	if age >= 2*touchRest {
		t.older = nil // nobody has turned them for so long: they are no moment ago
	}
	_, young := t.young[c]
	_, older := t.older[c]
	if young || older {
		return false
	}
	t.young[c] = struct{}{}
	return true
}

// undone gives c to the next request: the store could not take it.
func (t *touchNotes) undone(c TouchNote) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.young, c)
	delete(t.older, c)
}
