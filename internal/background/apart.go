package background

import (
	"context"
	"runtime"
	"time"
)

// Apart runs f in a goroutine of its own, and waits for it for at most long. It reports whether f has ended. If
// not, f goes on, and Apart calls left when f ends.
//
// The context of f ends with parent only while Apart waits. If f panics or ends its goroutine while Apart
// waits, so does Apart. Apart calls fell after every panic of f, while the stack still has it, and with nil if
// f has ended its goroutine.
func Apart(parent context.Context, long time.Duration, f func(ctx context.Context), fell func(panicked any), left func()) (ended bool) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	keep := context.AfterFunc(parent, cancel)
	type end struct {
		returned bool
		panicked any
	}
	done, late := make(chan end), make(chan struct{})
	go func() {
		var e end
		defer cancel()
		defer func() {
			if !e.returned {
				e.panicked = recover()
				fell(e.panicked)
			}
			select {
			case done <- e:
			case <-late:
				left()
			}
		}()
		f(ctx)
		e.returned = true
	}()
	enough := time.NewTimer(long)
	defer enough.Stop()
	select {
	case e := <-done:
		keep()
		switch {
		case e.panicked != nil:
			panic(e.panicked)
		case !e.returned:
			runtime.Goexit()
		}
		return true
	case <-enough.C:
		keep() // the caller is about to answer, which ends parent and must not end f
		close(late)
		return false
	}
}
