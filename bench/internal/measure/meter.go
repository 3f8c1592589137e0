// Package measure compares pieces of work that are done in turn, in one run on one machine.
package measure

import (
	"runtime"
	"time"

	"github.com/returnleg/returnleg/bench/internal/clock"
)

// A Meter adds up what the process spends while it runs: processor time, of all threads and of the
// garbage collector too, and allocations. It counts time of the clock on the wall as well, for work
// that waits for another process: other programs of the machine are in it. It is not safe for
// concurrent use.
type Meter struct {
	cpu, wall      time.Duration
	sinceWall      time.Time
	allocs, bytes  uint64
	since          time.Duration
	sinceN, sinceB uint64
}

// Start begins to count.
func (m *Meter) Start() {
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	m.sinceN, m.sinceB = ms.Mallocs, ms.TotalAlloc
	m.sinceWall = time.Now()
	m.since = clock.Process()
}

// Stop ends what Start began. What happens until the next Start is nobody's.
func (m *Meter) Stop() {
	m.cpu += clock.Process() - m.since
	m.wall += time.Since(m.sinceWall)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	m.allocs += ms.Mallocs - m.sinceN
	m.bytes += ms.TotalAlloc - m.sinceB
}
