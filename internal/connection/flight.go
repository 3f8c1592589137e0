package connection

import (
	"sync"
	"sync/atomic"
)

// A flight is the one renewal of a grant in this process. A request that needs its result waits for it.
type flight struct {
	key   grantKey
	about uint64        // version of the grant that it began with
	done  chan struct{} // closed when the others are set
	grant Grant
	err   error
}

// past reports that the result of f is known, and that g is newer. A renewal that watches the mark of another
// process finds that out a moment later.
func (f *flight) past(g *Grant) bool {
	select {
	case <-f.done:
		return f.about != g.version
	default:
		return false
	}
}

// flights are the renewals under way in this process.
type flights struct {
	mu    sync.Mutex
	under map[grantKey]*flight

	waiting atomic.Int32 // for other processes
	Unsaved atomic.Int32 // renewed tokens that the store has not taken yet
}

// A publication gives the result of a renewal to the requests that wait for it.
type publication struct {
	flights   *flights
	flight    *flight
	published bool
}

// end publishes the result and ends the flight: a request that comes later begins another.
func (p *publication) end(g Grant, err error) {
	p.flights.mu.Lock()
	if p.flights.under[p.flight.key] == p.flight {
		delete(p.flights.under, p.flight.key)
	}
	p.flights.mu.Unlock()
	p.publish(g, err)
}

// reopen makes requests that come from now on wait for the next result, which is about that version. The
// requests that have waited so far have theirs.
func (p *publication) reopen(about uint64) {
	if !p.published {
		return
	}
	p.flights.mu.Lock()
	defer p.flights.mu.Unlock()
	if key := p.flight.key; p.flights.under[key] == p.flight {
		p.flight, p.published = &flight{key: key, about: about, done: make(chan struct{})}, false
		p.flights.under[key] = p.flight
	}
}

// publish gives the result to the requests that wait, or will. Only the first result counts.
func (p *publication) publish(g Grant, err error) {
	if p.published {
		return
	}
	p.published = true
	p.flight.grant, p.flight.err = g, err
	close(p.flight.done)
}
