package middleware

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

// An Account is a person of this app: of one [Config].Site, however many share the store.
type Account struct {
	// ID is the app's own user id: what OnLogin set at the last sign-in, or "issuer|subject".
	ID string

	// Identity is who signed in, as the provider told it then, or in the ID token of a later refresh.
	Identity providers.Identity

	// Provider is the name of the one that the person signed in with.
	Provider string

	FirstSeen, LastSeen time.Time // sign-ins, not requests
}

// A Login is a sign-in that is about to succeed, as [Config].OnLogin sees it.
type Login struct {
	Account  *Account         // its ID may be set; the rest is for reading
	IsNew    bool             // true for exactly one successful sign-in of each person; see [Config].Keys
	Provider string           // the name of the one that they signed in with
	Token    *providers.Token // a copy; the session has its own

	// Former reports that the session, whose values OnLogin sees, was taken over from a [Former]. Its old cookie may
	// have been stolen, or planted in this browser by somebody else: all that it says of who somebody is, such as an
	// old user id, is that person's only once something else has shown it. To tie the account to an old user because
	// the session names one ties it for good, to whoever brought the cookie. Link where both have one verified
	// address, or on a page that asks for the old password; see the example of [Former].
	Former bool
}

// profile returns what the record of an account has of it, which stays for good: no claims, which are in
// each session for as long as that lasts.
func (acc *Account) profile() string {
	p := *acc
	p.Identity.Claims = nil
	return p.pack()
}

// pack returns the value of an account's record: a one, and behind it what a session keeps of it, for
// [unpackAccount].
func (acc *Account) pack() string {
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

func unpackAccount(s string) (Account, error) {
	acc, claims, err := readAccount(s)
	if claims != "" {
		acc.Identity.Claims = json.RawMessage(claims)
	}
	return acc, err
}

// readAccount is unpackAccount without a copy of anything: the claims are what it returns beside the account.
func readAccount(s string) (acc Account, claims string, err error) {
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
	forGood       = 100 * 365 * 24 * time.Hour
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
func (a *Auth) entered(ctx context.Context, rec sessionstore.Record) entered {
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
		acc, err := unpackAccount(v[1:])
		if err == nil {
			e.account = &acc
			return e
		}
		a.env.Log.Unread(ctx, kindAccount, fieldAccount, err)
	default:
		a.env.Log.Unread(ctx, kindAccount, fieldAccount, errLayout)
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

// enrolment is a person between proving who they are and being signed in.
type enrolment struct {
	key     sessionstore.Key
	packed  string // account, as the session has it
	was     string // the account's ID so far; "" for a new one
	version uint64
	kept    uint64 // version that the account may have by a change of which nobody knows; 0: none
	account *Account
	isNew   bool
	lost    bool   // isNew, in the place of an account that cannot be read: nobody knows whose that was
	unread  string // lost: its value; "" if it does not open

	reservation *reservation // of a new account; nil: none, or it has ended
}

// enrol finds or begins the account of id, whose key at this site is key. For a new person it holds the
// record until the caller keeps or drops it; others wait.
func (a *Auth) enrol(ctx context.Context, key string, id *providers.Identity) (*enrolment, error) {
	e := &enrolment{key: sessionstore.Key{Kind: kindAccount, ID: key}}
	wait, seen := enrolPause, watch{}
	for {
		now := a.env.Clock().UTC().Truncate(time.Millisecond) // as it is stored
		e.account = &Account{ID: id.Issuer + "|" + id.Subject, Identity: *id, FirstSeen: now, LastSeen: now}
		next := env.Version()

		rec, err := a.env.Read(ctx, e.key)
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
			e.account.ID, e.account.FirstSeen, e.version = old.ID, old.FirstSeen, there.version
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
		e.lost, e.unread = there.lost, there.unread
		held := there.hold(now.Add(enrolHold(ctx)))
		c.Set, c.Expires = []sessionstore.Field{{Name: fieldAccount, Value: held, Version: next}}, now.Add(forGood)
		err = a.env.Write(ctx, e.key, c)
		if err == nil || !env.Decided(err) {
			e.isNew, e.version = true, next
		}
		if err == nil {
			a.reserve(ctx, e, held)
			return e, nil
		}
		if !env.Contested(err) {
			a.drop(ctx, e)
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

// keep saves the account as it is now.
func (a *Auth) keep(ctx context.Context, e *enrolment) error {
	if e.was != e.account.ID {
		if err := a.introduce(ctx, e.account.ID, e.key.ID); err != nil {
			return err
		}
	}
	e.packed = e.account.pack()
	e.version, e.reservation = e.reservation.end(e.version), nil
	kept := env.Version()
	c := sessionstore.Change{
		If:      []sessionstore.Match{{Name: fieldAccount, Version: e.version}},
		Set:     []sessionstore.Field{{Name: fieldAccount, Value: e.account.profile(), Version: kept}},
		Expires: a.env.Clock().Add(forGood),
	}
	err := a.env.Write(ctx, e.key, c)
	if err != nil && !env.Decided(err) {
		e.kept = kept
	}
	if env.Contested(err) && !e.isNew {
		err = a.unchanged(ctx, e) // another sign-in of this person ended at the same time: either profile will do
	}
	if err != nil {
		return fmt.Errorf("middleware: account: %w", err)
	}
	return nil
}

// unchanged is an error if the account of e has become somebody else's meanwhile, or nobody's.
func (a *Auth) unchanged(ctx context.Context, e *enrolment) error {
	rec, err := a.env.Read(ctx, e.key)
	if err != nil {
		return err
	}
	now := a.entered(ctx, rec).account
	if now == nil {
		return errors.New("given up meanwhile")
	}
	if now.ID != e.was && now.ID != e.account.ID {
		return errors.New("somebody else's meanwhile")
	}
	return nil
}

// drop gives up an enrolment that came to nothing. While the store does not take it, the next sign-in of
// that person would wait: it is tried until they need not.
func (a *Auth) drop(ctx context.Context, e *enrolment) {
	if !e.isNew {
		return
	}
	e.version, e.reservation = e.reservation.end(e.version), nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), env.StoreTime) // that of the sign-in may be over
	defer cancel()
	if err := a.free(ctx, e); err != nil && !env.Contested(err) {
		a.env.After(ctx, enrolTime, "account not given up", err, func(ctx context.Context) error { return a.free(ctx, e) })
	}
}

// free makes the account of e, which is new, nobody's, or what it was if that could not be read: whether it
// is still held, or was kept and the answer lost.
func (a *Auth) free(ctx context.Context, e *enrolment) error {
	c := sessionstore.Change{
		If:  []sessionstore.Match{{Name: fieldAccount, Version: e.version}},
		Set: []sessionstore.Field{{Name: fieldAccount, Value: "\x00\x00", Version: env.Version()}},
		// Nobody came to be known: let the record go with the attempt.
		Expires: a.env.Clock().Add(enrolTime),
	}
	if e.lost {
		c.Set[0].Value, c.Expires = e.unread, a.env.Clock().Add(forGood)
	}
	err := a.env.Write(ctx, e.key, c)
	if env.Contested(err) && e.kept != 0 {
		c.If[0].Version = e.kept
		err = a.env.Write(ctx, e.key, c)
	}
	return err
}

// User returns the account of whoever is signed in, or [ErrSignedOut]. It is as of the sign-in, but for claims
// of ID tokens: those are as of the latest refresh that brought one, from the next request on. AuthTime and
// ACR stay the sign-in's. A context
// that did not pass [Auth.Handler] is [ErrNoMiddleware].
func User(ctx context.Context) (*Account, error) {
	q, err := from(ctx)
	if err != nil {
		return nil, err
	}
	return q.user()
}

func (q *request) user() (*Account, error) {
	s := q.Look()
	if !s.SignedIn() {
		return nil, ErrSignedOut
	}
	f, ok := s.Record.Field(session.FieldUser)
	if !ok {
		return nil, ErrSignedOut
	}
	acc, err := unpackAccount(f.Value)
	if err != nil {
		return nil, ErrSignedOut
	}
	return &acc, nil
}

// of reports that s, which is listed under an account of user, is not of somebody else to whom
// OnLogin has given that account since, or who had it before. One that does not say counts as user's.
func belongsTo(s *session.View, user string) bool {
	f, ok := s.Record.Field(session.FieldUser)
	if !ok {
		return true
	}
	acc, err := unpackAccount(f.Value)
	return err != nil || acc.ID == user
}

const kindAccount = "account"
