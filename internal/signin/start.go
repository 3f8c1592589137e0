package signin

import (
	"net/http"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
)

// A Departure is what a sign-in starts with.
type Departure struct {
	Provider string
	Label    string // of the connection; "" for a sign-in
	Purpose  Purpose
	Need     connection.Need
	Takes    string // link: key of the account that may be transferred
	Page     string // id of a page state
	ReturnTo string
	Gate     string // path of the page that starts it by itself; "" if the person asked
}

const beginTime = 15 * time.Second

// A Beginning is a sign-in that has started.
type Beginning struct {
	To      string        // the provider's URL
	Bound   BindingChange // what becomes of the browser's bindings
	Session string        // id of the session that the browser is given; "": it has one
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
	if err := f.checkRoom(s); err != nil {
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
	f.started, f.expires = out.Bound.set.last, time.UnixMicro(out.Bound.set.last).Add(flowLife)
	state, err := a.sealFlow(q.Outer, f, &out.Bound.set.kept[0].binding)
	if err != nil {
		return nil, err
	}
	ctx := env.Within(a.connections.Outgoing(q.Outer), beginTime)
	defer ctx.Release()
	out.To, err = a.connections.Providers[d.Provider].Begin(ctx, a.visit(f, state, s))
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// Aim sets the purpose of a sign-in d that is asked for in the session s by a link. unconnected reports that d is for a
// connection that s does not have: the person has to link the account first.
func (a *SignIns) Aim(s *session.View, d *Departure) (unconnected bool) {
	if !s.SignedIn() {
		d.Label = "" // first they sign in
		return false
	}
	g, ok := connection.GrantOf(s, connection.ID(d.Provider, d.Label))
	n := d.Need
	switch {
	case ok && (n.Again || d.Label != "" || len(n.Scopes) > 0 || len(n.ACR) > 0 || n.MaxAge > 0),
		ok && g.User != s.Meta.User && g.Over(a.env.Clock()): // a sign-in with it would end in another session
		d.Purpose = StepUp
	}
	return !ok && d.Label != ""
}
