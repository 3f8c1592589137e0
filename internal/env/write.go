package env

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
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
func (a *Env) Write(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	own, versioned := signed(&c)
	var lost error
	for range writeTries {
		err := a.Store.Update(ctx, k, c)
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
		err = a.Store.Update(ctx, k, own)
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

// Unreached reports that a store which answers err has not heard of the change, or its answer was lost.
// Any other answer is one, to what it has heard.
func Unreached(err error) bool {
	return errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
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

// Read loads a record for a sign-in, and asks once more if the store failed.
func (a *Env) Read(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	rec, err := a.Store.Load(ctx, k)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return rec, err
	}
	return a.Store.Load(ctx, k)
}

// ReadAll is read for many.
func (a *Env) ReadAll(ctx context.Context, ks []sessionstore.Key) ([]sessionstore.Record, error) {
	recs, err := sessionstore.LoadAll(ctx, a.Store, ks)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return recs, err
	}
	return sessionstore.LoadAll(ctx, a.Store, ks)
}

// EraseAll is erase for many.
func (a *Env) EraseAll(ctx context.Context, ks []sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := sessionstore.DeleteAll(ctx, a.Store, ks)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return err
	}
	return sessionstore.DeleteAll(ctx, a.Store, ks)
}

// Erase deletes records, and tries once more if the store failed.
func (a *Env) Erase(ctx context.Context, ks ...sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := a.Store.Delete(ctx, ks...)
	if err == nil || Decided(err) || ctx.Err() != nil {
		return err
	}
	return a.Store.Delete(ctx, ks...)
}

// Decided reports that a store which answers err has not made the change.
func Decided(err error) bool {
	return Contested(err) || errors.Is(err, sessionstore.ErrFull) || errors.Is(err, sessionstore.ErrOverloaded)
}

// Contested reports that a change lost against another one, and may be tried on what that made.
func Contested(err error) bool {
	return errors.Is(err, sessionstore.ErrConflict) || errors.Is(err, sessionstore.ErrExists) || errors.Is(err, sessionstore.ErrNotFound)
}

// How often a change is tried that a sign-in could not make, and that has to be made all the same.
const (
	afterPause    = 50 * time.Millisecond // before the second try, and twice as long before each later one
	maxAfterPause = 2 * time.Second
)

// After tries a change that has failed until the store has taken it, or it has become pointless, for so
// long: nobody waits for it but [Auth.Close]. The caller holds a callback's count.
func (a *Env) After(ctx context.Context, long time.Duration, what string, failed error, change func(context.Context) error) {
	a.Log.Visitor(ctx, slog.LevelWarn, what+" yet", reason.Store, slog.Any("error", failed))
	a.Background.Callbacks.Add(1)
	ctx = context.WithoutCancel(ctx)
	until, wait := time.Now().Add(long), afterPause
	var try func()
	try = func() {
		over := time.Now().After(until) || a.Background.Stopping() // then it is the last try
		ctx, cancel := context.WithTimeout(ctx, StoreTime)
		defer cancel()
		err := recovered(ctx, change)
		if err == nil || Contested(err) || over {
			if err != nil && !Contested(err) {
				a.Log.Visitor(ctx, slog.LevelError, what, reason.Store, slog.Any("error", err))
			}
			a.Background.Callbacks.Done()
			return
		}
		wait = min(2*wait, maxAfterPause)
		time.AfterFunc(wait, try)
	}
	time.AfterFunc(wait, try)
}

// Version returns a version for a field that is written anew: random, so that a field that was
// deleted and made again is not mistaken for its predecessor.
func Version() uint64 { return rand.Uint64() | 1 }

// VersionOf returns the version of a field, 0 if it is not there. That of a field which does not open
// counts: it was sealed by a key that has gone since, and is there all the same.
func VersionOf(rec sessionstore.Record, name string) uint64 {
	for n, version := range rec.Versions() {
		if n == name {
			return version
		}
	}
	return 0
}

// StoreTime is how long a change of the session may take. It is not bound to the client: what a
// handler wrote is saved although the person has closed the tab.
const StoreTime = 5 * time.Second

var errPanicked = errors.New("env: store panicked")

// recovered calls change. A panic of the app's store is an error: no server is there to catch it.
func recovered(ctx context.Context, change func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errPanicked
		}
	}()
	return change(ctx)
}
