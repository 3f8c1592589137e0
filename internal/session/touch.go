package session

import (
	"sync"
	"time"
)

// A TouchNote stands for what a request that changed nothing writes about its session: that the browser has the
// current secret, or that the session is used. Its fields are what the request has read, which differs after
// the write.
type TouchNote struct {
	Born, Meta uint64 // versions
	Expires    int64
}

// touchNote returns the note of a touch of s.
func (s *View) touchNote() TouchNote {
	return TouchNote{s.Born, s.MetaVersion, s.Record.Expires.UnixMilli()}
}

// TouchNotes are the touches that this process writes, or wrote a moment ago. Requests that come together, such
// as those of one page, all find that a touch is due. The store would accept one and refuse the others.
type TouchNotes struct {
	mu           sync.Mutex
	young, older map[TouchNote]struct{}
	turned       time.Time // when young became older
}

const (
	touchRest  = 10 * time.Second // a touch that the store lost is written again after this, or up to three times this
	maxTouches = 4096             // in each map; with more, the oldest may be written twice
)

// Take reports whether the caller has to write the touch n: no other request of this process writes it.
func (t *TouchNotes) Take(n TouchNote, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := now.Sub(t.turned).Abs()
	if len(t.young) >= maxTouches || age >= touchRest {
		t.young, t.older, t.turned = map[TouchNote]struct{}{}, t.young, now
	}
	if age >= 2*touchRest {
		t.older = nil // they are older than a moment
	}
	_, young := t.young[n]
	_, older := t.older[n]
	if young || older {
		return false
	}
	t.young[n] = struct{}{}
	return true
}

// undone lets the next request write n: the store has not taken it.
func (t *TouchNotes) undone(n TouchNote) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.young, n)
	delete(t.older, n)
}
