package middleware

import (
	"context"
	"time"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// An Account is a person of this app: of one [Config].Site, however many share the store.
type Account struct {
	// ID is the app's own user id: what OnLogin set at the last sign-in, or "issuer|subject".
	ID string

	// Identity is who signed in, as the provider told it then, or in the ID token of a later refresh.
	Identity providers.Identity

	// Provider is the name of the one that the person signed in with.
	Provider string

	FirstSeen, LastSeen time.Time // sign-ins, not requests
}

// A Login is a sign-in that is about to succeed, as [Config].OnLogin sees it.
type Login struct {
	Account  *Account         // its ID may be set; the rest is for reading
	IsNew    bool             // true for exactly one successful sign-in of each person; see [Config].Keys
	Provider string           // the name of the one that they signed in with
	Token    *providers.Token // a copy; the session has its own

	// Former reports that the session, whose values OnLogin sees, was taken over from a [Former]. Its old cookie may
	// have been stolen, or planted in this browser by somebody else: all that it says of who somebody is, such as an
	// old user id, is that person's only once something else has shown it. To tie the account to an old user because
	// the session names one ties it for good, to whoever brought the cookie. Link where both have one verified
	// address, or on a page that asks for the old password; see the example of [Former].
	Former bool
}

// User returns the account of whoever is signed in, or [ErrSignedOut]. It is as of the sign-in, but for claims
// of ID tokens: those are as of the latest refresh that brought one, from the next request on. AuthTime and
// ACR stay the sign-in's. A context
// that did not pass [Auth.Handler] is [ErrNoMiddleware].
func User(ctx context.Context) (*Account, error) {
	q, err := from(ctx)
	if err != nil {
		return nil, err
	}
	return q.user()
}

func (q *request) user() (*Account, error) {
	s := q.View()
	if !s.SignedIn() {
		return nil, ErrSignedOut
	}
	f, ok := s.Record.Field(session.FieldUser)
	if !ok {
		return nil, ErrSignedOut
	}
	acc, err := account.Unpack(f.Value)
	if err != nil {
		return nil, ErrSignedOut
	}
	return (*Account)(&acc), nil
}
