package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A tombstone is a record in the place of a session that a sign-out of everything has ended, or that
// a sign-in under way was about to write. Such a sign-in has its entry in the index already, and sees
// the mark only after it has written: killed in between, it would leave a session that outlives the
// sign-out. The tombstone makes that write fail. It has none of a session's fields, so that whoever
// shows a cookie of that id is nobody, and lives longer than any sign-in takes.
const (
	fieldEnded    = "ended"
	tombstoneLife = 5 * time.Minute // redeemTime, and clocks that differ by minutes
)

// endAccount ends the sessions of an account that are of user; "": of anybody.
func (a *Auth) endAccount(ctx context.Context, account, user, except string) error {
	key := indexKey(account)
	rec, err := a.store.Load(ctx, key)
	if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
		return fmt.Errorf("middleware: index: %w", err)
	}
	// The mark comes first: a sign-in that is under way sees it, or its entry is seen here.
	c := sessionstore.Change{
		Mode: sessionstore.MayExist, Set: []sessionstore.Field{{Name: fieldMark, Version: version()}},
		Expires: a.now().Add(a.sessions.Lifetime + indexRest), Tier: sessionstore.Member,
	}
	if rec.Expires.After(c.Expires) {
		c.Expires = rec.Expires
	}
	if err := a.store.Update(ctx, key, c); err != nil {
		return fmt.Errorf("middleware: index: %w", err)
	}
	rec, err = a.store.Load(ctx, key)
	if err != nil {
		return fmt.Errorf("middleware: index: %w", err)
	}
	var ended, recent []string
	var keys []sessionstore.Key
	for f := range rec.All() {
		if !isEntry(f.Name) || f.Name == except {
			continue
		}
		s, err := a.find(ctx, f.Name)
		if err != nil {
			return err
		}
		if user != "" && !s.of(user) {
			continue
		}
		keys = append(keys, sessionstore.Key{Kind: kindSession, ID: f.Name})
		if _, _, listed := unpackEntry(f.Value); a.isRecent(listed) {
			recent = append(recent, f.Name)
		}
		if s.standing != absent {
			ended = append(ended, f.Name)
		}
	}
	if err := a.store.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("middleware: session: %w", err)
	}
	if err := a.bury(ctx, recent); err != nil {
		return err
	}
	a.delist(ctx, account, ended...)
	return nil
}

// isRecent reports that an entry which was listed then may belong to a sign-in under way.
func (a *Auth) isRecent(listed time.Time) bool { return a.now().Sub(listed) < tombstoneLife }

// bury puts a tombstone in the place of each session, and ends one that has come to be meanwhile.
func (a *Auth) bury(ctx context.Context, sids []string) error {
	for _, sid := range sids {
		if err := a.buryOne(ctx, sessionstore.Key{Kind: kindSession, ID: sid}); err != nil {
			return fmt.Errorf("middleware: tombstone: %w", err)
		}
	}
	return nil
}

func (a *Auth) buryOne(ctx context.Context, key sessionstore.Key) error {
	for range settleTries {
		err := a.store.Update(ctx, key, sessionstore.Change{
			Mode:    sessionstore.MustNotExist,
			Set:     []sessionstore.Field{{Name: fieldEnded, Version: version()}},
			Expires: a.now().Add(tombstoneLife),
			Tier:    sessionstore.Member,
		})
		if !errors.Is(err, sessionstore.ErrExists) {
			return err
		}
		if err := a.store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return sessionstore.ErrExists
}
