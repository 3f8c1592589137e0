package signin

import (
	"context"
	"time"
)

// A queue bounds how many codes are redeemed at a time at one provider. A slow provider holds up the sign-ins
// there, and no others.
type queue chan struct{}

const (
	maxExchanges = 256             // at a time, per provider
	queueTime    = 2 * time.Second // for a turn; nothing is sent or used up by then, so a reload tries again
)

func newQueue() queue { return make(queue, maxExchanges) }

// enter waits for a turn, and reports whether there is one. If so, the caller calls leave.
func (q queue) enter(ctx context.Context) bool {
	select {
	case q <- struct{}{}:
		return true
	default:
	}
	wait := time.NewTimer(queueTime)
	defer wait.Stop()
	select {
	case q <- struct{}{}:
		return true
	case <-wait.C:
	case <-ctx.Done():
	}
	return false
}

func (q queue) leave() { <-q }
