package env

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// writeTries is how often a change is sent that the store may not have received.
const writeTries = 2

// Write makes a change that other changes depend on, as each change of a sign-in does. A store that returns an
// error may have made the change. The first field of c with a version tells: no other change has that version.
// So Write sets this field once more on the condition that it has the version. If it does not, and the store
// was not reached the first time, c is tried once more. A change without such a field is tried once more if the
// store was not reached: it may be made twice.
//
// It would not do to read the version. A store that waits for replicas confirms what is written. A change that
// it has not confirmed may be lost in a failover. The second write is confirmed after c, and so c with it.
//
// An error means that the change was not made or, if the store has failed again, that this is not known.
func (e *Env) Write(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	return e.confirm(ctx, k, c, e.Store.Update(ctx, k, c))
}

// WriteAll makes changes of different records as [Env.Write] does, which do not wait for one another: those
// that the store takes together are sent together. It returns what Write would for each.
func (e *Env) WriteAll(ctx context.Context, us []sessionstore.KeyedChange) []error {
	if len(us) == 1 {
		return []error{e.Write(ctx, us[0].Key, us[0].Change)}
	}
	errs := sessionstore.UpdateAll(ctx, e.Store, us)
	for i := range us {
		errs[i] = e.confirm(ctx, us[i].Key, us[i].Change, errs[i])
	}
	return errs
}

// confirm returns what came of c, which was sent once with this answer.
func (e *Env) confirm(ctx context.Context, k sessionstore.Key, c sessionstore.Change, err error) error {
	own, versioned := signed(&c)
	var lost error
	for try := range writeTries {
		if try > 0 {
			err = e.Store.Update(ctx, k, c)
		}
		if err == nil || lost == nil && Decided(err) || ctx.Err() != nil {
			return err
		}
		lost = err // from now on, a conflict may be with this change, which came late
		if !versioned && Unreached(err) {
			continue
		}
		if !versioned {
			return err
		}
		err = e.Store.Update(ctx, k, own)
		switch {
		case err == nil, !Contested(err):
			return err
		case c.Mode == sessionstore.MustNotExist && errors.Is(err, sessionstore.ErrConflict):
			return sessionstore.ErrExists
		case !Unreached(lost):
			return lost
		}
	}
	return lost
}

// signed returns the change that confirms c: the store makes it only where it has made c. It returns false if c
// has no field with a version of its own.
func signed(c *sessionstore.Change) (sessionstore.Change, bool) {
	for _, f := range c.Set {
		if f.Version != 0 {
			return sessionstore.Change{
				If:  []sessionstore.Match{{Name: f.Name, Version: f.Version}},
				Set: []sessionstore.Field{f},
			}, true
		}
	}
	return sessionstore.Change{}, false
}

// StoreTime is how long a change of the store may take. It does not end with the request: what a handler wrote
// is saved although the browser has closed the tab.
const StoreTime = 5 * time.Second
