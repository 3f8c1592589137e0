package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A report counts what was done, and what must not have happened.
type report struct {
	mu       sync.Mutex
	begun    time.Time
	counts   map[string]int
	wrong    map[string]int // of what must be 0
	excused  map[string]int // the same, where asynchronous replication may have lost it
	examples []string
	windows  []window
	changes  []time.Time          // of the server that has the records
	taken    map[string]time.Time // by the id of a one-time value
}

// A window is when a server was ended, or demoted, whose last changes no replica need have.
type window struct{ from, to time.Time }

// calls counts the operations of stores.
type calls struct{ n atomic.Int64 }

func (c *calls) count() { c.n.Add(1) }

func newReport() *report {
	return &report{
		begun: time.Now(), counts: map[string]int{}, wrong: map[string]int{}, excused: map[string]int{}, taken: map[string]time.Time{},
	}
}

// What must be 0, in the order of the report.
const (
	lostWrite    = "acknowledged writes lost"
	endedBack    = "ended sessions back"
	droppedWrite = "writes answered 2xx and dropped"
	signedOut    = "signed out by an outage"
	codeTwice    = "codes sent twice"
	takenTwice   = "one-time values taken twice"
	mixedUp      = "answers that were another person's"
	notSignedIn  = "signed in, and not"
	neverWell    = "not well again after a fault"
)

var violations = []string{lostWrite, endedBack, droppedWrite, signedOut, codeTwice, takenTwice, mixedUp, notSignedIn, neverWell}

// add counts something that may happen.
func (r *report) add(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[what]++
}

// promotion is how long after a failover has begun a replica is promoted at the latest, if that was asked for.
const promotion = 500 * time.Millisecond

// open begins a window in which asynchronous replication may lose what is acknowledged.
func (r *report) open(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.windows = append(r.windows, window{at.Add(-time.Second), at.Add(time.Second + promotion)})
}

// change notes that another server is to have the records.
func (r *report) change() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, time.Now())
}

// failedOver reports whether that has been since.
func (r *report) failedOver(since time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.changes) > 0 && r.changes[len(r.changes)-1].After(since.Add(-time.Second))
}

// violate notes what must not happen. It depends on a change that was acknowledged between since and
// until: where that may have been lost with a server, it is counted apart.
func (r *report) violate(what string, since, until time.Time, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.windows {
		if !until.Before(w.from) && !since.After(w.to) {
			r.excused[what]++
			return
		}
	}
	r.wrong[what]++
	if r.wrong[what] <= 5 {
		text := fmt.Sprintf(format, args...)
		r.examples = append(r.examples, fmt.Sprintf("%8s  %s: %s", time.Since(r.begun).Round(time.Millisecond), what, text))
	}
}

// took notes that a handler was given a one-time value.
func (r *report) took(id string) {
	r.mu.Lock()
	before, twice := r.taken[id]
	r.taken[id] = time.Now()
	r.counts["one-time values taken"]++
	r.mu.Unlock()
	if twice {
		r.violate(takenTwice, before, before, "%s, %v after the first time", id, time.Since(before))
	}
}

// wasTaken reports whether a handler was given a one-time value.
func (r *report) wasTaken(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.taken[id]
	return ok
}

// bad returns how many violations there were.
func (r *report) bad() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, k := range r.wrong {
		n += k
	}
	return n
}

func (r *report) print(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name := range r.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "%9d  %s\n", r.counts[name], name)
	}
	fmt.Fprintf(w, "\n%9s  %-34s %s\n", "", "what must be 0", "(in brackets: in the second before and after a failover, where Replicas does not cover all)")
	for _, name := range violations {
		fmt.Fprintf(w, "%9d  %-34s (%d)\n", r.wrong[name], name, r.excused[name])
	}
	if len(r.examples) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(r.examples, "\n"))
	}
}
