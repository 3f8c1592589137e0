package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A tombstone is a record in the place of a session that a sign-out of everything has ended, or that
// a sign-in under way was about to write: one that has its entry in the index already, and would leave
// a session that outlives the sign-out. The tombstone makes that write fail, whatever becomes of its
// process. It has none of a session's fields, so that whoever shows a cookie of that id is nobody.
const (
	fieldEnded    = "ended"
	tombstoneLife = time.Hour // a sign-in takes redeemTime; clocks differ, and processes are held up
)

// A listing is an entry of an index, as it is read.
type listing struct {
	sid           string
	until, listed time.Time
	found         bool // a session of that id
}

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
	var ended []string
	var all []listing
	for name := range rec.Versions() { // a replica with another key may have listed some
		if !isEntry(name) || name == except {
			continue
		}
		s, err := a.find(ctx, name)
		if err != nil {
			return err
		}
		if user != "" && !s.of(user) {
			continue
		}
		l := listing{sid: name, listed: a.now(), found: s.standing != absent}
		if f, ok := rec.Field(name); ok {
			l.until, _, l.listed = unpackEntry(f.Value)
		}
		all = append(all, l)
		if l.found {
			ended = append(ended, name)
		}
	}
	if err := a.endListed(ctx, all); err != nil {
		return err
	}
	a.delist(ctx, account, ended...)
	return nil
}

// endListed ends sessions, and keeps those from coming to be that sign-ins under way have listed.
func (a *Auth) endListed(ctx context.Context, all []listing) error {
	var keys, recent []sessionstore.Key
	for _, l := range all {
		key := sessionstore.Key{Kind: kindSession, ID: l.sid}
		young := a.now().Sub(l.listed) < tombstoneLife
		if young {
			recent = append(recent, key)
		}
		if l.found || !young { // else there may be a tombstone, which is not to be gone even for a moment
			keys = append(keys, key)
		}
	}
	if err := a.store.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("middleware: session: %w", err)
	}
	for _, key := range recent {
		if err := a.bury(ctx, key); err != nil {
			return fmt.Errorf("middleware: tombstone: %w", err)
		}
	}
	return nil
}

// unburied reports that a sign-out of everything may have left no tombstone for the session of w, in
// which user was just signed in: because it was another user's when that looked, or because the
// tombstone is gone by now.
func (a *Auth) unburied(w *winner, e entry, user string) bool {
	// Round: a machine that was asleep may have stopped the other clock.
	held := a.now().Round(0).Sub(e.began) > tombstoneLife/2
	return held || w.how == attach && !w.session.of(user)
}

// bury puts a tombstone in the place of a session, and ends one that has come to be meanwhile. A tombstone
// that is there lasts longer: at no time is there none.
func (a *Auth) bury(ctx context.Context, key sessionstore.Key) error {
	for range settleTries {
		err := a.store.Update(ctx, key, sessionstore.Change{
			Mode:    sessionstore.MayExist,
			If:      []sessionstore.Match{{Name: fieldBorn}}, // as no session is
			Set:     []sessionstore.Field{{Name: fieldEnded, Version: version()}},
			Expires: a.now().Add(tombstoneLife),
			Tier:    sessionstore.Member,
		})
		if !errors.Is(err, sessionstore.ErrConflict) {
			return err
		}
		if err := a.store.Delete(ctx, key); err != nil {
			return err
		}
	}
	return sessionstore.ErrConflict
}
