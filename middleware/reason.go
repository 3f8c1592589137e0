package middleware

import (
	"net/http"

	"github.com/returnleg/returnleg/internal/reason"
)

// A Reason is the code of what went wrong, for logs, metrics and programs. It never carries a secret.
type Reason string

// Reasons. Some are of a [Problem], some of an event in the log, most of both. docs/operating.md says
// which of them are faults, and what to do then.
const (
	ReasonSignedOut      Reason = reason.SignedOut      // the page needs somebody who is signed in
	ReasonNeed           Reason = reason.Need           // signed in, but without the connection, scopes or strength that the page needs
	ReasonAuthTime       Reason = reason.AuthTime       // the page needs a recent sign-in, and the provider does not say when this one was
	ReasonEnded          Reason = reason.Ended          // signed in, but the token of the connection that the page needs is over
	ReasonLoop           Reason = reason.Loop           // an automatic sign-in came back a moment ago, and did not help
	ReasonMethod         Reason = reason.Method         // not a method of this address
	ReasonNotFound       Reason = reason.NotFound       // not an address of the kit
	ReasonCrossOrigin    Reason = reason.CrossOrigin    // sent by a page of another site
	ReasonSwitch         Reason = reason.Switch         // another site would replace the person who is signed in: they have to say so
	ReasonNavigation     Reason = reason.Navigation     // a sign-in starts with a page load, not with a script or a prefetch
	ReasonParameter      Reason = reason.Parameter      // a parameter is missing, doubled, malformed or too long
	ReasonState          Reason = reason.State          // no state of this browser: another browser, another site, or too old
	ReasonExpired        Reason = reason.Expired        // the sign-in took too long
	ReasonProviderPath   Reason = reason.ProviderPath   // started with one provider, came back at the address of another
	ReasonAnswer         Reason = reason.Answer         // no honest provider answers like this
	ReasonDenied         Reason = reason.Denied         // the person or the provider said no
	ReasonProviderError  Reason = reason.ProviderError  // the provider answered with an error
	ReasonUnavailable    Reason = reason.Unavailable    // the provider does not answer
	ReasonToken          Reason = reason.Token          // what the provider issued does not verify
	ReasonSessionChanged Reason = reason.SessionChanged // a step-up came back to another session or user
	ReasonIdentity       Reason = reason.Identity       // another person came back than the one who left
	ReasonIdentityTaken  Reason = reason.IdentityTaken  // the account at the provider belongs to somebody else here
	ReasonIdentitySize   Reason = reason.IdentitySize   // the provider says more about the person than is kept
	ReasonConnections    Reason = reason.Connections    // the session has no room for one more account
	ReasonOnLogin        Reason = reason.OnLogin        // OnLogin said no
	ReasonAppFailed      Reason = reason.AppFailed      // OnLogin failed, without saying no: a database that is down, say
	ReasonPending        Reason = reason.Pending        // the sign-in is still under way; the answer asks again by itself
	ReasonInterrupted    Reason = reason.Interrupted    // the sign-in was cut off half way
	ReasonStore          Reason = reason.Store          // the store failed
	ReasonValue          Reason = reason.Value          // a session value is of a type that cannot be stored, or a stored value opens and cannot be read: register its type with encoding/gob
	ReasonFull           Reason = reason.Full           // the store has no room
	ReasonSessionUnknown Reason = reason.SessionUnknown // a browser shows a session that the store does not have
	ReasonNotSaved       Reason = reason.NotSaved       // what a handler changed in the session cannot be kept: the cookie was replaced, or the session has ended
	ReasonSessionGone    Reason = reason.SessionGone    // the session ended while a request was under way
	ReasonLateWrite      Reason = reason.LateWrite      // a handler changed the session after its answer had begun
	ReasonPageTag        Reason = reason.PageTag        // the page was made for somebody else
	ReasonTooSlow        Reason = reason.TooSlow        // a form did not come in time
	ReasonTooLarge       Reason = reason.TooLarge       // a form is longer than it may be
	ReasonOuterSession   Reason = reason.OuterSession   // see ErrOuterSession
	ReasonRandom         Reason = reason.Random         // the random source failed
	ReasonBusy           Reason = reason.Busy           // too many people are signing in at the provider in this moment
	ReasonClosing        Reason = reason.Closing        // the server is about to stop
	ReasonUnsealed       Reason = reason.Unsealed       // a stored value was sealed with a key that is gone
	ReasonReturnTo       Reason = reason.ReturnTo       // a return address that leaves the site was ignored
	ReasonRefresh        Reason = reason.Refresh        // a token could not be renewed
	ReasonAPIDown        Reason = reason.APIDown        // a provider does not answer while somebody is signed in
	ReasonHandler        Reason = reason.Handler        // a handler gave an error to Answer
	ReasonClientGone     Reason = reason.ClientGone     // the client did not wait for the answer
)

// statusClientGone is what other servers write into their logs for it. No client sees it.
const statusClientGone = 499

// answers are what a person is told, and the status. Text for people says what happened and what
// to do; it never repeats what came in.
var answers = map[Reason]struct {
	status        int
	title, detail string
}{
	reason.SignedOut:      {http.StatusUnauthorized, "Please sign in", "This page needs to know who you are."},
	reason.Need:           {http.StatusForbidden, "One more permission", "This page needs more than you have allowed so far."},
	reason.AuthTime:       {http.StatusForbidden, "We cannot tell how recent that was", "This page needs to know that you proved who you are a short while ago, and the provider does not say when you did. Nothing was changed. You can try once more."},
	reason.Ended:          {http.StatusForbidden, "Please connect again", "The connection that this page needs has ended. You are still signed in, and can connect it again."},
	reason.Loop:           {http.StatusForbidden, "That did not work", "You were sent to sign in a moment ago, and this page still cannot be shown. You can try once more."},
	reason.Method:         {http.StatusMethodNotAllowed, "Not this way", "This address does not take that kind of request."},
	reason.NotFound:       {http.StatusNotFound, "Nothing here", "This address does not exist."},
	reason.CrossOrigin:    {http.StatusForbidden, "Sent from another site", "Another site asked for this in your name, so nothing was done."},
	reason.Switch:         {http.StatusForbidden, "Sign in as somebody else?", "A link on another site asks for this. You are signed in already; if you go on, that may end. Nothing was changed."},
	reason.Navigation:     {http.StatusBadRequest, "Open this as a page", "A sign-in starts when you open it as a page."},
	reason.Parameter:      {http.StatusBadRequest, "Something is missing", "The address you came back with is not complete. Please start again."},
	reason.State:          {http.StatusBadRequest, "We do not recognize this sign-in", "It was started in another browser or app, or too long ago. Nothing was changed. You can start again here."},
	reason.Expired:        {http.StatusBadRequest, "That took a little long", "For your safety a sign-in is only good for an hour. Please start again."},
	reason.ProviderPath:   {http.StatusBadRequest, "The wrong door", "This sign-in was started with another provider. Nothing was changed. Please start again."},
	reason.Answer:         {http.StatusBadRequest, "An answer we cannot accept", "What came back does not fit the sign-in that you started. Nothing was changed. Please start again."},
	reason.Denied:         {http.StatusForbidden, "Nothing was connected", "The provider was told no, so nothing was shared and nothing was changed. You can try again, or go back to where you were."},
	reason.ProviderError:  {http.StatusBadGateway, "The provider reported a problem", "Nothing was changed. Please try again."},
	reason.Unavailable:    {http.StatusServiceUnavailable, "The provider does not answer", "Nothing was changed. Please try again in a moment."},
	reason.Token:          {http.StatusBadGateway, "An answer we cannot trust", "What the provider sent did not pass our checks, so nothing was changed. Please try again."},
	reason.SessionChanged: {http.StatusConflict, "Your session has changed", "You signed out, or signed in as somebody else, since you started. Nothing was changed."},
	reason.Identity:       {http.StatusForbidden, "Another person came back", "You signed in there with a different account than before. Nothing was changed."},
	reason.IdentityTaken:  {http.StatusConflict, "That account is in use", "It already belongs to somebody else here. Nothing was changed. If that is you, too, you can move it to the account that you are signed in to now; it will not open the other one any more."},
	reason.IdentitySize:   {http.StatusBadGateway, "More than we can keep", "The provider sent more about you than this site can keep, so nothing was changed. Please tell the people who run it."},
	reason.Connections:    {http.StatusConflict, "That is one account too many", "You have connected as many as we keep at a time. Nothing was changed. Disconnect one that you do not need, then connect this one."},
	reason.OnLogin:        {http.StatusForbidden, "You cannot sign in here", "We know who you are, but this account has no access."},
	reason.AppFailed:      {http.StatusInternalServerError, "Something went wrong", "We could not finish your sign-in, and it cannot be continued. Please start again."},
	reason.Pending:        {http.StatusAccepted, "One moment, please", "Your sign-in is under way. This page goes on by itself."},
	reason.Interrupted:    {http.StatusServiceUnavailable, "That was cut off", "The sign-in stopped half way, and cannot be continued. Please start again."},
	reason.Store:          {http.StatusServiceUnavailable, "One moment, please", "We cannot reach what we keep your session in. Please try again shortly; you will not have to sign in again."},
	reason.Value:          {http.StatusInternalServerError, "Something went wrong", "The people who run this site have been told."},
	reason.Full:           {http.StatusServiceUnavailable, "One moment, please", "We have no room for another session right now. Please try again shortly."},
	reason.NotSaved:       {http.StatusConflict, "That was not saved", "You have signed in or out since you opened this page, here or in another tab. What you sent was not saved, but part of it may have been carried out. Open the page again, and look before you send it once more."},
	reason.PageTag:        {http.StatusConflict, "This page is out of date", "It was made for another account than the one that is signed in now. Nothing was done. Please open it again."},
	reason.TooSlow:        {http.StatusRequestTimeout, "That took too long", "What was sent did not arrive in time. Nothing was done. Please try again."},
	reason.TooLarge:       {http.StatusRequestEntityTooLarge, "Too much at once", "What was sent is larger than this site takes. Nothing was done."},
	reason.OuterSession:   {http.StatusInternalServerError, "Something is set up wrong", "The people who run this site have been told."},
	reason.Random:         {http.StatusInternalServerError, "Something went wrong", "Please try again."},
	reason.APIDown:        {http.StatusServiceUnavailable, "The service does not answer", "It cannot be reached right now. You are still signed in. Please try again in a moment."},
	reason.Handler:        {http.StatusInternalServerError, "Something went wrong", "Please try again."},
	reason.ClientGone:     {statusClientGone, "Nobody is waiting", "The request was given up before there was an answer."},
	reason.Busy:           {http.StatusServiceUnavailable, "Many are signing in", "The provider is slow just now. Nothing was changed. Please reload this page in a moment."},
	reason.Closing:        {http.StatusServiceUnavailable, "One moment, please", "We are restarting. Please try again shortly."},
}
