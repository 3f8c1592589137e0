// Package clock tells the processor time of this process and of one thread.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Process returns the processor time that the process has used so far.
func Process() time.Duration { return read(unix.CLOCK_PROCESS_CPUTIME_ID) }

// Thread returns the processor time that the calling thread has used so far.
func Thread() time.Duration { return read(unix.CLOCK_THREAD_CPUTIME_ID) }

// read asks the scheduler's own clock: what getrusage says moves in steps of a tick, milliseconds.
func read(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic("clock: " + err.Error()) // every Linux has both
	}
	return time.Duration(t.Nano())
}
