package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// accountsOf returns the keys of the accounts of one of the app's users.
func (a *Accounts) accountsOf(ctx context.Context, user string) ([]string, error) {
	rec, err := a.Env.Read(ctx, a.personKey(user))
	if errors.Is(err, sessionstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("middleware: person: %w", err)
	}
	var ids []string
	// Its fields are written once and never again: the key that sealed one may be gone, the account not.
	for name := range rec.Versions() {
		if keys.Token(name, 43) { // as [Accounts.KeyOf] returns it; what a later version adds is none
			ids = append(ids, name)
		}
	}
	return ids, nil
}

// Unlist takes an account from the list of a user's.
func (a *Accounts) Unlist(ctx context.Context, user, account string) error {
	err := a.Env.Write(ctx, a.personKey(user), sessionstore.Change{Delete: []string{account}})
	if env.Contested(err) {
		return nil
	}
	return err
}

// EndAll ends the sessions of user, except one.
func (a *Accounts) EndAll(ctx context.Context, user, except string) error {
	accounts, err := a.accountsOf(ctx, user)
	if err != nil {
		return err
	}
	var errs []error
	for _, account := range accounts {
		errs = append(errs, a.EndAccount(ctx, account, user, except))
	}
	return errors.Join(errs...)
}
