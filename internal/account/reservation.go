package account

import (
	"context"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/sessionstore"
)

// A reservation is a new account that a sign-in has for itself. It is written anew while the sign-in is at
// it, so that one which waits can tell from its own clock that nobody is: its process has died.
type reservation struct {
	mu      sync.Mutex
	version uint64 // of the account's field
	over    bool
	timer   *time.Timer
}

const (
	reserved     = 3 * time.Second // without a change, nobody is at it
	reserveAgain = time.Second
)

// reserve keeps the account of e reserved, whose field has this value, until [reservation.end].
func (a *Accounts) reserve(ctx context.Context, e *Enrolment, value string) {
	r := &reservation{version: e.version}
	e.reservation = r
	again := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		defer func() { _ = recover() }() // of a store of the app's: no server is there to catch it
		if r.over || ctx.Err() != nil {
			return
		}
		next := env.Version()
		err := a.Env.Write(ctx, e.Key, sessionstore.Change{
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
}

// end returns the version that the account's field has now, and writes no other.
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

// A watch is what somebody sees who waits for a reservation to end.
type watch struct {
	version uint64
	since   time.Time
}

// idle reports that a reservation, which has this version, has not been written for so long that nobody is
// at it.
func (w *watch) idle(version uint64) bool {
	if now := time.Now(); w.version != version {
		w.version, w.since = version, now
	}
	return time.Since(w.since) >= reserved
}
