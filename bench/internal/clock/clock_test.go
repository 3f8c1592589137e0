package clock_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/returnleg/returnleg/bench/internal/clock"
)

// A clock that moves in ticks would make everything shorter than a tick look free, or dear.
func TestResolution(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	clocks := map[string]func() time.Duration{"process": clock.Process, "thread": clock.Thread}
	for name, now := range clocks {
		t.Run(name, func(t *testing.T) {
			least := time.Hour
			for range 1000 {
				before := now()
				if d := now() - before; d > 0 {
					least = min(least, d)
				}
			}
			if least > 100*time.Microsecond {
				t.Errorf("the smallest step is %v, want less than 100µs", least)
			}
		})
	}
}
