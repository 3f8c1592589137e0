package account

import (
	"context"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/sessionstore"
)

// A reservation is a new account that a sign-in has for itself. It is written again and again while the sign-in
// is under way. A sign-in that waits for it sees by its own clock when that stops: the process has died.
type reservation struct {
	mu      sync.Mutex
	version uint64 // of the profile
	over    bool
	timer   *time.Timer
}

const (
	reserved     = 3 * time.Second // without a change, its process has died
	reserveAgain = time.Second
)

// reserve keeps an account reserved, whose profile has this version and value, until [reservation.end].
func (a *Accounts) reserve(ctx context.Context, key sessionstore.Key, version uint64, value string) *reservation {
	r := &reservation{version: version}
	again := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		defer func() { _ = recover() }() // of a store of the app's: no server is there to catch it
		if r.over || ctx.Err() != nil {
			return
		}
		next := env.Version()
		err := a.Env.Write(ctx, key, sessionstore.Change{
			If:  []sessionstore.Match{{Name: fieldAccount, Version: r.version}},
			Set: []sessionstore.Field{{Name: fieldAccount, Value: value, Version: next}},
		})
		if err == nil {
			r.version = next
		}
		if !env.Contested(err) {
			r.timer.Reset(reserveAgain)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(reserveAgain, again)
	return r
}

// end returns the version that the profile has now, and writes no other.
func (r *reservation) end(otherwise uint64) uint64 {
	if r == nil {
		return otherwise
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.timer.Stop()
	return r.version
}

// A watch is what a sign-in sees that waits for a reservation to end.
type watch struct {
	version uint64
	since   time.Time
}

// idle reports that a reservation, which has this version, has not been written for so long that its process
// must have died.
func (w *watch) idle(version uint64) bool {
	if now := time.Now(); w.version != version {
		w.version, w.since = version, now
	}
	return time.Since(w.since) >= reserved
}
