package env

import (
	"context"
	"errors"

	"github.com/returnleg/returnleg/sessionstore"
)

// Decided reports that a store which answers err has not made the change.
func Decided(err error) bool {
	return Contested(err) || errors.Is(err, sessionstore.ErrFull) || errors.Is(err, sessionstore.ErrOverloaded)
}

// Contested reports that a change lost against another one, and may be tried on what that made.
func Contested(err error) bool {
	return errors.Is(err, sessionstore.ErrConflict) || errors.Is(err, sessionstore.ErrExists) || errors.Is(err, sessionstore.ErrNotFound)
}

// Unreached reports that a store which answers err has not heard of the change, or its answer was lost.
// Any other answer is one, to what it has heard.
func Unreached(err error) bool {
	return errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}
