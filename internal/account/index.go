package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/sessionstore"
)

// The record of an account lists the sessions of its person, one field each, so that all of them can be found
// and ended without a walk through the store. It has a mark that changes when that is done. A sign-in reads the
// record, writes its entry if the mark is still the same, then writes the session. A sign-out of everything
// changes the mark, then reads the record:
//
//   - an entry that comes after the mark is refused;
//   - an entry that was there before is found, and its session is ended, or kept from coming to be: see
//     tombstone.go;
//   - a sign-in that is killed leaves an entry without a session, which is passed over.
//
// So there is never a session that a sign-out of everything cannot find, or that outlives one, and no sign-in
// has to look again. The index of a session at the provider is a record of its own, with the same entries and a
// mark of its own.
const (
	indexRest = time.Hour
	maxDevice = 256

	maxSessions = 1000 // of one person
)

// enter adds to c the entry of a session, and the removal of entries that have run out; rec is what is stored.
// Without a device the entry keeps the one that it has. It returns the latest deadline of all that are listed.
func (a *Accounts) enter(ctx context.Context, kind string, rec sessionstore.Record, c *sessionstore.Change, sid string, deadline time.Time, device string) (latest time.Time, err error) {
	now := a.Env.Clock()
	latest = deadline
	var live []listing
	full := rec.Len() >= maxSessions
	for f := range rec.All() {
		if !isEntry(f.Name) {
			continue
		}
		until, was, listed, ok := unpackEntry(f.Value)
		if !ok {
			a.Env.Log.Unread(ctx, kind, f.Name, errEntry)
		}
		if f.Name == sid && device == "" {
			device = was
		}
		if until.After(latest) {
			latest = until
		}
		if f.Name != sid && ok && until.Add(indexRest).Before(now) {
			c.Delete = append(c.Delete, f.Name)
			continue
		}
		if f.Name != sid && full {
			live = append(live, listing{sid: f.Name, until: until, listed: listed})
		}
	}
	c.Set = append(c.Set, sessionstore.Field{Name: sid, Value: entryValue(deadline, device, now), Version: env.Version()})
	return latest, a.makeRoom(ctx, c, live)
}

// enlist adds a session to a list that it reads first, and returns the mark. It returns [session.ErrEnded] if
// that changes meanwhile.
func (a *Accounts) enlist(ctx context.Context, key sessionstore.Key, sid string, deadline time.Time, device string) (mark uint64, err error) {
	for try := range session.SettleTries {
		rec, err := a.Env.Read(ctx, key)
		if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
			return 0, fmt.Errorf("middleware: index: %w", err)
		}
		there := env.VersionOf(rec, fieldMark)
		if try == 0 {
			mark = there
		}
		if there != mark {
			return 0, session.ErrEnded
		}
		c := sessionstore.Change{Tier: sessionstore.Member}
		lengthen(rec, &c, a.lasting(deadline))
		if _, err := a.enter(ctx, key.Kind, rec, &c, sid, deadline, device); err != nil {
			return 0, err
		}
		if c.If == nil { // an entry that came after a sign-out of everything would be one that it has not seen
			c.If = []sessionstore.Match{{Name: fieldMark, Version: there}}
		}
		err = a.Env.Write(ctx, key, c)
		if env.Contested(err) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("middleware: index: %w", err)
		}
		return mark, nil
	}
	return 0, errors.New("middleware: index: changed too often")
}

// lasting returns until when a list has to last for an entry of this deadline. It is never less than for a
// sign-in of this moment: of two changes that come together, the later one does not end the record earlier.
func (a *Accounts) lasting(deadline time.Time) time.Time {
	if least := a.Env.Clock().Add(a.Sessions.Manager.Lifetime); deadline.Before(least) {
		deadline = least
	}
	return deadline.Add(indexRest)
}

// makeRoom ends those of live that are one too many when c adds another, and has c forget them: the ones
// that would end first. No person piles up sessions without end.
func (a *Accounts) makeRoom(ctx context.Context, c *sessionstore.Change, live []listing) error {
	if len(live) < maxSessions {
		return nil
	}
	slices.SortFunc(live, func(x, y listing) int { return x.until.Compare(y.until) })
	live = live[:len(live)-maxSessions+1]
	if _, err := a.endListed(ctx, live, false); err != nil {
		return err
	}
	for _, l := range live {
		c.Delete = append(c.Delete, l.sid)
	}
	return nil
}

// A ProviderSession is a session at the provider; without an id, none is known.
type ProviderSession struct{ Issuer, ID string }

// Confirm ends a session that was just saved, if somebody signed the person out meanwhile. It is called only
// where a tombstone may not have prevented that: see [Accounts.MayLackTombstone].
func (a *Accounts) Confirm(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime) // that of the sign-in may be over
	defer cancel()
	for _, p := range e.Places {
		ok, err := a.listed(ctx, p.key, e.sid, p.Mark)
		if ok {
			continue
		}
		if err == nil {
			err = session.ErrEnded
		}
		return errors.Join(err, a.Env.Erase(ctx, sessionstore.Key{Kind: session.Kind, ID: e.sid}))
	}
	return nil
}

// listed reports whether a session that was just saved is still listed under key, and nobody has signed
// the person out everywhere since it was listed under mark.
func (a *Accounts) listed(ctx context.Context, key sessionstore.Key, sid string, mark uint64) (bool, error) {
	rec, err := a.Env.Read(ctx, key)
	if errors.Is(err, sessionstore.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("middleware: index: %w", err)
	}
	_, there := rec.Field(sid)
	return there && env.VersionOf(rec, fieldMark) == mark, nil
}

// Remove removes sessions that have ended from the list of an account. An entry that stays is passed over.
func (a *Accounts) Remove(ctx context.Context, account string, sids ...string) {
	if account == "" || len(sids) == 0 {
		return
	}
	_ = a.Env.Store.Update(ctx, accountKey(account), sessionstore.Change{Delete: sids})
}

// addAccount makes the account findable by the app's user id.
func (a *Accounts) addAccount(ctx context.Context, user, account string) error {
	err := a.Env.Write(ctx, a.personKey(user), sessionstore.Change{
		Mode: sessionstore.MayExist, Set: []sessionstore.Field{{Name: account, Version: env.Version()}},
		Expires: a.Env.Clock().Add(ForGood), Tier: sessionstore.Member,
	})
	if err != nil {
		return fmt.Errorf("middleware: person: %w", err)
	}
	return nil
}

// Extend notes a later deadline of a session.
func (a *Accounts) Extend(ctx context.Context, account, sid string, deadline time.Time) error {
	_, err := a.enlist(ctx, accountKey(account), sid, deadline, "")
	return err
}

// ListGrant lists s under the session at the provider, if it says so: a logout that starts
// there finds what was linked or came with a step-up, too.
func (a *Accounts) ListGrant(ctx context.Context, s *session.View, at ProviderSession) (Entry, error) {
	e := Entry{sid: s.ID}
	if at.ID == "" {
		return e, nil
	}
	key := a.providerSessionKey(at.Issuer, at.ID)
	mark, err := a.enlist(ctx, key, s.ID, s.Meta.Deadline, "")
	e.Places = []place{{key, mark}}
	return e, err
}

// Unended returns [session.ErrEnded] if a logout has named e since it was listed.
func (a *Accounts) Unended(ctx context.Context, e Entry) error {
	for _, p := range e.Places {
		if ok, err := a.listed(ctx, p.key, e.sid, p.Mark); err != nil || !ok {
			return errors.Join(err, session.ErrEnded)
		}
	}
	return nil
}
