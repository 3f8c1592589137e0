package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
)

// What Begin and Check get is a context like any other, whenever somebody first looks at it.
func TestWithin(t *testing.T) {
	type key struct{}
	rows := []struct {
		name string
		use  func(ctx context.Context, release, cancel func()) error
		want error
		took time.Duration
	}{
		{"the deadline passes", func(ctx context.Context, _, _ func()) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded, 15 * time.Second},
		{"it had passed before anybody looked", func(ctx context.Context, _, _ func()) error { time.Sleep(time.Minute); return ctx.Err() }, context.DeadlineExceeded, time.Minute},
		{"in time", func(ctx context.Context, _, _ func()) error { time.Sleep(14 * time.Second); return ctx.Err() }, nil, 14 * time.Second},
		{"the client left", func(ctx context.Context, _, cancel func()) error { cancel(); <-ctx.Done(); return ctx.Err() }, context.Canceled, 0},
		{"released", func(ctx context.Context, release, _ func()) error { <-after(ctx, release); return ctx.Err() }, context.Canceled, 0},
		{"released before anybody looked", func(ctx context.Context, release, _ func()) error { release(); <-ctx.Done(); return ctx.Err() }, context.Canceled, 0},
		{"derived", func(ctx context.Context, _, _ func()) error {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-child.Done()
			return child.Err()
		}, context.DeadlineExceeded, 15 * time.Second},
		{"derived without its end", func(ctx context.Context, release, _ func()) error { release(); return context.WithoutCancel(ctx).Err() }, nil, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
				defer cancel()
				ctx, release := middleware.Within(parent, 15*time.Second)
				defer release()
				began := time.Now()
				if d, ok := ctx.Deadline(); !ok || !d.Equal(began.Add(15*time.Second)) {
					t.Errorf("deadline: got %v %v", d, ok)
				}
				if ctx.Value(key{}) != "kept" {
					t.Error("a value got lost")
				}
				if err := row.use(ctx, release, cancel); !errors.Is(err, row.want) {
					t.Errorf("got %v, want %v", err, row.want)
				}
				if got := time.Since(began); got != row.took {
					t.Errorf("took %v, want %v", got, row.took)
				}
				if ctx.Value(key{}) != "kept" {
					t.Error("a value got lost afterwards")
				}
			})
		})
	}
}

// after lets somebody wait for ctx, and then releases it.
func after(ctx context.Context, release func()) <-chan struct{} {
	done := ctx.Done()
	release()
	return done
}
