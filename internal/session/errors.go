package session

import (
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/values"
)

// ErrNotSaved means that what the request changed in its session was not saved.
var ErrNotSaved = errors.New("middleware: session not saved")

// Why a change is not saved.
var (
	errReplaced = fmt.Errorf("%w: the cookie has been replaced", ErrNotSaved)
	errGone     = fmt.Errorf("%w: the session has ended", ErrNotSaved)
	errNoCookie = fmt.Errorf("%w: a new session needs a cookie, and the header has left", ErrNotSaved)
)

// ErrWithheld means that the path of the request is free of sessions. It wraps [ErrNotSaved].
var ErrWithheld = fmt.Errorf("%w: the path is free of sessions", ErrNotSaved)

// ErrSignedOut means that no user is signed in, or not any more.
var ErrSignedOut = errors.New("middleware: not signed in")

// ErrEnded means that all sessions of a user were ended while one of them was being changed.
var ErrEnded = errors.New("middleware: signed out everywhere while signing in")

// ErrPageTooLarge means that a page state is longer than [Request.SavePage] accepts.
var ErrPageTooLarge = errors.New("middleware: page state too large")

// ErrNoRequest means that a context does not belong to a [Request].
var ErrNoRequest = errors.New("middleware: context did not pass Handler")

// ErrUnsupported means that a method of the scs manager needs a list of all sessions, or the bytes of one.
var ErrUnsupported = errors.New("middleware: not supported for a session of this kit")

// notSavedReason returns the reason code of an error that wraps [ErrNotSaved].
func notSavedReason(err error) string {
	if errors.Is(err, errGone) {
		return reason.SessionGone
	}
	return reason.NotSaved
}

// ReasonOf returns the reason code of an error of a save: of the store, or of a value that cannot be stored.
func ReasonOf(err error) string {
	if unstorable := (*values.TypeError)(nil); errors.As(err, &unstorable) {
		return reason.Value
	}
	return reason.Store
}
