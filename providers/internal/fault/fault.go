// Package fault has the errors that the rooms of package providers share: the causes that errors.Is finds, and an
// explanation for a developer beside an error's text.
//
// It promises that an explanation is never part of an error's text, and that words of others in it are short and
// without the query of a URL. It knows no endpoint and no answer: which of them is at fault is for its callers to say.
package fault

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// maxTerm bounds what somebody else has written in an explanation.
const maxTerm = 256

// The causes that package providers has under the same names, with their meaning.
var (
	ErrToken       = errors.New("providers: token refused")
	ErrUnavailable = errors.New("providers: provider unavailable")
	ErrInsecure    = errors.New("providers: insecure URL: want https for a host that is not loopback")
	ErrUnmet       = errors.New("providers: sign-in is not what was asked for")
	ErrNoAuthTime  = fmt.Errorf("%w: no auth_time", ErrUnmet)
	ErrSubject     = errors.New("providers: somebody else")
)

// Reject returns the error of a token, or of a part of one, that does not verify.
func Reject(what string) error { return fmt.Errorf("%s: %w", what, ErrToken) }

// An Explained is an error with an explanation, which is not part of its text.
type Explained struct {
	err error
	Why string
}

func (e *Explained) Error() string { return e.err.Error() }

func (e *Explained) Unwrap() error { return e.err }

// Explain returns err with an explanation. Its text stays that of err.
func Explain(err error, format string, args ...any) error {
	return &Explained{err, fmt.Sprintf(format, args...)}
}

// Bare returns a URL without what may be a secret in it. Other text stays.
func Bare(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	raw, _, _ = strings.Cut(raw, "?")
	if u, err := url.Parse(raw); err == nil && u.User != nil {
		u.User = nil
		raw = u.String()
	}
	return grammar.Clean(raw, maxTerm)
}

// Quoted returns somebody else's words.
func Quoted(s string) string { return strconv.Quote(Bare(s)) }

// Span returns a duration as people say it: 90s, 60m, 25h.
func Span(d time.Duration) string {
	switch d = d.Abs(); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d.Round(time.Second)/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d.Round(time.Minute)/time.Minute)
	case d < 96*time.Hour:
		return fmt.Sprintf("%dh", d.Round(time.Hour)/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
