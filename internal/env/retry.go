package env

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
)

// retryPause is how long [Env.Retry] waits before its first try. It waits twice as long before each later one,
// and maxRetryPause at most.
const (
	retryPause    = 50 * time.Millisecond
	maxRetryPause = 2 * time.Second
)

// Retry tries a change that has failed until the store takes it or it has become pointless, for at most long.
// It returns at once. The tries are a background task that a stop of the server waits for, which the caller is,
// too. what names the change in the log.
func (e *Env) Retry(ctx context.Context, long time.Duration, what string, failed error, change func(context.Context) error) {
	e.Log.Visitor(ctx, slog.LevelWarn, what+" yet", reason.Store, slog.Any("error", failed))
	e.Background.Tasks.Add(1)
	ctx = context.WithoutCancel(ctx)
	until, wait := time.Now().Add(long), retryPause
	var try func()
	try = func() {
		over := time.Now().After(until) || e.Background.Stopping() // this is the last try
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
		wait = min(2*wait, maxRetryPause)
		time.AfterFunc(wait, try)
	}
	time.AfterFunc(wait, try)
}

var errPanicked = errors.New("env: store panicked")

// recovered calls change. A panic of the app's store is an error here: no server recovers from it in the
// background.
func recovered(ctx context.Context, change func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPanicked
		}
	}()
	return change(ctx)
}
