package middleware

import (
	"context"
	"io"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// Within returns ctx with a deadline, as Begin and Check get it, and what ends it.
func Within(ctx context.Context, d time.Duration) (context.Context, func()) {
	l := within(ctx, d)
	return l, l.release
}

// SetRandom replaces the random source.
func (a *Auth) SetRandom(r io.Reader) { a.random = r }

// SetStore replaces the store by one that is used as it is, with its values in the clear.
func (a *Auth) SetStore(s sessionstore.Store) { a.store = s }

// Store returns the store, as it is used.
func (a *Auth) Store() sessionstore.Store { return a.store }

// A Side is a session as [Choose] is asked about it.
type Side struct {
	ID       string
	Standing string // "absent", "unborn", "current", "previous", "before" or "stale"
	Born     uint64 // 0: there is no record
	User     string
}

func (s Side) session() *session {
	standings := map[string]standing{
		"absent": absent, "unborn": unborn, "current": current, "previous": previous, "before": before, "stale": stale,
	}
	return &session{
		id: s.ID, secret: "secret-" + s.ID, standing: standings[s.Standing], born: s.Born,
		meta: meta{user: s.User, current: "hash-" + s.ID},
	}
}

// A Choice is which session wins. Follows says what its next secret follows from, Ends which one ends.
type Choice struct{ How, Session, Follows, Ends string }

// Choose says which session wins.
func Choose(p, f Side, user string) Choice {
	w := choose(p.session(), f.session(), user)
	c := Choice{How: [...]string{attach: "attach", rebind: "rebind", bear: "bear", renew: "renew"}[w.how], Session: w.session.id, Follows: w.present}
	if w.ends != nil {
		c.Ends = w.ends.id
	}
	return c
}

// SetOnLogin replaces Config.OnLogin.
func (a *Auth) SetOnLogin(f func(context.Context, *Login) error) { a.onLogin = f }

// AddUnsaved counts so many renewed tokens more that are not saved, and returns how many may be.
func (a *Auth) AddUnsaved(n int) (most int) {
	a.flights.unsaved.Add(int32(n))
	return maxUnsaved
}

// SetNow replaces the clock.
func (a *Auth) SetNow(now func() time.Time) { a.now = now }

// ForgetLines lets the log have a whole minute's lines of visitors again.
func (a *Auth) ForgetLines() {
	a.lines.mu.Lock()
	defer a.lines.mu.Unlock()
	a.lines.kinds = nil
}

// Reopen takes [Auth.Close] back.
func (a *Auth) Reopen() {
	a.gate.Lock()
	defer a.gate.Unlock()
	a.closing = false
}
