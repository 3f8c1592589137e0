package discovery

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/returnleg/returnleg/providers/internal/fault"
)

const (
	freshFor     = time.Hour      // then it is renewed in the background
	usableFor    = 24 * time.Hour // if it cannot be renewed
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	refetchEvery = time.Minute // on demand, for a key that is not in the copy
)

// A Document is something that the provider publishes, and the copy that is kept of it. One request
// at a time fetches it, for everybody who waits, and none of them can cancel it for the others. A
// fetch that failed is not repeated before a pause that doubles from a second to a minute.
type Document[T any] struct {
	mu      sync.Mutex
	copy    T
	have    bool
	fetched time.Time
	refetch time.Time // no refetch on demand before
	retry   time.Time // no attempt before
	pause   time.Duration
	err     error         // of the last attempt
	running chan struct{} // closed when the attempt under way ends; nil if there is none
}

// Load returns the copy, which is at most usableFor old.
func (d *Document[T]) Load(ctx context.Context, fetch func(context.Context) (T, error)) (T, error) {
	d.mu.Lock()
	age := time.Since(d.fetched)
	if d.have && age < usableFor {
		if age >= freshFor {
			d.start(ctx, fetch)
		}
		defer d.mu.Unlock()
		return d.copy, nil
	}
	running := d.start(ctx, fetch)
	d.mu.Unlock()
	if err := wait(ctx, running); err != nil {
		var none T
		return none, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.have && time.Since(d.fetched) < usableFor {
		return d.copy, nil
	}
	var none T
	return none, d.err
}

// Again fetches a copy because something is missing in the one that the caller has seen, once per
// refetchEvery: somebody who presents made-up key ids must not have the provider asked for each. While the
// last attempt has failed, it is not known what is missing: the error is that of the attempt, and the next
// one comes after its pause.
func (d *Document[T]) Again(ctx context.Context, fetch func(context.Context) (T, error)) (copy T, ok bool, err error) {
	d.mu.Lock()
	running := d.running
	if running == nil {
		if now := time.Now(); !now.Before(d.refetch) {
			d.refetch = now.Add(refetchEvery)
			running = d.start(ctx, fetch)
		}
	}
	last := d.err
	d.mu.Unlock()
	if running == nil {
		return copy, false, last
	}
	if err := wait(ctx, running); err != nil {
		return copy, false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.copy, d.have, d.err
}

// start begins an attempt, unless there is one under way or it is too early. The caller holds d.mu.
func (d *Document[T]) start(ctx context.Context, fetch func(context.Context) (T, error)) chan struct{} {
	if d.running != nil || time.Now().Before(d.retry) {
		return d.running
	}
	running := make(chan struct{})
	d.running = running
	// The first of those who wait may leave; the others still want it. The fetch has a time
	// limit of its own.
	ctx = context.WithoutCancel(ctx)
	go func() {
		copy, err := caught(ctx, fetch)
		d.mu.Lock()
		defer d.mu.Unlock()
		defer close(running)
		d.running, d.err = nil, err
		now := time.Now()
		if err != nil {
			d.pause = min(max(2*d.pause, firstBackoff), maxBackoff)
			d.retry = now.Add(d.pause)
			d.refetch = d.retry // what was asked for did not come
			return
		}
		d.copy, d.have, d.fetched, d.pause, d.retry = copy, true, now, 0, time.Time{}
	}()
	return running
}

// caught is fetch, with a panic as an error: it may come from a transport of the app's, and no server is
// there to catch it.
func caught[T any](ctx context.Context, fetch func(context.Context) (T, error)) (copy T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("providers: %w: panic: %T", fault.ErrUnavailable, v)
		}
	}()
	return fetch(ctx)
}

// wait waits for an attempt; nil is none.
func wait(ctx context.Context, running <-chan struct{}) error {
	if running == nil {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
	}
}
