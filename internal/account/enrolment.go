package account

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

const (
	enrolTime  = 45 * time.Second      // longer than a callback may take
	enrolRest  = 2 * time.Second       // of a callback's time, for what follows the wait
	enrolPause = 20 * time.Millisecond // before the first look whether its holder is through

	maxEnrolPause = 160 * time.Millisecond // between later ones
)

// An Enrolment is a person between proving who they are and being signed in.
type Enrolment struct {
	Key     sessionstore.Key
	Account *Account // as the app has it; the ID may be changed before it is saved
	IsNew   bool
	Lost    bool // IsNew, in the place of an account that cannot be read: nobody knows whose that was

	was     string // the account's ID so far; "" for a new one
	version uint64 // of the profile
	kept    uint64 // version that the profile may have by a change of which nobody knows; 0: none
	unread  string // Lost: the value of the profile; "" if it does not open
	packed  string // see Packed

	rec  sessionstore.Record // as it was read last
	over bool                // the account is saved or given up

	mu   sync.Mutex
	mark uint64 // a session that is listed under another one is refused; behind mu

	reservation *reservation // of a new account; nil: none, or it has ended
}

// Packed returns the account, as a session has it.
func (e *Enrolment) Packed() string {
	if e.packed == "" {
		e.packed = e.Account.Pack()[1:]
	}
	return e.packed
}

// follow has the sessions of e listed under mark.
func (e *Enrolment) follow(mark uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mark = mark
}

// marked returns the mark under which the sessions of e are listed.
func (e *Enrolment) marked() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mark
}

// Pending reports that the account is neither saved nor given up.
func (e *Enrolment) Pending() bool { return !e.over }

// Enrol finds or begins the account of id, whose key at this site is key. For a new person it holds the
// account until the caller saves it or gives it up; others wait.
func (a *Accounts) Enrol(ctx context.Context, key string, id *providers.Identity) (*Enrolment, error) {
	e := &Enrolment{Key: accountKey(key)}
	wait, seen := enrolPause, watch{}
	for {
		now := a.Env.Clock().UTC().Truncate(time.Millisecond) // as it is stored
		e.Account = &Account{ID: id.Issuer + "|" + id.Subject, Identity: *id, FirstSeen: now, LastSeen: now}
		next := env.Version()

		rec, err := a.Env.Read(ctx, e.Key)
		if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
			return nil, fmt.Errorf("middleware: account: %w", err)
		}
		there := a.entered(ctx, rec)
		e.rec = rec
		e.follow(env.VersionOf(rec, fieldMark))
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
		c := sessionstore.Change{
			If:   []sessionstore.Match{{Name: fieldAccount, Version: there.version}},
			Set:  []sessionstore.Field{{Name: fieldAccount, Value: held, Version: next}},
			Tier: sessionstore.Member,
		}
		lengthen(rec, &c, now.Add(holdLife))
		err = a.Env.Write(ctx, e.Key, c)
		if err == nil || !env.Decided(err) {
			e.IsNew, e.version = true, next
		}
		if err == nil {
			e.reservation = a.reserve(ctx, e.Key, e.version, held)
			return e, nil
		}
		if !env.Contested(err) {
			a.Drop(ctx, e)
			return nil, fmt.Errorf("middleware: account: %w", err)
		}
	}
}

// enrolHold returns for how long a sign-in has a new account for itself: until its own time is up. Should its
// process be killed, the next sign-in of that person began later and has time left when the hold
// ends; one that waited longer than it may would fail.
func enrolHold(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return enrolTime
	}
	return min(time.Until(deadline)-enrolRest, enrolTime)
}

// An admission is a sign-in that the app is asked about.
type admission struct{ enrolment *Enrolment }

// Admit calls ask, in which the app says whether it lets e in. A sign-out of everything that ask itself does
// comes before the sign-in, and does not refuse it.
func (a *Accounts) Admit(e *Enrolment, ask func() error) error {
	at := &admission{e}
	a.admissions.Store(at, nil)
	defer a.admissions.Delete(at)
	return ask()
}

// precedes notes for the sign-ins of an account that the app is asked about that this mark came first.
func (a *Accounts) precedes(key sessionstore.Key, mark uint64) {
	a.admissions.Range(func(at, _ any) bool {
		if e := at.(*admission).enrolment; e.Key == key {
			e.follow(mark)
		}
		return true
	})
}

// Drop gives up an enrolment that came to nothing. While the store does not take it, the next sign-in of
// that person would wait: it is tried until they need not.
func (a *Accounts) Drop(ctx context.Context, e *Enrolment) {
	if e.over = true; !e.IsNew {
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
// is still held, or was saved and the answer lost. What else is in the record stays.
func (a *Accounts) free(ctx context.Context, e *Enrolment) error {
	for range session.SettleTries {
		rec, err := a.Env.Read(ctx, e.Key)
		if err != nil {
			return err
		}
		there := env.VersionOf(rec, fieldAccount)
		if there != e.version && (e.kept == 0 || there != e.kept) {
			return nil // it is somebody else's
		}
		c := sessionstore.Change{
			If:  unchanged(rec),
			Set: []sessionstore.Field{{Name: fieldAccount, Value: released, Version: env.Version()}},
		}
		until, some := a.remains(rec)
		switch {
		case e.Lost:
			c.Set[0].Value, c.Expires = e.unread, a.Env.Clock().Add(ForGood)
		case some:
			c.Expires = until
		default: // nobody came to be known: let the record go with the attempt
			c.Expires = a.Env.Clock().Add(enrolTime)
		}
		if err := a.Env.Write(ctx, e.Key, c); !env.Contested(err) {
			return err
		}
	}
	return sessionstore.ErrConflict
}
