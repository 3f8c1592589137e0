package middleware

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// writeTries is how often a change is sent that the store may not have got.
const writeTries = 2

// write makes a change that other changes depend on, as each one of a sign-in does. A store that fails
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
func (a *Auth) write(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	own, versioned := signed(&c)
	var lost error
	for range writeTries {
		err := a.store.Update(ctx, k, c)
		if err == nil || lost == nil && decided(err) || ctx.Err() != nil {
			return err
		}
		lost = err // what there is may from now on be this change, which came late
		if !versioned && unreached(err) {
			continue
		}
		if !versioned {
			return err
		}
		err = a.store.Update(ctx, k, own)
		switch {
		case err == nil, !contested(err):
			return err
		case c.Mode == sessionstore.MustNotExist && errors.Is(err, sessionstore.ErrConflict):
			return sessionstore.ErrExists
		case !unreached(lost):
			return lost
		}
	}
	return lost
}

// unreached reports that a store which answers err has not heard of the change, or its answer was lost.
// Any other answer is one, to what it has heard.
func unreached(err error) bool {
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

// read loads a record for a sign-in, and asks once more if the store failed.
func (a *Auth) read(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	rec, err := a.store.Load(ctx, k)
	if err == nil || decided(err) || ctx.Err() != nil {
		return rec, err
	}
	return a.store.Load(ctx, k)
}

// readAll is read for many.
func (a *Auth) readAll(ctx context.Context, ks []sessionstore.Key) ([]sessionstore.Record, error) {
	recs, err := sessionstore.LoadAll(ctx, a.store, ks)
	if err == nil || decided(err) || ctx.Err() != nil {
		return recs, err
	}
	return sessionstore.LoadAll(ctx, a.store, ks)
}

// eraseAll is erase for many.
func (a *Auth) eraseAll(ctx context.Context, ks []sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := sessionstore.DeleteAll(ctx, a.store, ks)
	if err == nil || decided(err) || ctx.Err() != nil {
		return err
	}
	return sessionstore.DeleteAll(ctx, a.store, ks)
}

// erase deletes records, and tries once more if the store failed.
func (a *Auth) erase(ctx context.Context, ks ...sessionstore.Key) error {
	if len(ks) == 0 {
		return nil
	}
	err := a.store.Delete(ctx, ks...)
	if err == nil || decided(err) || ctx.Err() != nil {
		return err
	}
	return a.store.Delete(ctx, ks...)
}

// decided reports that a store which answers err has not made the change.
func decided(err error) bool {
	return contested(err) || errors.Is(err, sessionstore.ErrFull) || errors.Is(err, sessionstore.ErrOverloaded)
}

// contested reports that a change lost against another one, and may be tried on what that made.
func contested(err error) bool {
	return errors.Is(err, sessionstore.ErrConflict) || errors.Is(err, sessionstore.ErrExists) || errors.Is(err, sessionstore.ErrNotFound)
}

// How often a change is tried that a sign-in could not make, and that has to be made all the same.
const (
	afterPause    = 50 * time.Millisecond // before the second try, and twice as long before each later one
	maxAfterPause = 2 * time.Second
)

// after tries a change that has failed until the store has taken it, or it has become pointless, for so
// long: nobody waits for it but [Auth.Close]. The caller holds a callback's count.
func (a *Auth) after(ctx context.Context, long time.Duration, what string, failed error, change func(context.Context) error) {
	a.visitorEvent(ctx, slog.LevelWarn, what+" yet", ReasonStore, slog.Any("error", failed))
	a.callbacks.Add(1)
	ctx = context.WithoutCancel(ctx)
	until, wait := time.Now().Add(long), afterPause
	var try func()
	try = func() {
		over := time.Now().After(until) || a.stopping() // then it is the last try
		ctx, cancel := context.WithTimeout(ctx, storeTime)
		defer cancel()
		err := change(ctx)
		if err == nil || contested(err) || over {
			if err != nil && !contested(err) {
				a.visitorEvent(ctx, slog.LevelError, what, ReasonStore, slog.Any("error", err))
			}
			a.callbacks.Done()
			return
		}
		wait = min(2*wait, maxAfterPause)
		time.AfterFunc(wait, try)
	}
	time.AfterFunc(wait, try)
}

// stopping reports that the server is about to stop.
func (a *Auth) stopping() bool {
	a.gate.RLock()
	defer a.gate.RUnlock()
	return a.closing
}
