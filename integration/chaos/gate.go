package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A gate stands between one app process and its store, and breaks what passes. It is what a network, a
// slow server and the end of a process look like from either side.
type gate struct {
	store sessionstore.Store
	calls *calls

	mu     sync.Mutex
	random *rand.Rand
	fault  trouble
}

// A trouble says what is wrong. Shares are those of all operations, from 0 to 1.
type trouble struct {
	lost    float64       // done, and not answered
	refused float64       // not done
	delay   time.Duration // up to twice this long, each
	dead    bool          // the process has ended: nothing more passes
}

func newGate(s sessionstore.Store, seed uint64, c *calls) *gate {
	return &gate{store: s, calls: c, random: rand.New(rand.NewPCG(seed, 7))}
}

func (g *gate) set(t trouble) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.fault.dead {
		g.fault = t
	}
}

// pass does an operation as the trouble has it.
func (g *gate) pass(ctx context.Context, do func(ctx context.Context) error) error {
	g.mu.Lock()
	f, chance := g.fault, g.random.Float64()
	wait := time.Duration(g.random.Int64N(int64(2*f.delay) + 1))
	g.mu.Unlock()
	g.calls.count()
	unavailable := fmt.Errorf("chaos: %w", sessionstore.ErrUnavailable)
	if f.dead {
		return unavailable
	}
	if f.delay > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", unavailable, ctx.Err())
		}
	}
	if chance < f.refused {
		return unavailable
	}
	err := do(ctx)
	g.mu.Lock()
	dead := g.fault.dead
	g.mu.Unlock()
	if dead || chance < f.refused+f.lost {
		return unavailable
	}
	return err
}

func (g *gate) Load(ctx context.Context, k sessionstore.Key) (r sessionstore.Record, err error) {
	err = g.pass(ctx, func(ctx context.Context) error {
		r, err = g.store.Load(ctx, k)
		return err
	})
	if err != nil {
		return sessionstore.Record{}, err
	}
	return r, nil
}

func (g *gate) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.store.Update(ctx, k, c) })
}

func (g *gate) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	return g.pass(ctx, func(ctx context.Context) error { return g.store.Delete(ctx, ks...) })
}

func (g *gate) LoadAll(ctx context.Context, ks []sessionstore.Key) (rs []sessionstore.Record, err error) {
	err = g.pass(ctx, func(ctx context.Context) error {
		rs, err = sessionstore.LoadAll(ctx, g.store, ks)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rs, nil
}

func (g *gate) UpdateAll(ctx context.Context, us []sessionstore.KeyedChange) []error {
	errs := make([]error, len(us))
	err := g.pass(ctx, func(ctx context.Context) error {
		errs = sessionstore.UpdateAll(ctx, g.store, us)
		return nil
	})
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

var (
	_ sessionstore.Store        = (*gate)(nil)
	_ sessionstore.BatchLoader  = (*gate)(nil)
	_ sessionstore.BatchUpdater = (*gate)(nil)
)
