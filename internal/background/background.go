package background

import (
	"context"
	"sync"
)

// A Group counts the work that a stop of the server waits for. The zero value is ready for use.
type Group struct {
	Tasks   sync.WaitGroup // the work under way; work that is under way may add more
	Gate    sync.RWMutex   // guards Closing, so that nothing enters once Wait waits
	Closing bool
}

// Enter adds one to Tasks, unless the server is about to stop. The caller calls Tasks.Done when the work has
// ended.
func (g *Group) Enter() bool {
	g.Gate.RLock()
	defer g.Gate.RUnlock()
	if g.Closing {
		return false
	}
	g.Tasks.Add(1)
	return true
}

// Stopping reports whether the server is about to stop.
func (g *Group) Stopping() bool {
	g.Gate.RLock()
	defer g.Gate.RUnlock()
	return g.Closing
}

// Wait lets no new work enter, and waits for the work under way. If ctx ends first, Wait returns its error.
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
