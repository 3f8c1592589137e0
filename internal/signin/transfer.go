package signin

import (
	"context"
	"errors"
	"log/slog"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// transfer is an account on its way to the person who links it. Until [Auth.handOver] it is still
// whose it was.
type transfer struct {
	enrolment *account.Enrolment // with the new owner's ID
	before    string             // the ID of whom it belonged to; the same if it was nobody else's
}

// own judges whether the identity that is being linked may be another one of the person who is signed
// in. One that belongs to somebody else here changes hands only if the person has confirmed that, and
// was then signed in as who they are now. It is nil for the one that they are signed in as.
func (a *SignIns) own(ctx context.Context, p *session.View, f *Flow, g *connection.Grant, id *providers.Identity) (*transfer, error) {
	if err := belongs(f, p); err != nil {
		return nil, err
	}
	if g.User == p.Meta.User {
		return nil, nil
	}
	if f.Label == "" && f.Provider == p.Meta.Provider {
		// The connection of the sign-in is that of who is signed in. Another one has a label.
		return nil, reason.New(reason.Identity, errors.New("middleware: callback: not the account of the sign-in"))
	}
	field, _ := p.Record.Field(session.FieldUser)
	self, err := account.Unpack(field.Value)
	if err != nil {
		return nil, reason.New(reason.SessionChanged, err)
	}
	e, err := a.accounts.Enrol(ctx, g.User, id)
	if err != nil {
		return nil, reason.New(reason.Store, err)
	}
	h := &transfer{enrolment: e, before: e.Account.ID}
	if e.IsNew && !e.Lost { // one that cannot be read was somebody's: it takes the button, and their sessions end
		h.before = self.ID
	}
	if h.before != self.ID && f.takes != e.Key.ID {
		a.accounts.Drop(ctx, e)
		return nil, &TakenError{Account: e.Key.ID, Provider: g.Provider}
	}
	e.Account.ID, e.Account.Provider = self.ID, g.Provider
	return h, nil
}

// abandon gives up a transfer that did not come to be.
func (a *SignIns) abandon(ctx context.Context, h *transfer) {
	if h != nil {
		a.accounts.Drop(ctx, h.enrolment)
	}
}

// takeAccount makes the account its new owner's, whose session is the one of that id. If it cannot, it is
// whose it was.
func (a *SignIns) takeAccount(ctx context.Context, q *session.Request, h *transfer, id *providers.Identity, session string) error {
	if h == nil {
		return nil
	}
	e := h.enrolment
	if err := a.accounts.Keep(ctx, e); err != nil {
		a.accounts.Drop(ctx, e)
		return err
	}
	if h.before == e.Account.ID {
		return nil
	}
	if err := a.endFormerOwner(ctx, h, id, session); err != nil {
		a.returnAccount(ctx, h, id)
		return err
	}
	a.env.Log.Event(q.Outer, slog.LevelWarn, "account moved to another user", "", slog.String("provider", e.Account.Provider))
	return nil
}

// endFormerOwner ends what whoever had the account before has by it.
func (a *SignIns) endFormerOwner(ctx context.Context, h *transfer, id *providers.Identity, session string) error {
	e := h.enrolment
	// A sign-in of that account which ended in the same moment has kept what it found.
	now, err := a.accounts.Enrol(ctx, e.Key.ID, id)
	if err != nil {
		return err
	}
	if now.Account.ID != e.Account.ID {
		a.accounts.Drop(ctx, now)
		return errors.New("middleware: account: changed meanwhile")
	}
	// Who is signed in by it is signed in as somebody that it does not belong to any more.
	return errors.Join(a.accounts.Unlist(ctx, h.before, e.Key.ID), a.accounts.EndAccount(ctx, e.Key.ID, "", session))
}

// unlinkIfCut unlinks the account of a transfer that is over when s is connected with it no more: whoever
// replaced or cut the connection before the account had changed hands found nothing to unlink. A session
// that has ended is another matter: what was linked outlives it.
func (a *SignIns) unlinkIfCut(ctx context.Context, h *transfer, s *session.View) {
	if h == nil {
		return
	}
	account := h.enrolment.Key.ID
	now, err := a.sessions.Find(ctx, s.ID)
	if err == nil && now.Born == s.Born && !connection.Connects(&now, account) {
		err = a.accounts.Unlink(ctx, s, account)
	}
	if err != nil {
		a.env.Log.Event(ctx, slog.LevelWarn, "account not unlinked", reason.Store, slog.Any("error", err))
	}
}

// returnAccount undoes a transfer.
func (a *SignIns) returnAccount(ctx context.Context, h *transfer, id *providers.Identity) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	e, err := a.accounts.Enrol(ctx, h.enrolment.Key.ID, id)
	switch {
	case err == nil && (e.IsNew || e.Account.ID != h.enrolment.Account.ID):
		a.accounts.Drop(ctx, e) // it is not what was made of it
		return
	case err == nil:
		e.Account.ID, e.Account.Provider = h.before, ""
		err = errors.Join(a.accounts.Keep(ctx, e), a.accounts.Unlist(ctx, h.enrolment.Account.ID, e.Key.ID))
	}
	if err != nil {
		a.env.Log.Event(ctx, slog.LevelError, "account not handed back", reason.Store, slog.Any("error", err))
	}
}

// A TakenError says that an identity which is being linked belongs to somebody else here.
type TakenError struct {
	Account  string // its key
	Provider string
}

// Error says so.
func (*TakenError) Error() string { return "signin: the identity belongs to another user" }
