package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A fault is what an error of a driver means.
type fault uint8

const (
	other  fault = iota // nothing is known: it may have happened or not, and is not tried again
	inTurn              // others were in the way and nothing has happened: try again
	full                // there is no room
	away                // the database was not reached, or its answer was lost
)

// faultOf reads the code that the driver's error carries: SQLSTATE with pgx and lib/pq, the result
// code with modernc.org/sqlite. Other drivers of SQLite have a code of another type each, but all
// have SQLite's own words.
func faultOf(err error) fault {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		switch state.SQLState() {
		case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
			return inTurn
		case "53100": // disk_full
			return full
		case "53300", "57P01", "57P02", "57P03": // too_many_connections, and a server that stops or starts
			return away
		}
		if strings.HasPrefix(state.SQLState(), "08") { // connection_exception
			return away
		}
		return other
	}
	var result interface{ Code() int }
	if errors.As(err, &result) {
		switch result.Code() & 0xff { // the rest says more than is needed
		case 5, 6: // SQLITE_BUSY, SQLITE_LOCKED
			return inTurn
		case 13: // SQLITE_FULL
			return full
		}
		return other
	}
	switch text := err.Error(); {
	case strings.Contains(text, "database is locked"), strings.Contains(text, "database table is locked"):
		return inTurn
	case strings.Contains(text, "database or disk is full"):
		return full
	case strings.HasPrefix(text, "sql: "): // a mistake of the caller's, such as a database that was closed
		return other
	}
	return away // no server has said anything
}

// attempt is again, within the time of one call.
func (s *Store) attempt(ctx context.Context, what string, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return again(ctx, what, f)
}

// again calls f until nobody is in its way, or ctx ends, and returns the errors that
// [sessionstore.Store] speaks of. Those that f returns itself, bare, are answers.
func again(ctx context.Context, what string, f func(ctx context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sqlstore: %s: %w", what, err)
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 64*time.Millisecond) {
		err := f(ctx)
		switch {
		case err == nil:
			return nil
		case err == sessionstore.ErrNotFound, err == sessionstore.ErrExists, err == sessionstore.ErrConflict:
			return err
		}
		switch faultOf(err) {
		case full:
			return fmt.Errorf("sqlstore: %s: %w: %w", what, sessionstore.ErrFull, err)
		case other:
			return unavailable(ctx, what, err)
		case away:
			return unavailable(ctx, what, unreached(err))
		}
		if !sleep(ctx, pause/2+rand.N(pause)) {
			return unavailable(ctx, what, err)
		}
	}
}

// unreached marks err, unless the caller itself has given up.
func unreached(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", sessionstore.ErrUnavailable, err)
}

// unavailable wraps err, and the reason why ctx has ended, which not every driver passes on.
func unavailable(ctx context.Context, what string, err error) error {
	if why := ctx.Err(); why != nil && !errors.Is(err, why) {
		return fmt.Errorf("sqlstore: %s: %w: %w", what, why, err)
	}
	return fmt.Errorf("sqlstore: %s: %w", what, err)
}

// sleep waits for d, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
