package connection

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// A Need is what a page asks of a session: see Need of the package middleware.
type Need struct {
	Provider, Label string
	Scopes, ACR     []string
	MaxAge          time.Duration
	Again           bool // sign in anew, although the connection is there
}

// A Shortfall is the error of a session that lacks what is needed.
type Shortfall struct {
	Need  Need // what leads to it
	Lacks Lack

	Unconfigured bool // nobody can be connected with that provider
}

// Error says which connection it is about, and why.
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

// Unwrap returns the cause.
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

// zero reports that n asks for nothing but a signed-in person.
func (n Need) zero() bool {
	return n.Provider == "" && !n.Special()
}

// Special reports that n asks for more than to be signed in with its provider.
func (n Need) Special() bool {
	return n.Label != "" || n.Again || len(n.Scopes) > 0 || len(n.ACR) > 0 || n.MaxAge > 0
}

// Lack is how a session falls short of a Need.
type Lack uint8

const (
	LacksNothing  Lack = iota
	LacksUser          // nobody is signed in
	LacksProvider      // the provider is not connected
	LacksToken         // its token has ended
	LacksScope
	LacksLevel // ACR
	lacksAge   // MaxAge
)

// lacks judges what a session holds against n, at now.
func (n Need) lacks(s *session.View, now time.Time) Lack {
	if !s.SignedIn() {
		return LacksUser
	}
	if n.zero() {
		return LacksNothing
	}
	provider := n.Provider
	if provider == "" {
		provider = s.Meta.Provider
	}
	g, ok := GrantOf(s, ID(provider, n.Label))
	if !ok {
		return LacksProvider
	}
	if len(n.ACR) > 0 && !slices.Contains(n.ACR, g.ACR) {
		return LacksLevel
	}
	if n.MaxAge > 0 && !providers.Recent(g.proved(), now, n.MaxAge) {
		return lacksAge
	}
	if (n.Provider != "" || n.Label != "" || len(n.Scopes) > 0) && g.Over(now) {
		return LacksToken // whatever it was good for
	}
	if len(Missing(n.Scopes, g.Token.Scopes)) > 0 {
		return LacksScope
	}
	return LacksNothing
}

// Declined reports that a sign-in for n, which s falls short of by l, would ask for scopes to which the
// person has said no, and for no others.
func (n Need) Declined(s *session.View, id string, l Lack) bool {
	g, ok := GrantOf(s, id)
	if !ok || l != LacksScope && l != LacksToken {
		return false
	}
	m := Missing(n.Scopes, g.Token.Scopes)
	if l == LacksToken && len(m) == 0 {
		return false // it is about the token alone
	}
	return len(Missing(m, g.declined)) == 0
}

// Missing returns the elements of want that are not in have.
func Missing(want, have []string) []string {
	var m []string
	for _, s := range want {
		if !slices.Contains(have, s) && !slices.Contains(m, s) {
			m = append(m, s)
		}
	}
	return m
}

// stepUpOf returns what an API's refusal asks for; nil if it is about something else. RFC 6750,
// section 3.1, and RFC 9470, section 3.
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

// Check returns how s falls short of n: a [*shortfall], or nil.
func (a *Connections) Check(ctx context.Context, s *session.View, n Need) error {
	l := n.lacks(s, a.env.Clock())
	switch l {
	case LacksNothing:
		return nil
	case LacksUser:
		return &Shortfall{Need: n, Lacks: l}
	}
	if n.Provider == "" {
		n.Provider = s.Meta.Provider
	}
	if l == LacksProvider {
		a.unreadGrant(ctx, s, ID(n.Provider, n.Label))
	}
	n.Again = l != LacksProvider
	return &Shortfall{Need: n, Lacks: l}
}

// Errors of connections: see those of the package middleware.
var (
	ErrNotConnected   = errors.New("middleware: provider not connected")
	ErrReauthRequired = errors.New("middleware: token has ended; sign in again")
	ErrTokenExpired   = errors.New("middleware: token has ended; it was not to be renewed")
	ErrStepUp         = errors.New("middleware: the API asks for a step-up")
	ErrOrigin         = errors.New("middleware: not an origin of the provider's API")
)
