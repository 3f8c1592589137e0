package reason

import "errors"

// The reason codes. docs/operating.md says which of them are faults.
const (
	SignedOut      = "signed_out"          // the page needs a signed-in user
	Need           = "need_unmet"          // signed in, but without the connection, scopes or strength that the page needs
	AuthTime       = "auth_time_unknown"   // the page needs a recent sign-in, and the provider does not say when this one was
	Ended          = "connection_ended"    // signed in, but the connection that the page needs has ended
	Loop           = "sign_in_loop"        // an automatic sign-in ended a moment ago, and the page still needs one
	Method         = "method"              // the address does not have this method
	NotFound       = "not_found"           // the kit has no such address
	CrossOrigin    = "cross_origin"        // a page of another site has sent the request
	Switch         = "switch"              // another site has started a sign-in that would replace the signed-in user: the user has to confirm it
	Navigation     = "not_a_navigation"    // a sign-in starts with a page load, not with a script or a prefetch
	Parameter      = "parameter"           // a parameter is missing, doubled, malformed or too long
	State          = "state"               // the state is not of this browser: it is of another browser, of another site, or too old
	Expired        = "expired"             // the sign-in took too long
	ProviderPath   = "provider_path"       // the sign-in started with one provider, and came back at the address of another
	Answer         = "answer"              // no honest provider answers like this
	Denied         = "denied"              // the user or the provider refused
	ProviderError  = "provider_error"      // the provider answered with an error
	Unavailable    = "provider_down"       // the provider does not answer
	Token          = "token"               // what the provider issued does not verify
	SessionChanged = "session_changed"     // a step-up came back to another session or user
	Identity       = "identity"            // the sign-in that had to be of one user was of another
	IdentityTaken  = "identity_taken"      // the account at the provider belongs to another user of the app
	IdentitySize   = "identity_too_large"  // the provider sends more about the user than is stored
	Connections    = "connections_full"    // the session has no room for one more account
	OnLogin        = "refused_by_app"      // OnLogin refused
	AppFailed      = "app_failed"          // OnLogin failed without a refusal, as when a database is down
	Pending        = "pending"             // the sign-in is still under way; the page asks again by itself
	Interrupted    = "interrupted"         // the sign-in was interrupted before its end
	Store          = "store"               // the store failed
	Value          = "value"               // the type of a session value cannot be stored, or a stored value cannot be read: register its type with encoding/gob
	Full           = "store_full"          // the store has no room
	SessionUnknown = "session_unknown"     // the store does not have the session of the cookie
	NotSaved       = "not_saved"           // a change of the session cannot be saved: the cookie was replaced, or the session has ended
	SessionGone    = "session_gone"        // the session ended while a request was under way
	LateWrite      = "late_write"          // a handler changed the session after its answer had begun
	PageTag        = "page_tag"            // the page was made for another user
	TooSlow        = "too_slow"            // a form did not come in time
	TooLarge       = "too_large"           // a form is longer than it may be
	OuterSession   = "outer_load_and_save" // see middleware.ErrOuterSession
	Random         = "random"              // the random source failed
	Busy           = "busy"                // too many sign-ins are under way at the provider
	Closing        = "closing"             // the server is about to stop
	Unsealed       = "unsealed"            // a stored value was sealed with a key that is gone
	ReturnTo       = "return_to"           // a return address that leaves the site was ignored
	Refresh        = "refresh"             // a token could not be renewed
	APIDown        = "api_down"            // a provider does not answer, and a user is signed in
	Handler        = "handler"             // a handler has passed an error to Answer
	ClientGone     = "client_gone"         // the client did not wait for the answer
)

// An Error is why something is refused: a code, and its cause.
type Error struct {
	Code  string
	Cause error // nil if the code says all
	Spent bool  // the provider's code was sent: another try needs a new one
}

// New returns the error of a code and its cause, which may be nil.
func New(code string, cause error) *Error { return &Error{Code: code, Cause: cause} }

// Error returns the code and the text of the cause.
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
