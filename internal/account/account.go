package account

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Account is a person of an app: see Account of the package middleware.
type Account struct {
	ID                  string
	Identity            providers.Identity
	Provider            string
	FirstSeen, LastSeen time.Time
}

// profile returns what the record of an account has of it, which stays for good: no claims, which are in
// each session for as long as that lasts.
func (acc *Account) profile() string {
	p := *acc
	p.Identity.Claims = nil
	return p.Pack()
}

// Pack returns the value of an account's record: a one, and behind it what a session keeps of it, for
// [unpackAccount].
func (acc *Account) Pack() string {
	id := &acc.Identity
	// Lengths and times take less than 64 bytes.
	var b packed.Builder
	b.Grow(1 + 64 + len(acc.ID) + len(id.Issuer) + len(id.Subject) + len(id.Email) + len(id.Name) + len(id.Username) +
		len(id.Picture) + len(id.ACR) + len(id.Claims) + len(acc.Provider))
	b.Byte(1)
	b.Text(acc.ID)
	b.Time(acc.FirstSeen)
	b.Time(acc.LastSeen)
	b.Text(id.Issuer)
	b.Text(id.Subject)
	b.Text(id.Email)
	b.Bool(id.EmailVerified)
	b.Text(id.Name)
	b.Text(id.Username)
	b.Text(id.Picture)
	b.Time(id.AuthTime)
	b.Text(id.ACR)
	b.Uint(uint64(len(id.Claims)))
	_, _ = b.Write(id.Claims)
	b.Text(acc.Provider)
	return b.String()
}

func Unpack(s string) (Account, error) {
	acc, claims, err := read(s)
	if claims != "" {
		acc.Identity.Claims = json.RawMessage(claims)
	}
	return acc, err
}

// read is unpackAccount without a copy of anything: the claims are what it returns beside the account.
func read(s string) (acc Account, claims string, err error) {
	r := packed.Read(s)
	acc = Account{ID: r.String(), FirstSeen: r.Time(), LastSeen: r.Time()}
	acc.Identity = providers.Identity{
		Issuer: r.String(), Subject: r.String(), Email: r.String(), EmailVerified: r.Bool(),
		Name: r.String(), Username: r.String(), Picture: r.String(),
		AuthTime: r.Time(), ACR: r.String(),
	}
	claims, acc.Provider = r.String(), r.String()
	if err = r.Err(); err == nil && acc.ID == "" {
		err = errNobody
	}
	return acc, claims, err
}

var errNobody = errors.New("middleware: account: no ID")

// An account is stored with one field. While its first sign-in is not through, the field holds no
// account but the time until which that sign-in has it for itself: so that of two sign-ins of a new
// person exactly one is the first, and one that fails leaves the next one to be it.
const (
	fieldAccount = "account"
	enrolTime    = 45 * time.Second      // longer than a callback may take
	enrolRest    = 2 * time.Second       // of a callback's time, for what follows the wait
	enrolPause   = 20 * time.Millisecond // before the first look whether its holder is through

	maxEnrolPause = 160 * time.Millisecond // between later ones
	ForGood       = 100 * 365 * 24 * time.Hour
)

// entered is what the record of an account holds.
type entered struct {
	version uint64
	account *Account  // nil: none that can be read
	held    bool      // a sign-in has it for itself, or had
	until   time.Time // held: when that must be over
	lost    bool      // there is an account that cannot be read, or was before it was held
	unread  string    // lost: its value; "" if it does not open
}

// entered reads the record of an account. One that cannot be read was written by a version that is no neighbor
// of this one, or its key was taken out of the ring. To refuse its person would keep them out for good: they
// begin anew, as somebody who is new to the app. An attempt that fails leaves it as it was.
func (a *Accounts) entered(ctx context.Context, rec sessionstore.Record) entered {
	e := entered{version: env.VersionOf(rec, fieldAccount)}
	f, opened := rec.Field(fieldAccount)
	v := f.Value
	switch {
	case !opened: // which the log says
		e.lost = true
		return e
	case v != "" && v[0] == 0:
		r := packed.Read(v[1:])
		e.held, e.until = true, r.Time()
		if r.More() {
			e.lost, e.unread = true, r.String()
		}
		return e
	case v != "" && v[0] == 1:
		acc, err := Unpack(v[1:])
		if err == nil {
			e.account = &acc
			return e
		}
		a.Env.Log.Unread(ctx, kindAccount, fieldAccount, err)
	default:
		a.Env.Log.Unread(ctx, kindAccount, fieldAccount, errLayout)
	}
	e.lost, e.unread = true, v
	return e
}

var errLayout = errors.New("middleware: account: of another layout")

// hold returns the value of the record while a sign-in has it for itself until then. A value that cannot be read
// stays in it.
func (e *entered) hold(until time.Time) string {
	b := packed.AppendTime([]byte{0}, until)
	if e.lost {
		b = packed.AppendString(b, e.unread)
	}
	return string(b)
}

// Enrolment is a person between proving who they are and being signed in.
type Enrolment struct {
	Key     sessionstore.Key
	Packed  string // account, as the session has it
	was     string // the account's ID so far; "" for a new one
	version uint64
	kept    uint64 // version that the account may have by a change of which nobody knows; 0: none
	Account *Account
	IsNew   bool
	Lost    bool   // isNew, in the place of an account that cannot be read: nobody knows whose that was
	unread  string // lost: its value; "" if it does not open

	reservation *reservation // of a new account; nil: none, or it has ended
}

// Enrol finds or begins the account of id, whose key at this site is key. For a new person it holds the
// record until the caller keeps or drops it; others wait.
func (a *Accounts) Enrol(ctx context.Context, key string, id *providers.Identity) (*Enrolment, error) {
	e := &Enrolment{Key: sessionstore.Key{Kind: kindAccount, ID: key}}
	wait, seen := enrolPause, watch{}
	for {
		now := a.Env.Clock().UTC().Truncate(time.Millisecond) // as it is stored
		e.Account = &Account{ID: id.Issuer + "|" + id.Subject, Identity: *id, FirstSeen: now, LastSeen: now}
		next := env.Version()

		rec, err := a.Env.Read(ctx, e.Key)
		none := errors.Is(err, sessionstore.ErrNotFound)
		if err != nil && !none {
			return nil, fmt.Errorf("middleware: account: %w", err)
		}
		var there entered
		c := sessionstore.Change{Mode: sessionstore.MustNotExist, Tier: sessionstore.Member}
		if !none {
			there = a.entered(ctx, rec)
			c = sessionstore.Change{If: []sessionstore.Match{{Name: fieldAccount, Version: there.version}}}
		}
		if old := there.account; old != nil {
			e.Account.ID, e.Account.FirstSeen, e.version = old.ID, old.FirstSeen, there.version
			e.was = old.ID
			return e, nil
		}
		if there.until.After(now) && !seen.idle(there.version) {
			if err := env.Pause(ctx, wait); err != nil {
				return nil, err
			}
			wait = min(2*wait, maxEnrolPause)
			continue
		}
		e.Lost, e.unread = there.lost, there.unread
		held := there.hold(now.Add(enrolHold(ctx)))
		c.Set, c.Expires = []sessionstore.Field{{Name: fieldAccount, Value: held, Version: next}}, now.Add(ForGood)
		err = a.Env.Write(ctx, e.Key, c)
		if err == nil || !env.Decided(err) {
			e.IsNew, e.version = true, next
		}
		if err == nil {
			a.reserve(ctx, e, held)
			return e, nil
		}
		if !env.Contested(err) {
			a.Drop(ctx, e)
			return nil, fmt.Errorf("middleware: account: %w", err)
		}
	}
}

// enrolHold is for how long a sign-in has a new account for itself: until its own time is up. Should its
// process be killed, the next sign-in of that person began later and has time left when the hold
// ends; one that waited longer than it may would fail.
func enrolHold(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return enrolTime
	}
	return min(time.Until(deadline)-enrolRest, enrolTime)
}

// Keep saves the account as it is now.
func (a *Accounts) Keep(ctx context.Context, e *Enrolment) error {
	if e.was != e.Account.ID {
		if err := a.addAccount(ctx, e.Account.ID, e.Key.ID); err != nil {
			return err
		}
	}
	e.Packed = e.Account.Pack()
	e.version, e.reservation = e.reservation.end(e.version), nil
	kept := env.Version()
	c := sessionstore.Change{
		If:      []sessionstore.Match{{Name: fieldAccount, Version: e.version}},
		Set:     []sessionstore.Field{{Name: fieldAccount, Value: e.Account.profile(), Version: kept}},
		Expires: a.Env.Clock().Add(ForGood),
	}
	err := a.Env.Write(ctx, e.Key, c)
	if err != nil && !env.Decided(err) {
		e.kept = kept
	}
	if env.Contested(err) && !e.IsNew {
		err = a.Unchanged(ctx, e) // another sign-in of this person ended at the same time: either profile will do
	}
	if err != nil {
		return fmt.Errorf("middleware: account: %w", err)
	}
	return nil
}

// Unchanged is an error if the account of e has become somebody else's meanwhile, or nobody's.
func (a *Accounts) Unchanged(ctx context.Context, e *Enrolment) error {
	rec, err := a.Env.Read(ctx, e.Key)
	if err != nil {
		return err
	}
	now := a.entered(ctx, rec).account
	if now == nil {
		return errors.New("given up meanwhile")
	}
	if now.ID != e.was && now.ID != e.Account.ID {
		return errors.New("somebody else's meanwhile")
	}
	return nil
}

// Drop gives up an enrolment that came to nothing. While the store does not take it, the next sign-in of
// that person would wait: it is tried until they need not.
func (a *Accounts) Drop(ctx context.Context, e *Enrolment) {
	if !e.IsNew {
		return
	}
	e.version, e.reservation = e.reservation.end(e.version), nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime) // that of the sign-in may be over
	defer cancel()
	if err := a.free(ctx, e); err != nil && !env.Contested(err) {
		a.Env.Retry(ctx, enrolTime, "account not given up", err, func(ctx context.Context) error { return a.free(ctx, e) })
	}
}

// free makes the account of e, which is new, nobody's, or what it was if that could not be read: whether it
// is still held, or was kept and the answer lost.
func (a *Accounts) free(ctx context.Context, e *Enrolment) error {
	c := sessionstore.Change{
		If:  []sessionstore.Match{{Name: fieldAccount, Version: e.version}},
		Set: []sessionstore.Field{{Name: fieldAccount, Value: "\x00\x00", Version: env.Version()}},
		// Nobody came to be known: let the record go with the attempt.
		Expires: a.Env.Clock().Add(enrolTime),
	}
	if e.Lost {
		c.Set[0].Value, c.Expires = e.unread, a.Env.Clock().Add(ForGood)
	}
	err := a.Env.Write(ctx, e.Key, c)
	if env.Contested(err) && e.kept != 0 {
		c.If[0].Version = e.kept
		err = a.Env.Write(ctx, e.Key, c)
	}
	return err
}

// of reports that s, which is listed under an account of user, is not of somebody else to whom
// OnLogin has given that account since, or who had it before. One that does not say counts as user's.
func BelongsTo(s *session.View, user string) bool {
	f, ok := s.Record.Field(session.FieldUser)
	if !ok {
		return true
	}
	acc, err := Unpack(f.Value)
	return err != nil || acc.ID == user
}

const kindAccount = "account"

// Unlink forgets that an account belongs to whoever is signed in to s. Who signs in with it next is
// new to the app; whoever is signed in by it is so as somebody that it does not belong to any more.
func (a *Accounts) Unlink(ctx context.Context, s *session.View, account string) error {
	self, _ := s.Record.Field(session.FieldUser)
	acc, err := Unpack(self.Value)
	if err != nil {
		return err
	}
	key := sessionstore.Key{Kind: kindAccount, ID: account}
	for range session.SettleTries {
		rec, err := a.Env.Read(ctx, key)
		if errors.Is(err, sessionstore.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		there := a.entered(ctx, rec)
		if there.held || there.account != nil && there.account.ID != acc.ID {
			return nil
		}
		err = a.Env.Write(ctx, key, sessionstore.Change{
			If: []sessionstore.Match{{Name: fieldAccount, Version: there.version}}, Expires: time.Unix(0, 0),
		})
		if env.Contested(err) {
			continue // somebody has signed in by it
		}
		if err == nil {
			err = a.EndAccount(ctx, account, acc.ID, s.ID) // whose sign-in, by another, may be listed there too
		}
		if err != nil {
			return err
		}
		return a.Unlist(ctx, acc.ID, account) // the last: until then all that is left of it is found
	}
	return errors.New("middleware: account: changed too often")
}

// Unlist takes an account from the list of a user's.
func (a *Accounts) Unlist(ctx context.Context, user, account string) error {
	err := a.Env.Write(ctx, a.personKey(user), sessionstore.Change{Delete: []string{account}})
	if env.Contested(err) {
		return nil
	}
	return err
}

// Readable returns why what a session says of its user cannot be read.
func Readable(user string) error {
	_, _, err := read(user)
	return err
}
