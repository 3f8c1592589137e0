package middleware

import (
	"context"
	"io"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/sessionstore"
)

// Within returns ctx with a deadline, as Begin and Check get it, and what ends it.
func Within(ctx context.Context, d time.Duration) (context.Context, func()) {
	l := env.Within(ctx, d)
	return l, l.Release
}

// SetRandom replaces the random source.
func (a *Auth) SetRandom(r io.Reader) { a.env.Random = r }

// SetStore replaces the store by one that is used as it is, with its values in the clear.
func (a *Auth) SetStore(s sessionstore.Store) { a.env.Store = s }

// Store returns the store, as it is used.
func (a *Auth) Store() sessionstore.Store { return a.env.Store }

// A Side is a session as [Choose] is asked about it.
type Side struct {
	ID       string
	Standing string // "absent", "unborn", "current", "previous", "before" or "stale"
	Born     uint64 // 0: there is no record
	User     string
}

func (s Side) session() *session.View {
	standings := map[string]session.Standing{
		"absent": session.Absent, "unborn": session.Unstored, "current": session.Current, "previous": session.Previous, "before": session.Superseded, "stale": session.Stale,
	}
	return &session.View{
		ID: s.ID, Secret: "secret-" + s.ID, Standing: standings[s.Standing], Born: s.Born,
		Meta: session.Meta{User: s.User, Current: "hash-" + s.ID},
	}
}

// A Choice is which session wins. Follows says what its next secret follows from, Ends which one ends.
type Choice struct{ How, Session, Follows, Ends string }

// Choose says which session wins.
func Choose(p, f Side, user string) Choice {
	w := signin.Choose(p.session(), f.session(), user)
	c := Choice{How: [...]string{signin.Attach: "attach", signin.Rebind: "rebind", signin.Create: "bear", signin.Renew: "renew"}[w.How], Session: w.Session.ID, Follows: w.Present}
	if w.Ends != nil {
		c.Ends = w.Ends.ID
	}
	return c
}

// SetOnLogin replaces Config.OnLogin.
func (a *Auth) SetOnLogin(f func(context.Context, *Login) error) { a.signins.OnLogin = a.admit(f) }

// AddUnsaved counts so many renewed tokens more that are not saved, and returns how many may be.
func (a *Auth) AddUnsaved(n int) (most int) {
	a.connections.Flights.Unsaved.Add(int32(n))
	return connection.MaxUnsaved
}

// SetNow replaces the clock.
func (a *Auth) SetNow(now func() time.Time) { a.env.Clock = now }

// ForgetLines lets the log have a whole minute's lines of visitors again.
func (a *Auth) ForgetLines() {
	a.env.Log.Lines.Mu.Lock()
	defer a.env.Log.Lines.Mu.Unlock()
	a.env.Log.Lines.Kinds = nil
}

// Reopen takes [Auth.Close] back.
func (a *Auth) Reopen() {
	a.env.Background.Gate.Lock()
	defer a.env.Background.Gate.Unlock()
	a.env.Background.Closing = false
}
