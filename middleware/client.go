package middleware

import (
	"context"
	"net/http"

	"github.com/returnleg/returnleg/internal/connection"
)

// Client returns a client for the provider's API, as the person who is signed in; provider "" is
// the one of the sign-in, and [WithConnection] chooses among several accounts at one. It resolves
// relative URLs against the API's base, so that
//
//	resp, err := middleware.Client(ctx, "vimeo").Get("/me/videos")
//
// is all it takes. The token goes to the origins that the provider declares (and to its userinfo
// endpoint, see [providers.Informer]), and nowhere else: a request to another one, or a redirect to
// it, or one whose Host or URL.Opaque names another host than its URL, fails with [ErrOrigin] and is
// not sent. Bodies are streamed. A request whose context is of
// [WithoutToken] goes anywhere, without the token.
//
// Tokens are renewed as [Token] does. When the API says that one is not good although it has not
// ended (401, invalid_token), it is renewed once and the request sent once more, if its body can
// be had again (no body, or GetBody is set); a second such answer is [ErrReauthRequired]. An API
// that asks for more (insufficient_scope, RFC 6750; insufficient_user_authentication, RFC 9470) is
// a [*StepUpError]. All other answers, whatever their status, are the caller's. An API that cannot be
// reached, breaks off, also within the body of its answer, or does not answer in HTTP is
// [providers.ErrUnavailable].
//
// It belongs to the session, not to the request: it may be kept and used in goroutines, looks at
// the session anew for each request, and fails with [ErrSignedOut] once it has ended, with
// [ErrNotConnected] where the provider is not connected, and with [ErrReauthRequired] when its
// token has ended for good. Client itself never fails; a context that did not pass [Auth.Handler]
// gets a client whose requests are [ErrNoMiddleware]. [errors.Is] and [errors.As] find all of them in
// the *url.Error that a client returns; [Answer] makes the right answer of them.
func Client(ctx context.Context, provider string) *http.Client {
	q, err := from(ctx)
	if err != nil {
		return &http.Client{Transport: connection.Failing{Err: err}}
	}
	t, err := q.auth.connections.Transport(q.View(), provider, labelOf(ctx))
	if err != nil {
		return &http.Client{Transport: connection.Failing{Err: outward(err)}}
	}
	c := q.auth.connections.Client
	return &http.Client{Transport: apiErrors{t}, CheckRedirect: c.CheckRedirect, Timeout: c.Timeout}
}

// apiErrors is a transport whose errors are those of the package.
type apiErrors struct{ transport http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t apiErrors) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.transport.RoundTrip(r)
	return resp, outward(err)
}

// WithConnection returns a context that means another of several accounts at one provider: the one
// that was connected under label. It is for [Token], [Refresh], [Client] and [Disconnect], and for
// the context of a single request of a client. "" is the account that has no label.
func WithConnection(ctx context.Context, label string) context.Context {
	return connection.WithLabel(ctx, label)
}

// WithoutToken returns a context for requests of a [Client] that are sent without the token: to
// upload to an address that the API gave out, say, at whichever host. Redirects are followed
// without it, too.
func WithoutToken(ctx context.Context) context.Context {
	return connection.WithoutToken(ctx)
}

// WithoutRefresh returns a context for [Token] and for requests of a [Client] that renew nothing by
// themselves: a token that has ended is [ErrTokenExpired], and a 401 of an API is the caller's. For apps
// that call [Refresh] when they see fit, which takes such a context as well.
func WithoutRefresh(ctx context.Context) context.Context {
	return connection.WithoutRefresh(ctx)
}

func labelOf(ctx context.Context) string {
	if _, ok := ctx.(*request); ok {
		return "" // as nearly always: nothing to look through
	}
	return connection.LabelIn(ctx)
}
