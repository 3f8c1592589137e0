package connection

import (
	"errors"
	"strings"

	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// A Shortfall is the error of a session that lacks what is needed.
type Shortfall struct {
	Need  Need // for which a sign-in helps
	Lacks Lack

	Unconfigured bool // the app has no such provider
}

// Error names the connection and the cause.
func (e *Shortfall) Error() string {
	text := e.Unwrap().Error()
	if e.Need.Provider != "" {
		text = "middleware: " + ID(e.Need.Provider, e.Need.Label) + ": " + strings.TrimPrefix(text, "middleware: ")
	}
	if e.Unconfigured {
		text += ", and not configured"
	}
	return text
}

// Unwrap returns the cause of what is lacking.
func (e *Shortfall) Unwrap() error { return e.Lacks.Cause() }

// Cause returns the error that l stands for.
func (l Lack) Cause() error {
	switch l {
	case LacksUser:
		return session.ErrSignedOut
	case LacksProvider:
		return ErrNotConnected
	case LacksToken:
		return ErrReauthRequired
	default:
		return ErrStepUp
	}
}

// A Lack is how a session falls short of a [Need].
type Lack uint8

// Lacks, the first that is found.
const (
	LacksNothing  Lack = iota // it does not
	LacksUser                 // nobody is signed in
	LacksProvider             // the provider is not connected
	LacksToken                // its token has ended
	LacksScope                // the grant has not all scopes
	LacksLevel                // the sign-in has another ACR
	lacksAge                  // the sign-in is older than MaxAge
)

// stepUpOf returns the error of an API that refuses a request and asks for another sign-in; nil if it does not. RFC
// 6750, section 3.1, and RFC 9470, section 3.
func stepUpOf(c providers.Challenge, provider, label string) error {
	n := Need{Provider: provider, Label: label, Again: true}
	switch c.Error {
	case "insufficient_scope":
		n.Scopes = c.Scopes
		return &Shortfall{Need: n, Lacks: LacksScope}
	case "insufficient_user_authentication":
		n.ACR, n.MaxAge = c.ACR, c.MaxAge
		return &Shortfall{Need: n, Lacks: LacksLevel}
	}
	return nil
}

// Errors of connections. The package middleware exports them and says when each one comes.
var (
	ErrNotConnected   = errors.New("middleware: provider not connected")
	ErrReauthRequired = errors.New("middleware: token has ended; sign in again")
	ErrTokenExpired   = errors.New("middleware: token has ended; it was not to be renewed")
	ErrStepUp         = errors.New("middleware: the API asks for a step-up")
	ErrOrigin         = errors.New("middleware: not an origin of the provider's API")
)

// notConnected returns the error of a session without a grant of that id.
func notConnected(id string) error {
	provider, label, _ := strings.Cut(id, ":")
	return &Shortfall{Need: Need{Provider: provider, Label: label}, Lacks: LacksProvider}
}

// notConfigured returns the error of a provider that the app does not have.
func notConfigured(provider string) error {
	return &Shortfall{Need: Need{Provider: provider}, Lacks: LacksProvider, Unconfigured: true}
}
