package account

import (
	"context"
	"errors"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// Unlink makes an account nobody's that belongs to the user who is signed in to s. The next person who signs
// in with it is new to the app. The sessions that were signed in by it end: they are of a user to whom it does
// not belong any more.
//
// Only the profile goes. The record keeps the entries, by which the sessions are found, and the mark, without
// which a sign-in under way would not be refused.
func (a *Accounts) Unlink(ctx context.Context, s *session.View, account string) error {
	self, _ := s.Record.Field(session.FieldUser)
	acc, err := Unpack(self.Value)
	if err != nil {
		return err
	}
	key := accountKey(account)
	for range session.SettleTries {
		rec, err := a.Env.Read(ctx, key)
		if errors.Is(err, sessionstore.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		there := a.entered(ctx, rec)
		if there.held || !there.profiled() || there.account != nil && there.account.ID != acc.ID {
			return nil
		}
		until, _ := a.remains(rec)
		err = a.Env.Write(ctx, key, sessionstore.Change{
			If:      unchanged(rec),
			Set:     []sessionstore.Field{{Name: fieldAccount, Value: released, Version: env.Version()}},
			Expires: until,
		})
		if env.Contested(err) {
			continue // somebody has signed in by it
		}
		if err == nil {
			err = a.EndAccount(ctx, account, acc.ID, s.ID) // the sign-in of s, by another account, may be listed there too
		}
		if err != nil {
			return err
		}
		return a.Unlist(ctx, acc.ID, account) // the last: until then all that is left of it is found
	}
	return errors.New("middleware: account: changed too often")
}
