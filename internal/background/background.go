package background

import (
	"context"
	"sync"
)

// A Group counts work that a stop of the server waits for.
type Group struct {
	Tasks   sync.WaitGroup // redemptions and refreshes under way
	Gate    sync.RWMutex   // guards closing, so that nothing is added once Close waits
	Closing bool
}

// Enter counts one piece of work, unless the server is about to stop.
func (g *Group) Enter() bool {
	g.Gate.RLock()
	defer g.Gate.RUnlock()
	if g.Closing {
		return false
	}
	g.Tasks.Add(1)
	return true
}

// Stopping reports that the server is about to stop.
func (g *Group) Stopping() bool {
	g.Gate.RLock()
	defer g.Gate.RUnlock()
	return g.Closing
}

// Wait lets nothing more begin, and waits for what is under way. If ctx ends first, its error is returned.
func (g *Group) Wait(ctx context.Context) error {
	g.Gate.Lock()
	g.Closing = true
	g.Gate.Unlock()
	done := make(chan struct{})
	go func() { g.Tasks.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
