package env

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
)

// How often a change is tried that a sign-in could not make, and that has to be made all the same.
const (
	afterPause    = 50 * time.Millisecond // before the second try, and twice as long before each later one
	maxAfterPause = 2 * time.Second
)

// Retry tries a change that has failed until the store has taken it, or it has become pointless, for so
// long: nobody waits for it but [Auth.Close]. The caller holds a callback's count.
func (e *Env) Retry(ctx context.Context, long time.Duration, what string, failed error, change func(context.Context) error) {
	e.Log.Visitor(ctx, slog.LevelWarn, what+" yet", reason.Store, slog.Any("error", failed))
	e.Background.Tasks.Add(1)
	ctx = context.WithoutCancel(ctx)
	until, wait := time.Now().Add(long), afterPause
	var try func()
	try = func() {
		over := time.Now().After(until) || e.Background.Stopping() // then it is the last try
		ctx, cancel := context.WithTimeout(ctx, StoreTime)
		defer cancel()
		err := recovered(ctx, change)
		if err == nil || Contested(err) || over {
			if err != nil && !Contested(err) {
				e.Log.Visitor(ctx, slog.LevelError, what, reason.Store, slog.Any("error", err))
			}
			e.Background.Tasks.Done()
			return
		}
		wait = min(2*wait, maxAfterPause)
		time.AfterFunc(wait, try)
	}
	time.AfterFunc(wait, try)
}

var errPanicked = errors.New("env: store panicked")

// recovered calls change. A panic of the app's store is an error: no server is there to catch it.
func recovered(ctx context.Context, change func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPanicked
		}
	}()
	return change(ctx)
}
