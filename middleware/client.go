package middleware

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
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
		return &http.Client{Transport: failing{err}}
	}
	a := q.auth
	s := q.Look()
	if !s.SignedIn() {
		return &http.Client{Transport: failing{ErrSignedOut}}
	}
	if provider == "" {
		provider = s.Meta.Provider
	}
	p := a.providers[provider]
	if p == nil {
		return &http.Client{Transport: failing{notConfigured(provider)}}
	}
	t := &apiTransport{auth: a, provider: p, label: labelOf(ctx), session: s.ID, born: s.Born, user: s.Meta.User}
	if api, ok := p.(providers.API); ok {
		base, origins := api.API()
		t.origins = origins
		t.base, _ = url.Parse(base)
	}
	return &http.Client{Transport: t, CheckRedirect: a.client.CheckRedirect, Timeout: a.client.Timeout}
}

type (
	connectionKey struct{}
	withoutKey    struct{}
	byHandKey     struct{}
)

// WithConnection returns a context that means another of several accounts at one provider: the one
// that was connected under label. It is for [Token], [Refresh], [Client] and [Disconnect], and for
// the context of a single request of a client. "" is the account that has no label.
func WithConnection(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, connectionKey{}, label)
}

// WithoutToken returns a context for requests of a [Client] that are sent without the token: to
// upload to an address that the API gave out, say, at whichever host. Redirects are followed
// without it, too.
func WithoutToken(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutKey{}, true)
}

// WithoutRefresh returns a context for [Token] and for requests of a [Client] that renew nothing by
// themselves: a token that has ended is [ErrTokenExpired], and a 401 of an API is the caller's. For apps
// that call [Refresh] when they see fit, which takes such a context as well.
func WithoutRefresh(ctx context.Context) context.Context {
	return context.WithValue(ctx, byHandKey{}, true)
}

func byHand(ctx context.Context) bool {
	by, _ := ctx.Value(byHandKey{}).(bool)
	return by
}

func labelOf(ctx context.Context) string {
	if _, ok := ctx.(*request); ok {
		return "" // as nearly always: nothing to look through
	}
	label, _ := ctx.Value(connectionKey{}).(string)
	return label
}

// failing is the transport of a client that cannot work.
type failing struct{ err error }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	closeBody(r)
	return nil, f.err
}

// A RoundTripper must close the body, also when it fails.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// apiTransport sends requests as one session's person.
type apiTransport struct {
	auth     *Auth
	provider providers.Provider
	label    string
	base     *url.URL
	origins  []string
	session  string
	born     uint64
	user     string
}

// RoundTrip implements [http.RoundTripper]. It is called for each hop of a redirect.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(r)
	if err == nil && t.resolves(r.URL) {
		anchor(resp, t.base.ResolveReference(r.URL))
	}
	return resp, err
}

// anchor makes the target of a redirect absolute: the client that follows it knows of no base, whose path a
// target such as "next" would lose.
func anchor(resp *http.Response, at *url.URL) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return
	}
	to, err := url.Parse(resp.Header.Get("Location"))
	if err == nil && resp.Header.Get("Location") != "" && !to.IsAbs() {
		resp.Header.Set("Location", at.ResolveReference(to).String())
	}
}

func (t *apiTransport) roundTrip(r *http.Request) (*http.Response, error) {
	out := t.resolve(r)
	if without, _ := r.Context().Value(withoutKey{}).(bool); without {
		if err := plainly(out.URL); err != nil {
			closeBody(r)
			return nil, fmt.Errorf("%w: %s: %w", ErrOrigin, t.provider.Name(), err)
		}
		return t.exchange(out)
	}
	if err := t.allowed(out); err != nil {
		closeBody(r)
		return nil, err
	}
	s, g, err := t.grant(r.Context())
	if err != nil {
		closeBody(r)
		return nil, err
	}
	resp, c, err := t.send(out, &g)
	if err != nil || c.Error != "invalid_token" || resp.StatusCode != http.StatusUnauthorized || byHand(r.Context()) {
		return resp, err
	}
	// The API knows better than the token's date: it was revoked, or their clock is another one.
	next, err := t.auth.renew(r.Context(), &s, g, true)
	if err == nil && next.version == g.version {
		err = g.reauth() // it is a new one already
	}
	if err != nil {
		discard(resp)
		return nil, err
	}
	again, ok := replay(r)
	if !ok {
		return resp, nil
	}
	discard(resp)
	resp, c, err = t.send(t.resolve(again), &next)
	if err == nil && c.Error == "invalid_token" && resp.StatusCode == http.StatusUnauthorized {
		discard(resp)
		return nil, g.reauth()
	}
	return resp, err
}

// resolves reports whether u is relative to the API's base.
func (t *apiTransport) resolves(u *url.URL) bool {
	return t.base != nil && u.Host == "" && u.Scheme == "" && u.Opaque == ""
}

// resolve returns a copy of r with its URL resolved against the API's base.
func (t *apiTransport) resolve(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	out.Trailer = r.Trailer // which the caller may fill in while the body is read
	if t.resolves(out.URL) {
		out.URL = t.base.ResolveReference(out.URL)
		out.Host = "" // the base is a host, too
	}
	return out
}

// send sends out, which it owns, with the token of g. An API that asks for another sign-in is an error.
func (t *apiTransport) send(out *http.Request, g *grant) (*http.Response, providers.Challenge, error) {
	if err := t.provider.Authorize(out, g.token); err != nil {
		closeBody(out)
		return nil, providers.Challenge{}, err
	}
	resp, err := t.exchange(out)
	if err != nil || resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return resp, providers.Challenge{}, err
	}
	c, _ := providers.ParseChallenge(resp.Header)
	if err := stepUpOf(c, g.provider, g.label); err != nil {
		discard(resp)
		return nil, c, err
	}
	return resp, c, nil
}

// discard ends an answer that nobody will see, so that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	_ = resp.Body.Close()
}

// replay returns r with a body that was not read yet.
func replay(r *http.Request) (*http.Request, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	again := r.Clone(r.Context())
	again.Body, again.Trailer = body, r.Trailer
	return again, true
}

// allowed refuses a request that would take the token anywhere but to a declared origin.
func (t *apiTransport) allowed(r *http.Request) error {
	// Many hosts may live behind one address: the one in the header, or in a target of the caller's
	// own making, is the one that answers.
	if r.URL.Opaque != "" || r.Host != "" && !strings.EqualFold(r.Host, r.URL.Host) {
		return fmt.Errorf("%w: %s: the request names another host than its URL", ErrOrigin, t.provider.Name())
	}
	err := t.origin(r.URL)
	if err != nil && t.userInfo(r.Context(), r.URL) {
		return nil
	}
	return err
}

// origin refuses a URL that is not of a declared origin.
func (t *apiTransport) origin(u *url.URL) error {
	host := strings.ToLower(u.Host)
	if p := u.Port(); p == "443" && u.Scheme == "https" || p == "80" && u.Scheme == "http" {
		host = strings.TrimSuffix(host, ":"+p)
	}
	if u.User != nil || host == "" || !slices.Contains(t.origins, u.Scheme+"://"+host) {
		return fmt.Errorf("%w: %s", ErrOrigin, t.provider.Name())
	}
	if err := plainly(u); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrOrigin, t.provider.Name(), err)
	}
	return nil
}

var errPlain = errors.New("plain http")

// plainly refuses what would be read on the way.
func plainly(u *url.URL) error {
	if u.Scheme != "https" && !web.Loopback(u.Hostname()) {
		return errPlain
	}
	return nil
}

// userInfo reports whether u is the provider's own userinfo endpoint.
func (t *apiTransport) userInfo(ctx context.Context, u *url.URL) bool {
	i, ok := t.provider.(providers.Informer)
	if !ok {
		return false
	}
	endpoint, err := i.UserInfoURL(t.auth.outgoing(ctx))
	return err == nil && endpoint != "" && u.String() == endpoint
}

// grant returns what the session holds now: it may have ended since the client was made.
func (t *apiTransport) grant(ctx context.Context) (session.View, grant, error) {
	a := t.auth
	s, err := a.sessions.Find(ctx, t.session)
	if errors.Is(err, context.Canceled) {
		return s, grant{}, fmt.Errorf("middleware: session: %w", err) // by the app: nothing is down
	}
	if err != nil {
		return s, grant{}, problem(reason.Store, fmt.Errorf("middleware: session: %w", err))
	}
	if s.Born != t.born || s.Meta.User != t.user {
		return s, grant{}, ErrSignedOut
	}
	s.Standing = session.Current // it was, when the client was made
	label := t.label
	if l, ok := ctx.Value(connectionKey{}).(string); ok {
		label = l
	}
	g, err := a.connection(ctx, &s, t.provider.Name(), label)
	if err == nil && g.due(a.env.Clock()) {
		g, err = a.current(ctx, &s, g)
	}
	return s, g, err
}
