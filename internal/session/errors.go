package session

import (
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/values"
)

var ErrNotSaved = errors.New("middleware: session not saved")

// Why a change is not saved.
var (
	errReplaced = fmt.Errorf("%w: the cookie has been replaced", ErrNotSaved)
	errGone     = fmt.Errorf("%w: the session has ended", ErrNotSaved)
	ErrWithheld = fmt.Errorf("%w: the path is free of sessions", ErrNotSaved)
	errNoCookie = fmt.Errorf("%w: a new session needs a cookie, and the header has left", ErrNotSaved)
)

var ErrUnsupported = errors.New("middleware: not supported for a session of this kit")

var ErrPageTooLarge = errors.New("middleware: page state too large")

// ErrSignedOut means that nobody is signed in, or not any more.
var ErrSignedOut = errors.New("middleware: not signed in")

var ErrNoRequest = errors.New("middleware: context did not pass Handler")

var ErrEnded = errors.New("middleware: signed out everywhere while signing in")

// NotSavedReason returns the reason of an error that wraps errNotSaved.
func NotSavedReason(err error) string {
	if errors.Is(err, errGone) {
		return reason.SessionGone
	}
	return reason.NotSaved
}

// ReasonOf returns the reason of an error of the store, or of a value that it cannot take.
func ReasonOf(err error) string {
	if unstorable := (*values.TypeError)(nil); errors.As(err, &unstorable) {
		return reason.Value
	}
	return reason.Store
}
