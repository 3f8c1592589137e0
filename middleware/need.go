package middleware

import (
	"context"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// A Need is what a page asks of a session. The zero Need is: signed in.
type Need struct {
	// Provider is the one that has to be connected; "" is the one of the sign-in, and for
	// somebody who is not signed in any that is configured. A connection whose token has ended does
	// not count.
	Provider string

	// Label names one of several accounts at the provider; "" is the one without a label. See
	// [WithConnection].
	Label string

	// Scopes have to be granted, besides whatever else was. The person is asked when one is
	// missing; what was granted before goes along in the request, because the new token takes the
	// old one's place. They travel in the state parameter, where they and ACR have room for about 200
	// bytes: what does not fit is answered with 400 and [ReasonParameter]. As much of each as it has in
	// common with the beginning of the one before takes none: ten of Google's fit. Scopes that every
	// sign-in needs are better asked for by the provider, where there is room for 2 KiB.
	Scopes []string

	// ACR lists authentication context classes, one of which the sign-in must have had
	// (RFC 9470, section 4). Only an OpenID Connect provider can be asked for one, or for a MaxAge:
	// with any other, the answer is 403 and [ReasonNeed].
	ACR []string

	// MaxAge is how long ago the person may have proved who they are, in whole seconds; 0 is any time. A
	// sign-in of which the provider does not say when that was does not meet it: it is asked, and a provider that
	// does not say then, either, is [ReasonAuthTime].
	MaxAge time.Duration

	again bool // sign in anew, although the connection is there: of a [StepUpError]
}

// Check reports how the session of ctx falls short of n; nil if it meets it. It is what [Auth.Require]
// asks before it lets a request through, for handlers that show something else instead, or need it for a
// part of what they do.
//
// The error is a [*StepUpError], whose Need leads to what is missing with [LoginURL] or [Answer]. Behind
// it is [ErrSignedOut] if nobody is signed in, [ErrNotConnected] if the provider is not connected,
// [ErrReauthRequired] if its token has ended, and [ErrStepUp] if scopes are missing or the sign-in is
// too weak or too long ago. A context that did not pass [Auth.Handler] is [ErrNoMiddleware].
func Check(ctx context.Context, n Need) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	return q.check(n)
}

func (q *request) check(n Need) error {
	s := q.Look()
	l := n.lacks(s, q.auth.env.Clock())
	switch l {
	case lacksNothing:
		return nil
	case lacksUser:
		return &StepUpError{Need: n, lacks: l}
	}
	if n.Provider == "" {
		n.Provider = s.Meta.Provider
	}
	if l == lacksProvider {
		q.auth.unreadGrant(q, s, connected(n.Provider, n.Label))
	}
	n.again = l != lacksProvider
	return &StepUpError{Need: n, lacks: l}
}

// zero reports that n asks for nothing but a signed-in person.
func (n Need) zero() bool {
	return n.Provider == "" && !n.special()
}

// special reports that n asks for more than to be signed in with its provider.
func (n Need) special() bool {
	return n.Label != "" || n.again || len(n.Scopes) > 0 || len(n.ACR) > 0 || n.MaxAge > 0
}

// lack is how a session falls short of a Need.
type lack uint8

const (
	lacksNothing  lack = iota
	lacksUser          // nobody is signed in
	lacksProvider      // the provider is not connected
	lacksToken         // its token has ended
	lacksScope
	lacksLevel // ACR
	lacksAge   // MaxAge
)

// reason is what the person is told.
func (l lack) reason() string {
	switch l {
	case lacksUser:
		return reason.SignedOut
	case lacksToken:
		return reason.Ended
	default:
		return reason.Need
	}
}

// problem is what the person is told; provider is the one that it is about.
func (l lack) problem(provider string) *Problem {
	p := problem(l.reason(), nil)
	if l == lacksProvider && provider != "" {
		name := label(provider)
		p.Title = "Please connect " + name
		p.Detail = "This page needs an account of yours at " + name + " that is not connected yet. You stay signed in here."
	}
	return p
}

// lacks judges what a session holds against n, at now.
func (n Need) lacks(s *session.View, now time.Time) lack {
	if !s.SignedIn() {
		return lacksUser
	}
	if n.zero() {
		return lacksNothing
	}
	provider := n.Provider
	if provider == "" {
		provider = s.Meta.Provider
	}
	g, ok := grantOf(s, connected(provider, n.Label))
	if !ok {
		return lacksProvider
	}
	if len(n.ACR) > 0 && !slices.Contains(n.ACR, g.acr) {
		return lacksLevel
	}
	if n.MaxAge > 0 && !providers.Recent(g.proved(), now, n.MaxAge) {
		return lacksAge
	}
	if (n.Provider != "" || n.Label != "" || len(n.Scopes) > 0) && g.over(now) {
		return lacksToken // whatever it was good for
	}
	if len(missing(n.Scopes, g.token.Scopes)) > 0 {
		return lacksScope
	}
	return lacksNothing
}

// declined reports that a sign-in for n, which s falls short of by l, would ask for scopes to which the
// person has said no, and for no others.
func (n Need) declined(s *session.View, id string, l lack) bool {
	g, ok := grantOf(s, id)
	if !ok || l != lacksScope && l != lacksToken {
		return false
	}
	m := missing(n.Scopes, g.token.Scopes)
	if l == lacksToken && len(m) == 0 {
		return false // it is about the token alone
	}
	return len(missing(m, g.declined)) == 0
}

// missing returns the elements of want that are not in have.
func missing(want, have []string) []string {
	var m []string
	for _, s := range want {
		if !slices.Contains(have, s) && !slices.Contains(m, s) {
			m = append(m, s)
		}
	}
	return m
}
