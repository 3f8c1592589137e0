package middleware

import "net/http"

// A Reason is the code of what went wrong, for logs, metrics and programs. It never carries a secret.
type Reason string

// Reasons. Some are of a [Problem], some of an event in the log, most of both. docs/operating.md says
// which of them are faults, and what to do then.
const (
	ReasonSignedOut      Reason = "signed_out"          // the page needs somebody who is signed in
	ReasonNeed           Reason = "need_unmet"          // signed in, but without the connection, scopes or strength that the page needs
	ReasonAuthTime       Reason = "auth_time_unknown"   // the page needs a recent sign-in, and the provider does not say when this one was
	ReasonEnded          Reason = "connection_ended"    // signed in, but the token of the connection that the page needs is over
	ReasonLoop           Reason = "sign_in_loop"        // an automatic sign-in came back a moment ago, and did not help
	ReasonMethod         Reason = "method"              // not a method of this address
	ReasonNotFound       Reason = "not_found"           // not an address of the kit
	ReasonCrossOrigin    Reason = "cross_origin"        // sent by a page of another site
	ReasonSwitch         Reason = "switch"              // another site would replace the person who is signed in: they have to say so
	ReasonNavigation     Reason = "not_a_navigation"    // a sign-in starts with a page load, not with a script or a prefetch
	ReasonParameter      Reason = "parameter"           // a parameter is missing, doubled, malformed or too long
	ReasonState          Reason = "state"               // no state of this browser: another browser, another site, or too old
	ReasonExpired        Reason = "expired"             // the sign-in took too long
	ReasonProviderPath   Reason = "provider_path"       // started with one provider, came back at the address of another
	ReasonAnswer         Reason = "answer"              // no honest provider answers like this
	ReasonDenied         Reason = "denied"              // the person or the provider said no
	ReasonProviderError  Reason = "provider_error"      // the provider answered with an error
	ReasonUnavailable    Reason = "provider_down"       // the provider does not answer
	ReasonToken          Reason = "token"               // what the provider issued does not verify
	ReasonSessionChanged Reason = "session_changed"     // a step-up came back to another session or user
	ReasonIdentity       Reason = "identity"            // another person came back than the one who left
	ReasonIdentityTaken  Reason = "identity_taken"      // the account at the provider belongs to somebody else here
	ReasonIdentitySize   Reason = "identity_too_large"  // the provider says more about the person than is kept
	ReasonConnections    Reason = "connections_full"    // the session has no room for one more account
	ReasonOnLogin        Reason = "refused_by_app"      // OnLogin said no
	ReasonAppFailed      Reason = "app_failed"          // OnLogin failed, without saying no: a database that is down, say
	ReasonPending        Reason = "pending"             // the sign-in is still under way; the answer asks again by itself
	ReasonInterrupted    Reason = "interrupted"         // the sign-in was cut off half way
	ReasonStore          Reason = "store"               // the store failed
	ReasonValue          Reason = "value"               // a session value is of a type that cannot be stored, or a stored value opens and cannot be read: register its type with encoding/gob
	ReasonFull           Reason = "store_full"          // the store has no room
	ReasonSessionUnknown Reason = "session_unknown"     // a browser shows a session that the store does not have
	ReasonNotSaved       Reason = "not_saved"           // what a handler changed in the session cannot be kept: the cookie was replaced, or the session has ended
	ReasonSessionGone    Reason = "session_gone"        // the session ended while a request was under way
	ReasonLateWrite      Reason = "late_write"          // a handler changed the session after its answer had begun
	ReasonPageTag        Reason = "page_tag"            // the page was made for somebody else
	ReasonTooSlow        Reason = "too_slow"            // a form did not come in time
	ReasonTooLarge       Reason = "too_large"           // a form is longer than it may be
	ReasonOuterSession   Reason = "outer_load_and_save" // see ErrOuterSession
	ReasonRandom         Reason = "random"              // the random source failed
	ReasonBusy           Reason = "busy"                // too many people are signing in at the provider in this moment
	ReasonClosing        Reason = "closing"             // the server is about to stop
	ReasonUnsealed       Reason = "unsealed"            // a stored value was sealed with a key that is gone
	ReasonReturnTo       Reason = "return_to"           // a return address that leaves the site was ignored
	ReasonRefresh        Reason = "refresh"             // a token could not be renewed
	ReasonAPIDown        Reason = "api_down"            // a provider does not answer while somebody is signed in
	ReasonHandler        Reason = "handler"             // a handler gave an error to Answer
	ReasonClientGone     Reason = "client_gone"         // the client did not wait for the answer
)

// statusClientGone is what other servers write into their logs for it. No client sees it.
const statusClientGone = 499

// answers are what a person is told, and the status. Text for people says what happened and what
// to do; it never repeats what came in.
var answers = map[Reason]struct {
	status        int
	title, detail string
}{
	ReasonSignedOut:      {http.StatusUnauthorized, "Please sign in", "This page needs to know who you are."},
	ReasonNeed:           {http.StatusForbidden, "One more permission", "This page needs more than you have allowed so far."},
	ReasonAuthTime:       {http.StatusForbidden, "We cannot tell how recent that was", "This page needs to know that you proved who you are a short while ago, and the provider does not say when you did. Nothing was changed. You can try once more."},
	ReasonEnded:          {http.StatusForbidden, "Please connect again", "The connection that this page needs has ended. You are still signed in, and can connect it again."},
	ReasonLoop:           {http.StatusForbidden, "That did not work", "You were sent to sign in a moment ago, and this page still cannot be shown. You can try once more."},
	ReasonMethod:         {http.StatusMethodNotAllowed, "Not this way", "This address does not take that kind of request."},
	ReasonNotFound:       {http.StatusNotFound, "Nothing here", "This address does not exist."},
	ReasonCrossOrigin:    {http.StatusForbidden, "Sent from another site", "Another site asked for this in your name, so nothing was done."},
	ReasonSwitch:         {http.StatusForbidden, "Sign in as somebody else?", "A link on another site asks for this. You are signed in already; if you go on, that may end. Nothing was changed."},
	ReasonNavigation:     {http.StatusBadRequest, "Open this as a page", "A sign-in starts when you open it as a page."},
	ReasonParameter:      {http.StatusBadRequest, "Something is missing", "The address you came back with is not complete. Please start again."},
	ReasonState:          {http.StatusBadRequest, "We do not recognize this sign-in", "It was started in another browser or app, or too long ago. Nothing was changed. You can start again here."},
	ReasonExpired:        {http.StatusBadRequest, "That took a little long", "For your safety a sign-in is only good for an hour. Please start again."},
	ReasonProviderPath:   {http.StatusBadRequest, "The wrong door", "This sign-in was started with another provider. Nothing was changed. Please start again."},
	ReasonAnswer:         {http.StatusBadRequest, "An answer we cannot accept", "What came back does not fit the sign-in that you started. Nothing was changed. Please start again."},
	ReasonDenied:         {http.StatusForbidden, "Nothing was connected", "The provider was told no, so nothing was shared and nothing was changed. You can try again, or go back to where you were."},
	ReasonProviderError:  {http.StatusBadGateway, "The provider reported a problem", "Nothing was changed. Please try again."},
	ReasonUnavailable:    {http.StatusServiceUnavailable, "The provider does not answer", "Nothing was changed. Please try again in a moment."},
	ReasonToken:          {http.StatusBadGateway, "An answer we cannot trust", "What the provider sent did not pass our checks, so nothing was changed. Please try again."},
	ReasonSessionChanged: {http.StatusConflict, "Your session has changed", "You signed out, or signed in as somebody else, since you started. Nothing was changed."},
	ReasonIdentity:       {http.StatusForbidden, "Another person came back", "You signed in there with a different account than before. Nothing was changed."},
	ReasonIdentityTaken:  {http.StatusConflict, "That account is in use", "It already belongs to somebody else here. Nothing was changed. If that is you, too, you can move it to the account that you are signed in to now; it will not open the other one any more."},
	ReasonIdentitySize:   {http.StatusBadGateway, "More than we can keep", "The provider sent more about you than this site can keep, so nothing was changed. Please tell the people who run it."},
	ReasonConnections:    {http.StatusConflict, "That is one account too many", "You have connected as many as we keep at a time. Nothing was changed. Disconnect one that you do not need, then connect this one."},
	ReasonOnLogin:        {http.StatusForbidden, "You cannot sign in here", "We know who you are, but this account has no access."},
	ReasonAppFailed:      {http.StatusInternalServerError, "Something went wrong", "We could not finish your sign-in, and it cannot be continued. Please start again."},
	ReasonPending:        {http.StatusAccepted, "One moment, please", "Your sign-in is under way. This page goes on by itself."},
	ReasonInterrupted:    {http.StatusServiceUnavailable, "That was cut off", "The sign-in stopped half way, and cannot be continued. Please start again."},
	ReasonStore:          {http.StatusServiceUnavailable, "One moment, please", "We cannot reach what we keep your session in. Please try again shortly; you will not have to sign in again."},
	ReasonValue:          {http.StatusInternalServerError, "Something went wrong", "The people who run this site have been told."},
	ReasonFull:           {http.StatusServiceUnavailable, "One moment, please", "We have no room for another session right now. Please try again shortly."},
	ReasonNotSaved:       {http.StatusConflict, "That was not saved", "You have signed in or out since you opened this page, here or in another tab. What you sent was not saved, but part of it may have been carried out. Open the page again, and look before you send it once more."},
	ReasonPageTag:        {http.StatusConflict, "This page is out of date", "It was made for another account than the one that is signed in now. Nothing was done. Please open it again."},
	ReasonTooSlow:        {http.StatusRequestTimeout, "That took too long", "What was sent did not arrive in time. Nothing was done. Please try again."},
	ReasonTooLarge:       {http.StatusRequestEntityTooLarge, "Too much at once", "What was sent is larger than this site takes. Nothing was done."},
	ReasonOuterSession:   {http.StatusInternalServerError, "Something is set up wrong", "The people who run this site have been told."},
	ReasonRandom:         {http.StatusInternalServerError, "Something went wrong", "Please try again."},
	ReasonAPIDown:        {http.StatusServiceUnavailable, "The service does not answer", "It cannot be reached right now. You are still signed in. Please try again in a moment."},
	ReasonHandler:        {http.StatusInternalServerError, "Something went wrong", "Please try again."},
	ReasonClientGone:     {statusClientGone, "Nobody is waiting", "The request was given up before there was an answer."},
	ReasonBusy:           {http.StatusServiceUnavailable, "Many are signing in", "The provider is slow just now. Nothing was changed. Please reload this page in a moment."},
	ReasonClosing:        {http.StatusServiceUnavailable, "One moment, please", "We are restarting. Please try again shortly."},
}
