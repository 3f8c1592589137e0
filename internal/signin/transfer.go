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

// A transfer is an account that is to belong to the person who links it. Until [SignIns.takeAccount] it belongs
// to its former owner.
type transfer struct {
	enrolment *account.Enrolment // with the new owner's ID
	before    string             // the former owner's ID; the same if it was nobody else's
}

// mayLink judges whether the person who is signed in may link this identity. An account that belongs to another user
// here is transferred only if the person has confirmed that, signed in as the same user as now; else the error is
// a [TakenError]. The transfer is nil for the account that they are signed in as.
func (a *SignIns) mayLink(ctx context.Context, p *session.View, f *Flow, g *connection.Grant, id *providers.Identity) (*transfer, error) {
	if err := belongs(f, p); err != nil {
		return nil, err
	}
	if g.User == p.Meta.User {
		return nil, nil
	}
	if f.Label == "" && f.Provider == p.Meta.Provider {
		// The connection of the sign-in belongs to the account of the sign-in. A second account needs a label.
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
	if e.IsNew && !e.Lost { // an account that cannot be read may be another user's: the person has to confirm, and its sessions end
		h.before = self.ID
	}
	if h.before != self.ID && f.takes != e.Key.ID {
		a.accounts.Drop(ctx, e)
		return nil, &TakenError{Account: e.Key.ID, Provider: g.Provider}
	}
	e.Account.ID, e.Account.Provider = self.ID, g.Provider
	return h, nil
}

// abandon gives up a transfer before anything of it is written.
func (a *SignIns) abandon(ctx context.Context, h *transfer) {
	if h != nil {
		a.accounts.Drop(ctx, h.enrolment)
	}
}

// takeAccount gives the account to its new owner, whose session has that id. If that fails, the account belongs
// to its former owner.
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

// endFormerOwner ends every session that was signed in by the account, but for the new owner's session.
func (a *SignIns) endFormerOwner(ctx context.Context, h *transfer, id *providers.Identity, session string) error {
	e := h.enrolment
	// A sign-in of the account may have ended at the same time, and kept the account as it found it.
	now, err := a.accounts.Enrol(ctx, e.Key.ID, id)
	if err != nil {
		return err
	}
	if now.Account.ID != e.Account.ID {
		a.accounts.Drop(ctx, now)
		return errors.New("middleware: account: changed meanwhile")
	}
	// Sessions that were signed in by it are signed in as its former owner.
	return errors.Join(a.accounts.Unlist(ctx, h.before, e.Key.ID), a.accounts.EndAccount(ctx, e.Key.ID, "", session))
}

// unlinkIfCut unlinks the account of a transfer that is done if s is no longer connected with it: a request that
// replaced or ended the connection before the transfer found nothing to unlink. If the session has ended, the
// account stays linked.
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

// returnAccount gives the account back to its former owner.
func (a *SignIns) returnAccount(ctx context.Context, h *transfer, id *providers.Identity) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime)
	defer cancel()
	e, err := a.accounts.Enrol(ctx, h.enrolment.Key.ID, id)
	switch {
	case err == nil && (e.IsNew || e.Account.ID != h.enrolment.Account.ID):
		a.accounts.Drop(ctx, e) // it has changed since
		return
	case err == nil:
		e.Account.ID, e.Account.Provider = h.before, ""
		err = errors.Join(a.accounts.Keep(ctx, e), a.accounts.Unlist(ctx, h.enrolment.Account.ID, e.Key.ID))
	}
	if err != nil {
		a.env.Log.Event(ctx, slog.LevelError, "account not handed back", reason.Store, slog.Any("error", err))
	}
}

// A TakenError says that an identity which is being linked belongs to another user here.
type TakenError struct {
	Account  string // key of its account
	Provider string
}

// Error names neither the account nor the user.
func (*TakenError) Error() string { return "signin: the identity belongs to another user" }
