package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// A tombstone is a record in the place of a session that a sign-out of everything has ended, or that
// a sign-in under way was about to write: one that is listed already, and would leave
// a session that outlives the sign-out. The tombstone makes that write fail, whatever becomes of its
// process. It has none of a session's fields: a cookie of that id opens nothing.
const (
	fieldEnded    = "ended"
	tombstoneLife = time.Hour // a sign-in takes less than a minute; clocks differ, and processes are held up
)

// EndAccount ends the sessions of an account that are of user; "": of anybody.
//
// The mark comes first: a sign-in that is under way sees it, or its entry is seen here. Where the store
// has no room for it the sessions end first, which makes some. Then the mark comes, and the record is read
// once more: what is listed by then is seen here, and what comes later sees the mark.
func (a *Accounts) EndAccount(ctx context.Context, account, user, except string) error {
	key := accountKey(account)
	full := a.markEnded(ctx, key)
	if full != nil && !errors.Is(full, sessionstore.ErrFull) {
		return fmt.Errorf("middleware: index: %w", full)
	}
	all, err := a.listings(ctx, key, user, except)
	if err != nil {
		return err
	}
	ended, err := a.endListed(ctx, all, full != nil)
	a.Remove(ctx, account, ended...)
	if full == nil {
		return unstopped(len(ended), err)
	}
	if err != nil && !errors.Is(err, sessionstore.ErrFull) {
		return unstopped(len(ended), err)
	}
	if err := a.markEnded(ctx, key); err != nil {
		return unstopped(len(ended), err)
	}
	later, err := a.listings(ctx, key, user, except)
	if err != nil {
		return unstopped(len(ended), err)
	}
	// Those whose tombstone found no room are not listed any more, but here.
	seen := make(map[string]bool, len(later))
	for _, l := range later {
		seen[l.sid] = true
	}
	for _, l := range all {
		if !seen[l.sid] {
			l.session = session.View{}
			later = append(later, l)
		}
	}
	more, err := a.endListed(ctx, later, true)
	a.Remove(ctx, account, more...)
	return unstopped(len(ended)+len(more), err)
}

// unstopped is the error of a sign-out of everything that has ended what there was, and could not keep a
// sign-in that is under way from making another session.
func unstopped(ended int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("middleware: sign-out: %d sessions have ended; one that is about to be made may not: %w", ended, err)
}

// markEnded changes the mark of an account. A record without a profile is kept for as long as a session may
// last; one with a profile lasts longer.
func (a *Accounts) markEnded(ctx context.Context, key sessionstore.Key) error {
	for range session.SettleTries {
		rec, err := a.Env.Read(ctx, key)
		if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
			return err
		}
		mark := env.Version()
		c := sessionstore.Change{Set: []sessionstore.Field{{Name: fieldMark, Version: mark}}, Tier: sessionstore.Member}
		lengthen(rec, &c, a.lasting(time.Time{}))
		if err = a.Env.Write(ctx, key, c); env.Contested(err) {
			continue
		}
		if err == nil {
			a.precedes(key, mark)
		}
		return err
	}
	return errors.New("middleware: account: changed too often")
}

// listings returns the entries of an account whose sessions are of user, or are not there; "": all.
func (a *Accounts) listings(ctx context.Context, key sessionstore.Key, user, except string) ([]listing, error) {
	rec, err := a.Env.Read(ctx, key)
	if errors.Is(err, sessionstore.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("middleware: index: %w", err)
	}
	var ids []string
	for name := range rec.Versions() { // a replica with another key may have listed some
		if isEntry(name) && name != except {
			ids = append(ids, name)
		}
	}
	found, err := a.Sessions.FindAll(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("middleware: session: %w", err)
	}
	entries := make(map[string]sessionstore.Field, len(ids))
	for f := range rec.All() {
		entries[f.Name] = f
	}
	all := make([]listing, 0, len(ids))
	for i, id := range ids {
		if user != "" && !BelongsTo(&found[i], user) {
			continue
		}
		l := listing{sid: id, listed: a.Env.Clock(), session: found[i]}
		if until, _, listed, ok := unpackEntry(entries[id].Value); ok {
			l.until, l.listed = until, listed
		}
		all = append(all, l)
	}
	return all, nil
}

// endListed ends sessions, and keeps those from coming to be that sign-ins under way have listed. It
// returns the ids of those that were there. In a store that is full a session that is young becomes a
// tombstone in one change, which takes less room than it did; where that is refused, too, it is deleted,
// and the tombstone comes next.
func (a *Accounts) endListed(ctx context.Context, all []listing, full bool) (ended []string, err error) {
	now := a.Env.Clock()
	var replaced []sessionstore.KeyedChange
	var gone, bare []sessionstore.Key
	for i := range all {
		l := &all[i]
		switch found := l.session.Born != 0; {
		case found && young(l, now) && full:
			replaced = append(replaced, sessionstore.KeyedChange{Key: l.key(), Change: tombstoneOf(&l.session, now)})
			ended = append(ended, l.sid)
		case found:
			gone, ended = append(gone, l.key()), append(ended, l.sid)
			if young(l, now) {
				bare = append(bare, l.key())
			}
		case young(l, now): // there may be a tombstone, which is not to be gone even for a moment
			bare = append(bare, l.key())
		default:
			gone = append(gone, l.key())
		}
	}
	for i, err := range sessionstore.UpdateAll(ctx, a.Env.Store, replaced) {
		if err == nil {
			continue
		}
		if !env.Contested(err) {
			gone = append(gone, replaced[i].Key)
		}
		bare = append(bare, replaced[i].Key)
	}
	if err := a.Env.EraseAll(ctx, gone); err != nil {
		return nil, fmt.Errorf("middleware: session: %w", err)
	}
	if err := a.placeTombstones(ctx, bare); err != nil {
		return ended, fmt.Errorf("middleware: tombstone: %w", err)
	}
	return ended, nil
}

// tombstoneOf returns the change that makes a tombstone of s.
func tombstoneOf(s *session.View, now time.Time) sessionstore.Change {
	c := tombstone(now)
	c.Mode, c.If = sessionstore.MustExist, []sessionstore.Match{s.Lineage()}
	for name := range s.Record.Versions() {
		if name != fieldEnded {
			c.Delete = append(c.Delete, name)
		}
	}
	return c
}

// tombstone returns the change that puts one where no session is.
func tombstone(now time.Time) sessionstore.Change {
	return sessionstore.Change{
		Mode:    sessionstore.MayExist,
		If:      []sessionstore.Match{{Name: session.FieldBorn}}, // as no session is
		Set:     []sessionstore.Field{{Name: fieldEnded, Version: env.Version()}},
		Expires: now.Add(tombstoneLife),
		Tier:    sessionstore.Member,
	}
}

// MayLackTombstone reports that a sign-out of everything may have left no tombstone for s, in
// which user was just signed in: because it was another user's when that looked, or because the
// tombstone is gone by now.
func (a *Accounts) MayLackTombstone(s *session.View, attached bool, e Entry, user string) bool {
	// Round: a machine that was asleep may have stopped the other clock.
	held := a.Env.Clock().Round(0).Sub(e.began) > tombstoneLife/2
	return held || attached && !BelongsTo(s, user)
}

// placeTombstones puts tombstones in the places of sessions, and ends those that have come to be meanwhile. A
// tombstone that is there lasts longer: at no time is there none. One that finds no room keeps no other
// from its place.
func (a *Accounts) placeTombstones(ctx context.Context, keys []sessionstore.Key) error {
	var failure error
	tried := make(map[sessionstore.Key]bool)
	for range session.SettleTries {
		if len(keys) == 0 {
			return failure
		}
		us, now := make([]sessionstore.KeyedChange, len(keys)), a.Env.Clock()
		for i, key := range keys {
			us[i] = sessionstore.KeyedChange{Key: key, Change: tombstone(now)}
		}
		var again, alive []sessionstore.Key
		for i, err := range sessionstore.UpdateAll(ctx, a.Env.Store, us) {
			switch {
			case err == nil:
			case errors.Is(err, sessionstore.ErrConflict):
				again, alive = append(again, keys[i]), append(alive, keys[i])
			case env.Unreached(err) && !tried[keys[i]]:
				again, tried[keys[i]] = append(again, keys[i]), true
			default:
				failure = err
			}
		}
		if err := a.Env.EraseAll(ctx, alive); err != nil {
			return err
		}
		keys = again
	}
	return sessionstore.ErrConflict
}

// young reports that the sign-in of l may be under way still.
func young(l *listing, now time.Time) bool { return now.Sub(l.listed) < tombstoneLife }
