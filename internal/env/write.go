package env

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// writeTries is how often a change is sent that the store may not have got.
const writeTries = 2

// Write makes a change that other changes depend on, as each one of a sign-in does. A store that fails
// may have made the change all the same. Then the first field of c that has a version has that of this
// change, which is nobody else's: it is written once more on the condition that it has. If it has not, and
// the store was not reached, c is tried once more. A change without such a field is one that may be made
// twice.
//
// To find the version by reading would not do. A store that waits for replicas confirms what is written,
// and a change that it has not confirmed may be lost in a failover; that of the field is confirmed after
// c, and so c with it.
//
// An error says that the change was not made, or, where the store has failed again, that nobody knows.
func (e *Env) Write(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	own, versioned := signed(&c)
	var lost error
	for range writeTries {
		err := e.Store.Update(ctx, k, c)
		if err == nil || lost == nil && Decided(err) || ctx.Err() != nil {
			return err
		}
		lost = err // what there is may from now on be this change, which came late
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

// signed returns the change that confirms c: it is made only where c was. It reports false if c has no
// field of a version of its own.
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

// StoreTime is how long a change of the session may take. It is not bound to the client: what a
// handler wrote is saved although the person has closed the tab.
const StoreTime = 5 * time.Second
