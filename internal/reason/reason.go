// Package reason has the codes of what can go wrong, as they are stored, logged and shown to programs. What a person is
// told about each is the business of the package middleware, whose Reason has the same values.
package reason

import "errors"

// The codes. docs/operating.md says which of them are faults.
const (
	SignedOut      = "signed_out"          // the page needs somebody who is signed in
	Need           = "need_unmet"          // signed in, but without the connection, scopes or strength that the page needs
	AuthTime       = "auth_time_unknown"   // the page needs a recent sign-in, and the provider does not say when this one was
	Ended          = "connection_ended"    // signed in, but the token of the connection that the page needs is over
	Loop           = "sign_in_loop"        // an automatic sign-in came back a moment ago, and did not help
	Method         = "method"              // not a method of this address
	NotFound       = "not_found"           // not an address of the kit
	CrossOrigin    = "cross_origin"        // sent by a page of another site
	Switch         = "switch"              // another site would replace the person who is signed in: they have to say so
	Navigation     = "not_a_navigation"    // a sign-in starts with a page load, not with a script or a prefetch
	Parameter      = "parameter"           // a parameter is missing, doubled, malformed or too long
	State          = "state"               // no state of this browser: another browser, another site, or too old
	Expired        = "expired"             // the sign-in took too long
	ProviderPath   = "provider_path"       // started with one provider, came back at the address of another
	Answer         = "answer"              // no honest provider answers like this
	Denied         = "denied"              // the person or the provider said no
	ProviderError  = "provider_error"      // the provider answered with an error
	Unavailable    = "provider_down"       // the provider does not answer
	Token          = "token"               // what the provider issued does not verify
	SessionChanged = "session_changed"     // a step-up came back to another session or user
	Identity       = "identity"            // another person came back than the one who left
	IdentityTaken  = "identity_taken"      // the account at the provider belongs to somebody else here
	IdentitySize   = "identity_too_large"  // the provider says more about the person than is kept
	Connections    = "connections_full"    // the session has no room for one more account
	OnLogin        = "refused_by_app"      // OnLogin said no
	AppFailed      = "app_failed"          // OnLogin failed, without saying no: a database that is down, say
	Pending        = "pending"             // the sign-in is still under way; the answer asks again by itself
	Interrupted    = "interrupted"         // the sign-in was cut off half way
	Store          = "store"               // the store failed
	Value          = "value"               // a session value is of a type that cannot be stored, or a stored value opens and cannot be read: register its type with encoding/gob
	Full           = "store_full"          // the store has no room
	SessionUnknown = "session_unknown"     // a browser shows a session that the store does not have
	NotSaved       = "not_saved"           // what a handler changed in the session cannot be kept: the cookie was replaced, or the session has ended
	SessionGone    = "session_gone"        // the session ended while a request was under way
	LateWrite      = "late_write"          // a handler changed the session after its answer had begun
	PageTag        = "page_tag"            // the page was made for somebody else
	TooSlow        = "too_slow"            // a form did not come in time
	TooLarge       = "too_large"           // a form is longer than it may be
	OuterSession   = "outer_load_and_save" // see ErrOuterSession
	Random         = "random"              // the random source failed
	Busy           = "busy"                // too many people are signing in at the provider in this moment
	Closing        = "closing"             // the server is about to stop
	Unsealed       = "unsealed"            // a stored value was sealed with a key that is gone
	ReturnTo       = "return_to"           // a return address that leaves the site was ignored
	Refresh        = "refresh"             // a token could not be renewed
	APIDown        = "api_down"            // a provider does not answer while somebody is signed in
	Handler        = "handler"             // a handler gave an error to Answer
	ClientGone     = "client_gone"         // the client did not wait for the answer
)

// An Error is why something is refused: a code, and what it followed from.
type Error struct {
	Code  string
	Cause error // nil: the code says it
	Spent bool  // the provider's code is spent: to wait and try again does not help
}

// New returns the error of a code.
func New(code string, cause error) *Error { return &Error{Code: code, Cause: cause} }

// Error names the code and the cause.
func (e *Error) Error() string {
	if e.Cause == nil {
		return "returnleg: " + e.Code
	}
	return "returnleg: " + e.Code + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Of returns the code of err; "" if it has none.
func Of(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
