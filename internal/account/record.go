package account

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/sessionstore"
)

// The record of an account has the profile in one field, the mark in another, and one field for each session.
//
// While the first sign-in of a person is under way, the profile is a hold: it says until when that sign-in has
// the account for itself. A profile is taken away by a hold that is over. The record stays, with the sessions
// and the mark. So "the account is new" means that there is no profile, not that there is no record.
const (
	fieldAccount = "account" // the profile
	fieldMark    = "!"       // its version changes with each sign-out of everything; no session has that id

	// ForGood is how long an account lasts after its last sign-in.
	ForGood = 100 * 365 * 24 * time.Hour

	// holdLife is how long the record lasts that a hold has made: longer than the hold by what clocks differ.
	holdLife = time.Hour

	released = "\x00\x00" // a hold that ended in 1970
)

// entered is the profile in the record of an account.
type entered struct {
	version uint64
	account *Account  // nil: none that can be read
	held    bool      // a sign-in has the account for itself, or had
	until   time.Time // held: when that must be over
	lost    bool      // there is a profile that cannot be read, or was before it was held
	unread  string    // lost: its value; "" if it does not open
}

// entered reads the profile. One that cannot be read was written by a version that is no neighbor of this
// one, or its key was taken out of the ring. To refuse its person would keep them out for good: they begin
// anew, as somebody who is new to the app. An attempt that fails leaves the value as it was.
func (a *Accounts) entered(ctx context.Context, rec sessionstore.Record) entered {
	e := entered{version: env.VersionOf(rec, fieldAccount)}
	if e.version == 0 {
		return e
	}
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

// profiled reports that the record has a profile, readable or not: it lasts for good.
func (e *entered) profiled() bool { return e.account != nil || e.lost }

// hold returns the value of the profile while a sign-in has the account for itself until then. A value that
// cannot be read stays in it.
func (e *entered) hold(until time.Time) string {
	b := packed.AppendTime([]byte{0}, until)
	if e.lost {
		b = packed.AppendString(b, e.unread)
	}
	return string(b)
}

// unchanged returns the conditions that nothing in rec has changed: neither the profile, nor the mark, nor any
// entry. A change that moves the end of the record has them: somebody else may have moved it to a later time
// since rec was read.
func unchanged(rec sessionstore.Record) []sessionstore.Match {
	c := []sessionstore.Match{
		{Name: fieldAccount, Version: env.VersionOf(rec, fieldAccount)},
		{Name: fieldMark, Version: env.VersionOf(rec, fieldMark)},
	}
	for name, version := range rec.Versions() {
		if isEntry(name) {
			c = append(c, sessionstore.Match{Name: name, Version: version})
		}
	}
	return c
}

// lengthen has c keep the record until then at least, of which rec is what is stored; the zero Record is none.
// A record that lasts longer keeps its end.
func lengthen(rec sessionstore.Record, c *sessionstore.Change, until time.Time) {
	switch {
	case rec.Expires.IsZero():
		c.Mode, c.Expires = sessionstore.MustNotExist, until
	case rec.Expires.Before(until):
		c.Mode, c.Expires = sessionstore.MustExist, until
		c.If = unchanged(rec)
	default:
		c.Mode = sessionstore.MustExist
	}
}

// remains returns until when a record has to last that loses its profile, and whether there is anything but
// that in it.
func (a *Accounts) remains(rec sessionstore.Record) (until time.Time, some bool) {
	for name := range rec.Versions() {
		some = some || name != fieldAccount
	}
	return a.lasting(latest(rec)), some
}

// latest returns the latest deadline of the sessions that are listed in rec, or the zero time.
func latest(rec sessionstore.Record) (until time.Time) {
	for f := range rec.All() {
		if !isEntry(f.Name) {
			continue
		}
		if deadline, _, _, ok := unpackEntry(f.Value); ok && deadline.After(until) {
			until = deadline
		}
	}
	return until
}
