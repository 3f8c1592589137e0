package providers

import (
	"errors"
	"time"

	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/judge"
)

var (
	// ErrAnswer is wrapped by what Check and Finish return for an answer that no honest
	// provider gives: a parameter twice, the wrong issuer, a code and an error together.
	ErrAnswer = errors.New("providers: answer refused")

	// ErrToken is wrapped for a token answer, ID token or userinfo that does not verify.
	ErrToken = fault.ErrToken

	// ErrUnavailable is wrapped when the provider did not answer, or answered that it cannot now.
	ErrUnavailable = fault.ErrUnavailable

	// ErrNoRefresh is what Refresh returns for a token that came without a refresh token.
	ErrNoRefresh = errors.New("providers: token cannot be refreshed")

	// ErrInsecure is wrapped for a plain http URL of anything but loopback; nothing was sent.
	ErrInsecure = fault.ErrInsecure

	// ErrUnmet is wrapped, beside [ErrToken], when the provider signed somebody in, but not in the
	// way that was asked for: Flow.ACR, Flow.MaxAge. Begin returns it for a provider that has no
	// way to ask.
	ErrUnmet = fault.ErrUnmet

	// ErrNoAuthTime is the [ErrUnmet] of a sign-in that was asked for Flow.MaxAge, and of which the provider does
	// not say when it was.
	ErrNoAuthTime = fault.ErrNoAuthTime

	// ErrSubject is wrapped, beside [ErrToken], when somebody else came back than Flow.Subject, or
	// than the person whose token was refreshed.
	ErrSubject = fault.ErrSubject
)

// An Error is what the provider said no with. Its fields are the protocol's (RFC 6749, sections
// 4.1.2.1 and 5.2), cleaned and capped, for a page or a decision; they are text of somebody else's
// and not part of the error's text. The provider's body is not kept.
//
// One that is about the moment is [ErrUnavailable] too, as errors.Is sees it: a status of 429 or 5xx, or, in
// an answer that did not come through the browser, the code temporarily_unavailable or server_error.
type Error struct {
	Provider    string
	Endpoint    string // "authorization", "token", "userinfo" or "revocation"
	Code        string // such as "access_denied"; "" if the answer had none
	Description string
	URI         string
	Status      int           // HTTP status; 0 for an answer that came through the browser
	RetryAfter  time.Duration // of a 429 or 5xx: when to ask again, at most an hour; 0: the provider does not say
}

// Error names the provider, the endpoint and the code if it is one of the protocol's.
func (e *Error) Error() string {
	s := "providers: " + e.Provider + ": " + e.Endpoint + " refused"
	if judge.Known(e.Code) {
		s += ": " + e.Code
	}
	return s
}

// KnownCode returns the code if it is one of those that the standards name, and "" if it is free text.
func (e *Error) KnownCode() string {
	if !judge.Known(e.Code) {
		return ""
	}
	return e.Code
}

// Unwrap returns [ErrUnavailable] for a refusal that is about the moment, and nil for others.
func (e *Error) Unwrap() error {
	if (*judge.Refusal)(e).Transient() {
		return ErrUnavailable
	}
	return nil
}
