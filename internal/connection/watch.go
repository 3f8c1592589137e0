package connection

import (
	"context"
	"time"

	"github.com/returnleg/returnleg/internal/env"
)

// A watch follows the mark of another process.
type watch struct {
	version uint64
	since   time.Time // when version was first seen
	began   time.Time
	rest    time.Duration // before the record is read again
}

// see notes the version that the mark has now.
func (p *watch) see(version uint64) {
	now := time.Now()
	if p.began.IsZero() {
		p.began = now
	}
	if p.since.IsZero() || version != p.version {
		p.version, p.since = version, now
	}
}

// silent reports whether the mark has not changed for a lease.
func (p *watch) silent() bool { return time.Since(p.since) >= lease }

// over reports whether the holder of the mark counts as dead.
func (p *watch) over() bool { return time.Since(p.since) >= deadTime }

// long reports whether the watch has lasted longer than a renewal may.
func (p *watch) long() bool { return time.Since(p.began) >= refreshTime }

// pause waits before the record is read again: 5, 10, 10 … ms, longer when the watch has lasted for a while, and longer
// when that many others wait in this process. A crowd that read as often as one would take the processor from the
// renewals.
func (p *watch) pause(ctx context.Context, others int) error {
	waited := time.Since(p.began)
	most := 10 * time.Millisecond
	if waited > 5*time.Second {
		most = 100 * time.Millisecond
	} else if waited > time.Second {
		most = 20 * time.Millisecond
	}
	if p.silent() {
		most = time.Second / 2 // no request waits any more
	}
	p.rest = min(max(2*p.rest, 5*time.Millisecond), most)
	rest := p.rest * time.Duration(crowd+others) / crowd
	if others > crowd {
		rest = max(rest, waited/4)
	}
	return env.Pause(ctx, rest)
}

// crowd is how many renewals may wait for other processes before each waits longer.
const crowd = 64
