package session

import (
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/values"
)

// NotSavedReason returns the reason of an error that wraps errNotSaved.
func NotSavedReason(err error) string {
	if errors.Is(err, errGone) {
		return reason.SessionGone
	}
	return reason.NotSaved
}

// Replaced reports that the cookie of the request is not the session's any more, and was not when it came.
func (s *View) Replaced() bool {
	return (s.Standing == Before || s.Standing == Stale) && !s.entitled
}

// writable reports whether the request may change the record.
func (s *View) writable() bool { return s.Opens() || s.entitled }

// unsavable returns why the request cannot keep anything; nil if it may be able to.
func (s *View) unsavable() error {
	switch {
	case s.Standing == Withheld:
		return ErrWithheld
	case s.Replaced():
		return errReplaced
	}
	return nil
}

// Why a change is not saved.
var (
	errReplaced = fmt.Errorf("%w: the cookie has been replaced", ErrNotSaved)
	errGone     = fmt.Errorf("%w: the session has ended", ErrNotSaved)
	ErrWithheld = fmt.Errorf("%w: the path is free of sessions", ErrNotSaved)
	errNoCookie = fmt.Errorf("%w: a new session needs a cookie, and the header has left", ErrNotSaved)
)

// ReasonOf returns the reason of an error of the store, or of a value that it cannot take.
func ReasonOf(err error) string {
	if unstorable := (*values.TypeError)(nil); errors.As(err, &unstorable) {
		return reason.Value
	}
	return reason.Store
}

var ErrNotSaved = errors.New("middleware: session not saved")

var ErrPageTooLarge = errors.New("middleware: page state too large")

var ErrUnsupported = errors.New("middleware: not supported for a session of this kit")

// ErrSignedOut means that nobody is signed in, or not any more.
var ErrSignedOut = errors.New("middleware: not signed in")
