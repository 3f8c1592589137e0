package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/sessionstore"
)

// Keep saves the account as it is now, and lists no session.
func (a *Accounts) Keep(ctx context.Context, e *Enrolment) error {
	if err := a.findable(ctx, e); err != nil {
		return err
	}
	err := a.keep(ctx, e)
	if env.Contested(err) && !e.IsNew {
		if err = a.refresh(ctx, e); err == nil {
			err = a.unchanged(ctx, e) // another sign-in of this person ended at the same time: either profile will do
		}
	}
	if err != nil {
		return fmt.Errorf("middleware: account: %w", err)
	}
	return nil
}

// keep makes the change that saves the account.
func (a *Accounts) keep(ctx context.Context, e *Enrolment) error {
	c := a.profile(e)
	err := a.Env.Write(ctx, e.Key, c)
	e.note(&c, err)
	return err
}

// profile returns the change that saves the account of e, if nobody has changed the profile.
func (a *Accounts) profile(e *Enrolment) sessionstore.Change {
	e.version, e.reservation = e.reservation.end(e.version), nil
	return sessionstore.Change{
		If:      []sessionstore.Match{{Name: fieldAccount, Version: e.version}},
		Set:     []sessionstore.Field{{Name: fieldAccount, Value: e.Account.profile(), Version: env.Version()}},
		Expires: a.Env.Clock().Add(ForGood),
	}
}

// note notes what came of c, which saves the account of e.
func (e *Enrolment) note(c *sessionstore.Change, err error) {
	switch {
	case err == nil:
		e.over = true
	case !env.Decided(err):
		e.kept = c.Set[0].Version
	}
}

// refresh reads the record of e anew. A record that is not there any more is the zero Record.
func (a *Accounts) refresh(ctx context.Context, e *Enrolment) error {
	rec, err := a.Env.Read(ctx, e.Key)
	if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
		return err
	}
	e.rec = rec
	return nil
}

// unchanged returns an error if the account of e has become somebody else's, or nobody's, when its record was
// read last.
func (a *Accounts) unchanged(ctx context.Context, e *Enrolment) error {
	switch now := a.entered(ctx, e.rec).account; {
	case now == nil:
		return errors.New("given up meanwhile")
	case now.ID != e.was && now.ID != e.Account.ID:
		return errors.New("somebody else's meanwhile")
	}
	return nil
}

// findable makes the account of e findable by the app's user id.
func (a *Accounts) findable(ctx context.Context, e *Enrolment) error {
	if e.was == e.Account.ID {
		return nil
	}
	return a.addAccount(ctx, e.Account.ID, e.Key.ID)
}
