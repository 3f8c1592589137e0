package background

import (
	"context"
	"runtime"
	"time"
)

// Apart runs f in a goroutine of its own, and waits for it for so long. It reports whether f has ended; if not, f goes
// on, and ctx, which ends with parent until then, does not end any more. left is called when f ends after that. A panic
// of f, and the end of its goroutine, are the caller's if it still waits. fell is told of a panic in any case, while its
// stack is there.
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
		keep() // the caller is about to answer, and that is no reason to stop
		close(late)
		return false
	}
}
