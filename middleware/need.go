package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/page"
	"github.com/returnleg/returnleg/internal/reason"
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
	return outward(q.auth.connections.Check(q, q.Look(), n.inner()))
}

// inner returns n as the rooms have it.
func (n Need) inner() connection.Need {
	return connection.Need{Provider: n.Provider, Label: n.Label, Scopes: n.Scopes, ACR: n.ACR, MaxAge: n.MaxAge, Again: n.again}
}

// outward returns an error of the rooms as an app sees it.
func outward(err error) error {
	var step *connection.Shortfall
	var refused *reason.Error
	switch {
	case errors.As(err, &step):
		n := step.Need
		err = &StepUpError{Need: Need{Provider: n.Provider, Label: n.Label, Scopes: n.Scopes, ACR: n.ACR, MaxAge: n.MaxAge, again: n.Again}, lacks: step.Lacks}
		if step.Unconfigured {
			return fmt.Errorf("%w, and not configured", err)
		}
	case errors.As(err, &refused):
		return problemOf(err)
	}
	return err
}

// reasonOf is what the person is told.
func reasonOf(l connection.Lack) string {
	switch l {
	case connection.LacksUser:
		return reason.SignedOut
	case connection.LacksToken:
		return reason.Ended
	default:
		return reason.Need
	}
}

// problemLacking is what the person is told; provider is the one that it is about.
func problemLacking(l connection.Lack, provider string) *Problem {
	p := problem(reasonOf(l), nil)
	if l == connection.LacksProvider && provider != "" {
		name := page.Label(provider)
		p.Title = "Please connect " + name
		p.Detail = "This page needs an account of yours at " + name + " that is not connected yet. You stay signed in here."
	}
	return p
}
