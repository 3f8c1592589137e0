// Package providers speaks to identity providers: it builds the URL that a person is sent to,
// checks the answer, redeems the code, verifies who came back, and signs requests to the
// provider's API. It knows no HTTP server and no storage.
//
// [OAuth2] and [OIDC] cover nearly every service; [GitHub], [Google] and [Vimeo] fill one of them
// in. Implement [Provider] for a service that speaks neither.
//
// Package middleware drives a provider. A program that does so without it makes a [Flow] with a State,
// Verifier and Nonce that nobody can guess, keeps it where only the browser that left finds it, and
// calls Begin, Check and Finish with it, in this order, Finish at most once.
//
// To change this package, look for these places below internal:
//
//   - service: one file with the data of each named service. Its constructor, and the documentation of the
//     service, are in a file of the same name here.
//   - clientauth: one file for each way in which the app proves itself to an endpoint. Its name is an
//     [AuthMethod]. An authentication by certificate has its client in call.
//   - judge: each judgment of what a provider says. A service that differs sets a field of judge.Rules.
//   - challenge: what the API of a provider demands in a WWW-Authenticate header.
//   - idtoken: the verification of an ID token. What a flow asked for is compared with it here.
//   - discovery: what a provider publishes, and the copy that is kept of it.
//   - call: one request to a provider. address: where requests may go.
//   - fault, grammar: the errors and the forms of texts that all of them share.
//
// A protocol, such as [OIDC], is a type of this package and puts these parts together. Its Authorize is where requests
// to an API are signed.
package providers

import (
	"context"
	"net/http"
	"net/url"
)

// A Provider turns a visit to an identity provider into a [Token] and an [Identity].
//
// A Provider is safe for concurrent use and keeps nothing of a flow or a session: what must be
// remembered is in the Flow and the Token. It sends its requests with the client that ctx
// carries under oauth2.HTTPClient, or with [NewClient]'s; it follows no redirect from an endpoint
// that takes a secret, and reads at most 1 MiB of an answer.
type Provider interface {
	// Name identifies the provider in URLs and in storage: 1 to 32 of a-z 0-9 -, such as "github".
	Name() string

	// Begin returns the URL that starts f. It may ask the provider first (discovery). It
	// writes nothing to f.
	Begin(ctx context.Context, f *Flow) (authURL string, err error)

	// Check judges the answer to f before anything is redeemed or written. It sends nothing of
	// the answer anywhere; it may read the provider's published metadata. An [*Error] is the
	// provider's refusal: f is over. [ErrAnswer] refuses the answer: f goes on waiting. Any
	// other error says that the provider could not be asked; f goes on waiting.
	Check(ctx context.Context, f *Flow, answer url.Values) error

	// Finish redeems the answer, once, and verifies what it gets against f: nonce, issuer,
	// f.Subject, f.ACR, f.MaxAge. Its caller has made sure that nobody else calls it for f.
	// If the code was redeemed but something behind that failed, it returns the token with
	// the error, so that the caller can revoke it.
	Finish(ctx context.Context, f *Flow, answer url.Values) (*Token, *Identity, error)

	// Refresh trades t for a token that lasts longer. The result is complete: what the answer
	// leaves out (refresh token, scopes) is t's. It returns [ErrNoRefresh] if t has nothing to
	// refresh with, and an [*Error] with code invalid_grant if t is spent for good.
	Refresh(ctx context.Context, t *Token) (*Token, error)

	// Authorize adds t to r, which it owns. It is called again for each attempt.
	Authorize(r *http.Request, t *Token) error
}

// An API is a Provider that says where its tokens may go.
type API interface {
	// API returns the URL that relative ones are resolved against ("" if there is none), and
	// the only origins (scheme://host[:port]) that get a token.
	API() (base string, origins []string)
}

// An Informer is a Provider with an endpoint that tells whose an access token is: OpenID Connect
// Core 1.0, section 5.3. The endpoint gets tokens, whatever the origins of [API] are.
type Informer interface {
	// UserInfoURL returns the endpoint, or "" if there is none. It may ask the provider first
	// (discovery).
	UserInfoURL(ctx context.Context) (string, error)
}

// A Revoker can revoke a token (RFC 7009).
type Revoker interface {
	// Revoke asks the provider to forget t, its refresh token first. A provider without a
	// revocation endpoint is no error.
	Revoke(ctx context.Context, t *Token) error
}

// A FormPoster is a Provider whose answers may come as a form that the browser posts across sites
// (OAuth 2.0 Form Post Response Mode). Without FormPost, or when it reports false, a posted answer is
// refused.
type FormPoster interface {
	FormPost() bool
}

// An IdentityIssuer is a Provider that says whose subjects its identities have, before anybody has signed in.
// People of two providers must not be taken for one another, so package middleware refuses to start with two of
// one issuer, unless the app has named it in each. It also refuses an identity with the issuer of another
// provider. A provider of the app's own needs IdentityIssuer where another one has the same issuer.
type IdentityIssuer interface {
	// IdentityIssuer returns what the provider's identities have as their Issuer, and whether the app
	// has chosen it. "" says that it is not known.
	IdentityIssuer() (issuer string, named bool)
}

// A PublicClient is a Provider that says whether it has no secret. Package middleware tells the log at start: a secret
// that was forgotten, or an environment variable that is empty, looks the same.
type PublicClient interface {
	PublicClient() bool
}

// A Validator is a Provider that can tell at start what is wrong with how it was configured:
// every mistake, joined. It sends nothing.
type Validator interface {
	Validate() error
}
