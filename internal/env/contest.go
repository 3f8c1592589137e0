package env

import (
	"context"
	"errors"

	"github.com/returnleg/returnleg/sessionstore"
)

// Decided reports whether a store that returns err has certainly not made the change.
func Decided(err error) bool {
	return Contested(err) || errors.Is(err, sessionstore.ErrFull) || errors.Is(err, sessionstore.ErrOverloaded)
}

// Contested reports whether a change lost against another one. The caller may read the record again, and try
// anew.
func Contested(err error) bool {
	return errors.Is(err, sessionstore.ErrConflict) || errors.Is(err, sessionstore.ErrExists) || errors.Is(err, sessionstore.ErrNotFound)
}

// Unreached reports whether a store that returns err has not received the change, or whether its answer was
// lost. With any other error, the store has answered.
func Unreached(err error) bool {
	return errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}
