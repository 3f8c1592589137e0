package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/sessionstore"
)

// A Listed is a session of a user's: see Session of the package middleware.
type Listed struct {
	ID, Provider, Device       string
	Current                    bool
	Created, LastSeen, Expires time.Time
}

// SessionsOf returns the sessions in which user is signed in, the latest first. The session of the request that
// asks has the id here.
func (a *Accounts) SessionsOf(ctx context.Context, user, here string) ([]Listed, error) {
	accounts, err := a.accountsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, account := range accounts {
		rec, err := a.Env.Read(ctx, accountKey(account))
		if errors.Is(err, sessionstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("middleware: index: %w", err)
		}
		var ids, devices []string
		for f := range rec.All() {
			if isEntry(f.Name) {
				_, device, _, _ := unpackEntry(f.Value)
				ids, devices = append(ids, f.Name), append(devices, device)
			}
		}
		found, err := a.Sessions.FindAll(ctx, ids)
		if err != nil {
			return nil, fmt.Errorf("middleware: session: %w", err)
		}
		for i := range found {
			s := &found[i]
			if s.Meta.User != account || !BelongsTo(s, user) {
				continue // ended, never came to be, or is of the user to whom OnLogin has given the account since
			}
			e := Listed{
				ID: s.ID, Provider: s.Meta.Provider, Device: devices[i], Current: s.ID == here,
				Created: s.Meta.SignedIn, LastSeen: s.Meta.SignedIn, Expires: s.Record.Expires,
			}
			if d := a.Sessions.Idle(&s.Meta); d > 0 && s.Record.Expires.Before(s.Meta.Deadline) {
				e.LastSeen = s.Record.Expires.Add(-d)
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(x, y Listed) int { return y.Created.Compare(x.Created) })
	return all, nil
}

// EndSession ends the session of that id, if it is one of user.
func (a *Accounts) EndSession(ctx context.Context, user, id string) error {
	if !keys.Token(id, 22) {
		return nil
	}
	s, err := a.Sessions.Find(ctx, id)
	if err != nil || s.Meta.User == "" {
		return err
	}
	accounts, err := a.accountsOf(ctx, user)
	if err != nil || !slices.Contains(accounts, s.Meta.User) || !BelongsTo(&s, user) {
		return err
	}
	if err := a.Env.Erase(ctx, s.Key()); err != nil {
		return fmt.Errorf("middleware: session: %w", err)
	}
	a.Remove(ctx, s.Meta.User, id)
	return nil
}
