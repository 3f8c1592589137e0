package background

import (
	"context"
	"sync"
)

// A Group counts work that a stop of the server waits for.
type Group struct {
	Callbacks sync.WaitGroup // redemptions and refreshes under way
	Gate      sync.RWMutex   // guards closing, so that nothing is added once Close waits
	Closing   bool
}

// Enter counts one piece of work, unless the server is about to stop.
func (a *Group) Enter() bool {
	a.Gate.RLock()
	defer a.Gate.RUnlock()
	if a.Closing {
		return false
	}
	a.Callbacks.Add(1)
	return true
}

// Stopping reports that the server is about to stop.
func (a *Group) Stopping() bool {
	a.Gate.RLock()
	defer a.Gate.RUnlock()
	return a.Closing
}

// Wait lets nothing more begin, and waits for what is under way. If ctx ends first, its error is returned.
func (a *Group) Wait(ctx context.Context) error {
	a.Gate.Lock()
	a.Closing = true
	a.Gate.Unlock()
	done := make(chan struct{})
	go func() { a.Callbacks.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
