package connection

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

// CloseBody closes the body of r, as a [http.RoundTripper] must, also when it fails.
func CloseBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

// An apiTransport sends requests to the API of a provider, as the person of one session.
type apiTransport struct {
	connections *Connections
	provider    providers.Provider
	label       string
	base        *url.URL
	origins     []string
	session     string
	born        uint64
	user        string
}

// RoundTrip implements [http.RoundTripper]. It is called for each hop of a redirect.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(r)
	if err == nil && t.resolves(r.URL) {
		absoluteTarget(resp, t.base.ResolveReference(r.URL))
	}
	return resp, err
}

// absoluteTarget makes the target of a redirect absolute. The client that follows the redirect does not know the base,
// and would lose its path for a target such as "next".
func absoluteTarget(resp *http.Response, at *url.URL) {
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

// roundTrip sends r with the token, and once more with a renewed one if the API refuses the token with 401.
func (t *apiTransport) roundTrip(r *http.Request) (*http.Response, error) {
	out := t.resolve(r)
	if without, _ := r.Context().Value(withoutKey{}).(bool); without {
		if err := plainly(out.URL); err != nil {
			CloseBody(r)
			return nil, fmt.Errorf("%w: %s: %w", ErrOrigin, t.provider.Name(), err)
		}
		return exchange(t.connections.Client, t.provider.Name(), out)
	}
	if err := t.allowed(out); err != nil {
		CloseBody(r)
		return nil, err
	}
	s, g, err := t.grant(r.Context())
	if err != nil {
		CloseBody(r)
		return nil, err
	}
	resp, c, err := t.send(out, &g)
	if err != nil || c.Error != "invalid_token" || resp.StatusCode != http.StatusUnauthorized || byHand(r.Context()) {
		return resp, err
	}
	// The token is not good, although its time is not over: it was revoked, or the API has another clock.
	next, err := t.connections.renew(r.Context(), &s, g, true)
	if err == nil && next.version == g.version {
		err = g.reauth() // it was renewed a moment ago
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
func (t *apiTransport) send(out *http.Request, g *Grant) (*http.Response, providers.Challenge, error) {
	if err := t.provider.Authorize(out, g.Token); err != nil {
		CloseBody(out)
		return nil, providers.Challenge{}, err
	}
	resp, err := exchange(t.connections.Client, t.provider.Name(), out)
	if err != nil || resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden {
		return resp, providers.Challenge{}, err
	}
	c, _ := providers.ParseChallenge(resp.Header)
	if err := stepUpOf(c, g.Provider, g.Label); err != nil {
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

// replay returns r with a body that was not read. It reports false if the body cannot be had again.
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
	// Several hosts may share an address. The host in the header, or in an opaque target, is the one that answers.
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

// plainly refuses plain http, but to this machine.
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
	endpoint, err := i.UserInfoURL(t.connections.Outgoing(ctx))
	return err == nil && endpoint != "" && u.String() == endpoint
}

// grant returns the session and the grant to use now. The session may have ended since the client was made.
func (t *apiTransport) grant(ctx context.Context) (session.View, Grant, error) {
	a := t.connections
	s, err := a.sessions.Find(ctx, t.session)
	if errors.Is(err, context.Canceled) {
		return s, Grant{}, fmt.Errorf("middleware: session: %w", err) // by the app: nothing is down
	}
	if err != nil {
		return s, Grant{}, reason.New(reason.Store, fmt.Errorf("middleware: session: %w", err))
	}
	if s.Born != t.born || s.Meta.User != t.user {
		return s, Grant{}, session.ErrSignedOut
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

// Transport returns the transport that sends requests to the API of a provider as the person who is signed in to s;
// provider "" is the one of the sign-in. It finds the session anew for each request.
func (a *Connections) Transport(s *session.View, provider, label string) (http.RoundTripper, error) {
	if !s.SignedIn() {
		return nil, session.ErrSignedOut
	}
	if provider == "" {
		provider = s.Meta.Provider
	}
	p := a.Providers[provider]
	if p == nil {
		return nil, notConfigured(provider)
	}
	t := &apiTransport{connections: a, provider: p, label: label, session: s.ID, born: s.Born, user: s.Meta.User}
	if api, ok := p.(providers.API); ok {
		base, origins := api.API()
		t.origins = origins
		t.base, _ = url.Parse(base)
	}
	return t, nil
}
