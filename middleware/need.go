package middleware

import (
	"time"

	"github.com/returnleg/returnleg/internal/connection"
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

// inner returns n as the rooms have it.
func (n Need) inner() connection.Need {
	return connection.Need{Provider: n.Provider, Label: n.Label, Scopes: n.Scopes, ACR: n.ACR, MaxAge: n.MaxAge, Again: n.again}
}
