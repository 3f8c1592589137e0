package providers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/discovery"
	"github.com/returnleg/returnleg/providers/internal/idtoken"
	"github.com/returnleg/returnleg/providers/internal/judge"
)

// OIDC is a provider that speaks OpenID Connect Core 1.0 and publishes its metadata. [Google] is an
// OIDC value. A usable one is:
//
//	&providers.OIDC{ID: "corp", Issuer: "https://id.example.com", ClientID: "app", ClientSecret: secret}
//
// The metadata and the keys are fetched when they are first needed, by one request for all who wait,
// and kept: for an hour they are used as they are, then renewed in the background; a copy that cannot
// be renewed is used for a day. A signature that no key of the copy has made is a reason to ask at once, also
// where the key that it names is there, and then no sooner than after a minute, or after seconds if that failed.
// A program starts while its provider is down.
//
// An ID token that Finish accepts was signed by a published key of the provider with a pinned
// algorithm, and issued by it, for this app, now, and for this flow: OpenID Connect Core 1.0, section
// 3.1.3.7, without its exceptions.
//
// People are known by Issuer and subject: several registrations at one issuer share them. Where an
// issuer gives each registration subjects of its own ("pairwise"), they are as many people.
//
// Use it as a pointer. Its fields may be changed until it is first used, and not afterwards.
type OIDC struct {
	ID           string     // the [Provider]'s Name
	Issuer       string     // exactly as the metadata has it, to the last slash; https, or http to loopback
	ClientID     string     // as registered
	ClientSecret Secret     // "" for a public client
	AuthMethod   AuthMethod // default [ClientSecretBasic] or what the metadata has instead; without a secret [None]

	// Scopes are always asked for; a flow may add to them. The default is openid, profile and
	// email; openid is always added.
	Scopes []string

	// Algorithms are the only ones that ID tokens may be signed with, such as "RS256". The default
	// is what the metadata names when it is first read, out of RS, PS and ES 256, 384, 512 and
	// EdDSA, and RS256 if it names none of them: what it says later changes nothing. There is no
	// way to accept "none" or a symmetric algorithm.
	Algorithms []string

	// TrustedAudiences may stand beside ClientID in the aud claim. An ID token with any other
	// audience is refused.
	TrustedAudiences []string

	// Skew is how far the provider's clock may be off. Default 60 s, at most 5 min; negative is none.
	Skew time.Duration

	// UserInfo also asks the userinfo endpoint at each sign-in, for claims that the provider
	// leaves out of the ID token. It is a second request in the way of the person who signs in,
	// and a second thing that can fail: leave it off if the ID token has what the app needs.
	UserInfo bool

	// APIBase is what relative URLs of API requests are resolved against. APIOrigins are the only
	// origins that get a token; nil is the origin of APIBase.
	APIBase    string
	APIOrigins []string

	// AuthParams and TokenParams are added to authorization and token requests, where a provider
	// needs more than the standard, such as audience. None overrides a parameter of the protocol.
	AuthParams  url.Values
	TokenParams url.Values

	// ResponseMode is "" (the answer comes in the query) or "form_post".
	ResponseMode string

	// Timeout bounds each call to the provider, from dialing to the last byte. Default 10 s.
	Timeout time.Duration

	setup    setup
	metadata discovery.Document[*discovery.Metadata]
	keys     discovery.Document[*idtoken.KeySet]

	pin        sync.Once
	algorithms []string
}

var (
	_ Provider       = (*OIDC)(nil)
	_ API            = (*OIDC)(nil)
	_ Revoker        = (*OIDC)(nil)
	_ Informer       = (*OIDC)(nil)
	_ Validator      = (*OIDC)(nil)
	_ IdentityIssuer = (*OIDC)(nil)
	_ PublicClient   = (*OIDC)(nil)
	_ Clocked        = (*OIDC)(nil)
)

const (
	defaultSkew = time.Minute
	maxSkew     = 5 * time.Minute
)

// Name returns o.ID.
func (o *OIDC) Name() string { return o.ID }

// Validate returns every mistake in the fields, joined. It sends nothing.
func (o *OIDC) Validate() error {
	r := o.registration()
	errs := append(r.mistakes(), r.endpoint("Issuer", o.Issuer, true))
	if strings.Contains(o.Issuer, "?") {
		errs = append(errs, r.mistake("Issuer", errors.New("has a query")))
	}
	for _, alg := range o.Algorithms {
		if !slices.Contains(idtoken.Asymmetric, alg) {
			errs = append(errs, r.mistake("Algorithms", errors.New("not one of "+strings.Join(idtoken.Asymmetric, ", "))))
		}
	}
	if o.Skew > maxSkew {
		errs = append(errs, r.mistake("Skew", fmt.Errorf("more than %v", maxSkew)))
	}
	return errors.Join(errs...)
}

// ready returns what the fields amount to, before the metadata adds to it.
func (o *OIDC) ready() (*party, error) {
	return o.setup.ready(o.Validate, func() (*party, error) {
		issuer, err := address.Parse(o.Issuer)
		if err != nil {
			return nil, err
		}
		return o.registration().party(issuer.Hostname()), nil
	})
}

// known returns the party as the metadata completes it, and the metadata.
func (o *OIDC) known(ctx context.Context) (*party, *discovery.Metadata, error) {
	p, err := o.ready()
	if err != nil {
		return nil, nil, err
	}
	m, err := o.metadata.Load(ctx, func(ctx context.Context) (*discovery.Metadata, error) {
		return discovery.Fetch(ctx, p.Client, o.Issuer)
	})
	if err != nil {
		return nil, nil, err
	}
	o.pin.Do(func() { o.algorithms = idtoken.Algorithms(o.Algorithms, m.Algorithms) })
	if o.AuthMethod != "" || o.ClientSecret == "" || !m.OnlyPost {
		return p, m, nil
	}
	return p.by(ClientSecretPost), m, nil
}

// Begin returns the URL that starts f. It reads the metadata if it has no copy of it.
func (o *OIDC) Begin(ctx context.Context, f *Flow) (string, error) {
	p, m, err := o.known(ctx)
	if err != nil {
		return "", err
	}
	return p.authURL(m.Authorization, f, o.scopes(f), true)
}

var defaultScopes = []string{"openid", "profile", "email"}

func (o *OIDC) scopes(f *Flow) []string {
	always := o.Scopes
	if always == nil {
		always = defaultScopes
	}
	if !slices.Contains(always, "openid") {
		always = union([]string{"openid"}, always)
	}
	return union(always, f.Scopes)
}

// IdentityIssuer implements [IdentityIssuer]: it is Issuer, which the app has named.
func (o *OIDC) IdentityIssuer() (issuer string, named bool) { return o.Issuer, true }

// UserInfoURL implements [Informer]: it is in the metadata.
func (o *OIDC) UserInfoURL(ctx context.Context) (string, error) {
	_, m, err := o.known(ctx)
	if err != nil {
		return "", err
	}
	return m.UserInfo, nil
}

// PublicClient implements [PublicClient].
func (o *OIDC) PublicClient() bool { return o.ClientSecret == "" }

// FormPost implements [FormPoster].
func (o *OIDC) FormPost() bool { return o.ResponseMode == "form_post" }

// Check judges the answer to f. It reads the metadata if it has no copy of it, to know whether the
// answer must name its issuer.
func (o *OIDC) Check(ctx context.Context, f *Flow, answer url.Values) error {
	p, m, err := o.known(ctx)
	if err != nil {
		return err
	}
	_, err = p.check(f, answer, true, judge.Expectation{Issuer: o.Issuer, Required: m.NamesIssuer})
	return err
}

// Finish redeems the answer and verifies the ID token: one request to the token endpoint, one for the
// keys if there is no copy of them, and one to the userinfo endpoint if o.UserInfo is set.
func (o *OIDC) Finish(ctx context.Context, f *Flow, answer url.Values) (*Token, *Identity, error) {
	p, m, err := o.known(ctx)
	if err != nil {
		return nil, nil, err
	}
	code, err := p.check(f, answer, true, judge.Expectation{Issuer: o.Issuer, Required: m.NamesIssuer})
	if err != nil {
		return nil, nil, err
	}
	t, _, err := p.redeem(ctx, m.Token, f, code, o.scopes(f))
	if err != nil {
		return nil, nil, err
	}
	id, err := o.identity(ctx, p, m, f, t)
	if err != nil {
		return t, nil, err
	}
	return t, id, nil
}

// identity verifies the ID token of t against f, and completes t by it.
func (o *OIDC) identity(ctx context.Context, p *party, m *discovery.Metadata, f *Flow, t *Token) (*Identity, error) {
	now := time.Now()
	v, err := o.verify(ctx, p, m, t, now)
	if err != nil {
		return nil, err
	}
	if err := answers(v, f, now, o.skew()); err != nil {
		return nil, o.refused(err)
	}
	t.Issuer, t.Subject, t.Session = o.Issuer, v.Subject, v.Session
	id := &Identity{Issuer: o.Issuer, Subject: v.Subject, AuthTime: v.AuthTime, ACR: v.ACR}
	id.profile(v.Claims)
	claims := v.Claims
	if o.UserInfo && m.UserInfo != "" {
		info, _, err := p.userinfo(ctx, m.UserInfo, t.Access)
		if err != nil {
			return nil, err
		}
		// "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub
		// Claim in the ID Token; if they do not match, the UserInfo Response values MUST NOT be
		// used." OpenID Connect Core 1.0, section 5.3.2.
		if sub, ok := info.String("sub"); !ok || sub != v.Subject {
			return nil, p.badProfile("sub")
		}
		id.profile(info)
		claims = merged(info, v.Claims)
	}
	id.Claims = idtoken.Encode(claims)
	return id, nil
}

// merged returns the members of both; those of the signed object win.
func merged(unsigned, signed strictjson.Object) strictjson.Object {
	for name, value := range signed {
		unsigned[name] = value
	}
	return unsigned
}

// verify verifies the ID token of t, but for what depends on a flow.
func (o *OIDC) verify(ctx context.Context, p *party, m *discovery.Metadata, t *Token, now time.Time) (*idtoken.Token, error) {
	verifier := idtoken.Verifier{
		Issuer: o.Issuer, ClientID: o.ClientID, TrustedAudiences: o.TrustedAudiences, Skew: o.skew(),
		Keys: idtoken.Keys{Call: p.Client, URL: m.Keys, Algorithms: o.algorithms, Copy: &o.keys},
	}
	v, err := verifier.Verify(ctx, t.ID, t.Access, now)
	if err != nil {
		return nil, o.refused(err)
	}
	return v, nil
}

// Refresh trades t for a token that lasts longer. An ID token that comes with it is verified like the
// first one, and must be of the same person: OpenID Connect Core 1.0, section 12.2. If it is not, the
// error is [ErrToken], and [ErrSubject] if it is signed and has another issuer or subject. A token of
// another issuer than o's, as there is after o.Issuer was changed, is sent nowhere: [ErrNoRefresh].
func (o *OIDC) Refresh(ctx context.Context, t *Token) (*Token, error) {
	if t.Refresh == "" || t.Issuer != "" && t.Issuer != o.Issuer {
		return nil, ErrNoRefresh
	}
	p, m, err := o.known(ctx)
	if err != nil {
		return nil, err
	}
	next, err := p.refresh(ctx, m.Token, t)
	if err != nil {
		return nil, err
	}
	if next.ID == "" {
		next.ID = t.ID
		return next, nil
	}
	v, err := o.verify(ctx, p, m, next, time.Now())
	if errors.Is(err, ErrUnavailable) {
		// Its keys cannot be had. A refresh need not bring an ID token (OpenID Connect Core 1.0,
		// section 12.2), so this one counts as not brought: what was rotated must not be lost.
		next.ID = t.ID
		return next, nil
	}
	if errors.Is(err, idtoken.ErrIssuer) {
		// A subject is somebody only together with its issuer.
		return nil, fmt.Errorf("%w: %w", err, ErrSubject)
	}
	if err != nil {
		return nil, err
	}
	if err := continues(v, t, o.skew()); err != nil {
		return nil, o.refused(err)
	}
	if v.Session != "" {
		next.Session = v.Session
	}
	next.Issuer, next.Subject = o.Issuer, v.Subject
	return next, nil
}

// Revoke asks the provider to forget t, if its metadata names a revocation endpoint.
func (o *OIDC) Revoke(ctx context.Context, t *Token) error {
	p, m, err := o.known(ctx)
	if err != nil {
		return err
	}
	if m.Revocation == "" {
		return nil
	}
	return p.revoke(ctx, m.Revocation, t)
}

// Authorize adds t to r as a bearer token: RFC 6750, section 2.1. A request over plain http to
// anything but loopback is refused with [ErrInsecure].
func (o *OIDC) Authorize(r *http.Request, t *Token) error { return bearer(o.ID, r, t) }

// API returns APIBase and the origins that get a token.
func (o *OIDC) API() (base string, origins []string) { return api(o.APIBase, o.APIOrigins) }

// ClockSkew implements [Clocked]: Skew, or its default.
func (o *OIDC) ClockSkew() time.Duration { return o.skew() }

func (o *OIDC) skew() time.Duration {
	if o.Skew == 0 {
		return defaultSkew
	}
	return max(o.Skew, 0)
}

func (o *OIDC) refused(err error) error {
	return fmt.Errorf("providers: %s: ID token: %w", o.ID, err)
}

// registration returns the fields that both protocols have.
func (o *OIDC) registration() *registration {
	return &registration{
		id: o.ID, clientID: o.ClientID, secret: o.ClientSecret, method: o.AuthMethod, mode: o.ResponseMode,
		scopes: o.Scopes, authParams: o.AuthParams, tokenParams: o.TokenParams,
		apiBase: o.APIBase, apiOrigins: o.APIOrigins, timeout: o.Timeout,
	}
}
