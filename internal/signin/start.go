package signin

import (
	"errors"
	"net/http"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
)

// Departure is what a sign-in starts from.
type Departure struct {
	Provider string
	Label    string // of the connection; "" for signIn
	Purpose  purpose
	Need     connection.Need
	Takes    string // see flow
	Page     string // id of a page state
	ReturnTo string
	Gate     string // the path of a gate that starts it by itself; "" if the person asked
}

const beginTime = 15 * time.Second

// A Beginning is a sign-in that has started.
type Beginning struct {
	To      string    // the provider's URL
	Bound   rebinding // what becomes of the browser's bindings
	Session string    // id of the session that the browser is given; "": it has one
	Secret  string
}

// Start starts the sign-in d of the request q, as r. An error of the provider is returned as it is.
func (a *SignIns) Start(q *session.Request, r *http.Request, d *Departure) (*Beginning, error) {
	s, now := q.Now.Load(), a.env.Clock()
	f := &Flow{
		Provider: d.Provider, Label: d.Label, Purpose: d.Purpose, session: s.ID,
		Page: d.Page, returnTo: d.ReturnTo, Need: d.Need, takes: d.Takes,
	}
	if d.Purpose != SignIn {
		f.user = s.Meta.User
	}
	if err := f.room(s); err != nil {
		return nil, err
	}
	var out Beginning
	if s.StartsNew() {
		id, err := a.env.RandomText(16)
		if err != nil {
			return nil, reason.New(reason.Random, err)
		}
		f.session, out.Session, out.Secret = id, id, a.env.Ring[0].First(id)
	}
	var err error
	if out.Bound, err = a.bind(a.Bindings(r), f.session, d.Gate, now); err != nil {
		return nil, reason.New(reason.Random, err)
	}
	f.started, f.expires = out.Bound.set.last, time.UnixMicro(out.Bound.set.last).Add(FlowLife)
	state, err := a.sealFlow(q.Outer, f, &out.Bound.set.kept[0].Binding)
	if errors.Is(err, errStateTooLong) {
		return nil, reason.New(reason.Parameter, err)
	}
	if err != nil {
		return nil, reason.New(reason.Random, err)
	}
	ctx := env.Within(a.connections.Outgoing(q.Outer), beginTime)
	defer ctx.Release()
	out.To, err = a.connections.Providers[d.Provider].Begin(ctx, a.visit(f, state, s))
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// Aim decides what a sign-in d that somebody asked for in the session s is for. It reports whether they have to connect
// an account first.
func (a *SignIns) Aim(s *session.View, d *Departure) (unconnected bool) {
	if !s.SignedIn() {
		d.Label = "" // first they sign in
		return false
	}
	g, ok := connection.GrantOf(s, connection.ID(d.Provider, d.Label))
	n := d.Need
	switch {
	case ok && (n.Again || d.Label != "" || len(n.Scopes) > 0 || len(n.ACR) > 0 || n.MaxAge > 0),
		ok && g.User != s.Meta.User && g.Over(a.env.Clock()): // to sign in with it instead would be another session
		d.Purpose = StepUp
	}
	return !ok && d.Label != ""
}
