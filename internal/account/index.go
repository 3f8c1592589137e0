package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// The index of a person holds the ids of their sessions, one field each, so that all of them can be
// found and ended without a walk through the store; and a mark that changes when that is done. A
// sign-in reads the index, writes its entry if the mark is still the same, then writes the session. A
// sign-out of everything changes the mark, then reads the index:
//
//   - an entry that comes after the mark is refused;
//   - one that was there before is found, and its session ended, or kept from coming to be: see tombstone;
//   - a sign-in that is killed leaves an entry without a session, which is passed over.
//
// So there is never a session that [Auth.SignOutUser] cannot find, or that outlives one, and no
// sign-in has to look again.
const (
	kindIndex  = "index"
	kindPerson = "person"
	fieldMark  = "!" // no session has that id
	indexRest  = time.Hour
	maxDevice  = 256

	maxSessions = 1000 // of one person
)

// indexKey is that of the index of a person, whose account is one of this site.
func indexKey(account string) sessionstore.Key {
	return sessionstore.Key{Kind: kindIndex, ID: account}
}

// isEntry reports that a field of an index is a session's: its name is the id. Others are the mark, and
// what a later version of this kit may add.
func isEntry(name string) bool { return keys.Token(name, 22) }

// enlist adds a session to an index, drops entries that have run out, and returns the mark. It returns
// errEnded if that changes meanwhile.
func (a *Accounts) enlist(ctx context.Context, key sessionstore.Key, sid string, deadline time.Time, device string) (mark uint64, err error) {
	rec, err := a.Env.Read(ctx, key)
	if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
		return 0, fmt.Errorf("middleware: index: %w", err)
	}
	now := a.Env.Clock()
	c := sessionstore.Change{
		Mode:    sessionstore.MayExist,
		Set:     []sessionstore.Field{{Name: sid, Value: entryValue(deadline, device, now), Version: env.Version()}},
		Expires: deadline.Add(indexRest),
		Tier:    sessionstore.Member,
	}
	if rec.Expires.After(c.Expires) {
		c.Expires = rec.Expires
	}
	var live []listing
	full := rec.Len() >= maxSessions
	mark = env.VersionOf(rec, fieldMark)
	for f := range rec.All() {
		if !isEntry(f.Name) {
			continue
		}
		until, was, listed, ok := unpackEntry(f.Value)
		if !ok {
			a.Env.Log.Unread(ctx, kindIndex, f.Name, errEntry)
		}
		if f.Name == sid && device == "" {
			c.Set[0].Value = entryValue(deadline, was, now)
		}
		if f.Name != sid && ok && until.Add(indexRest).Before(now) {
			c.Delete = append(c.Delete, f.Name)
			continue
		}
		if f.Name != sid && full {
			live = append(live, listing{sid: f.Name, until: until, listed: listed})
		}
	}
	if err := a.makeRoom(ctx, &c, live); err != nil {
		return 0, err
	}
	// An entry that comes after a sign-out of everything would be one that it has not seen.
	c.If = []sessionstore.Match{{Name: fieldMark, Version: mark}}
	err = a.Env.Write(ctx, key, c)
	if errors.Is(err, sessionstore.ErrConflict) {
		return 0, session.ErrEnded
	}
	if err != nil {
		return 0, fmt.Errorf("middleware: index: %w", err)
	}
	return mark, nil
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

// An Entry is a session's place in the indexes while it is being made.
type Entry struct {
	sid    string
	began  time.Time // before it was written
	Places []place
}

type place struct {
	key  sessionstore.Key
	Mark uint64
}

// A ProviderSession is a session at the provider; without an id, none is known.
type ProviderSession struct{ Issuer, ID string }

// List lists a session that is about to be saved, under the person and under the session at the
// provider that its sign-in belongs to.
func (a *Accounts) List(ctx context.Context, device, sid, account string, at ProviderSession, deadline time.Time) (Entry, error) {
	device = keys.Clip(device, maxDevice)
	keys := append(make([]sessionstore.Key, 0, 2), indexKey(account))
	if at.ID != "" {
		keys = append(keys, a.providerSessionKey(at.Issuer, at.ID))
	}
	e := Entry{sid: sid, began: a.Env.Clock(), Places: make([]place, 0, len(keys))}
	for _, key := range keys {
		mark, err := a.enlist(ctx, key, sid, deadline, device)
		if err != nil {
			return Entry{}, err
		}
		e.Places = append(e.Places, place{key, mark})
	}
	return e, nil
}

// Marked reports that somebody signed the person out between two tries of one sign-in.
func (e Entry) Marked(later Entry) bool {
	return !slices.EqualFunc(e.Places, later.Places, func(x, y place) bool { return x.Mark == y.Mark })
}

// Confirm ends a session that was just saved, if somebody signed the person out meanwhile. It asks only
// where a tombstone may not have prevented that: see [Auth.unburied].
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

func entryValue(deadline time.Time, device string, listed time.Time) string {
	b := packed.AppendTime(make([]byte, 0, 32+len(device)), deadline)
	return string(packed.AppendTime(packed.AppendString(b, device), listed))
}

// unpackEntry reads an entry. One that cannot be read is one all the same: its session is found by its name.
func unpackEntry(s string) (deadline time.Time, device string, listed time.Time, ok bool) {
	r := packed.Read(s)
	deadline, device, listed = r.Time(), r.String(), r.Time()
	if r.Err() != nil {
		return time.Time{}, "", time.Time{}, false
	}
	return deadline, device, listed, true
}

var errEntry = errors.New("middleware: index: malformed entry")

// listed reports whether a session that was just saved is still in the index, and nobody has signed
// the person out everywhere since enlist returned mark.
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

// Remove removes sessions that have ended from an index. An entry that stays is passed over.
func (a *Accounts) Remove(ctx context.Context, account string, sids ...string) {
	if account == "" || len(sids) == 0 {
		return
	}
	_ = a.Env.Store.Update(ctx, indexKey(account), sessionstore.Change{Delete: sids})
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
		if keys.Token(name, 43) { // as site.account; what a later version adds is none
			ids = append(ids, name)
		}
	}
	return ids, nil
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

// KeyOf identifies a person for good: by issuer and subject, never by an e-mail address.
func (a *Accounts) KeyOf(id *providers.Identity) string {
	return a.Env.Site.ID(id.Issuer, id.Subject)
}

// personKey is the key of the record that lists the accounts of one of the app's users: more than one
// if they have linked providers.
func (a *Accounts) personKey(user string) sessionstore.Key {
	return sessionstore.Key{Kind: kindPerson, ID: a.Env.Site.ID(user)}
}

// providerSessionKey is the key of the index of a session at the provider, by issuer and sid claim: what a
// logout that starts there names. OpenID Connect Back-Channel Logout 1.0, section 2.4.
func (a *Accounts) providerSessionKey(issuer, sid string) sessionstore.Key {
	return sessionstore.Key{Kind: kindIndex, ID: a.Env.Site.ID("sid", issuer, sid)}
}

// Extend notes a later deadline of a session.
func (a *Accounts) Extend(ctx context.Context, account, sid string, deadline time.Time) error {
	_, err := a.enlist(ctx, indexKey(account), sid, deadline, "")
	return err
}

// A Listed is a session of a user's: see Session of the package middleware.
type Listed struct {
	ID, Provider, Device       string
	Current                    bool
	Created, LastSeen, Expires time.Time
}

// SessionsOf returns the sessions in which user is signed in, the latest first. here is the one of the request that asks.
func (a *Accounts) SessionsOf(ctx context.Context, user, here string) ([]Listed, error) {
	accounts, err := a.accountsOf(ctx, user)
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, account := range accounts {
		rec, err := a.Env.Read(ctx, indexKey(account))
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

// Unended reports whether a logout has named e since it was listed.
func (a *Accounts) Unended(ctx context.Context, e Entry) error {
	for _, p := range e.Places {
		if ok, err := a.listed(ctx, p.key, e.sid, p.Mark); err != nil || !ok {
			return errors.Join(err, session.ErrEnded)
		}
	}
	return nil
}
