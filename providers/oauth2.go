package providers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
	"github.com/returnleg/returnleg/providers/internal/judge"
	"github.com/returnleg/returnleg/providers/internal/service"
)

// OAuth2 is a provider that speaks OAuth 2.0 and not OpenID Connect: RFC 6749 with RFC 9700. Identify reads from
// the answer of its API who signed in. [GitHub] and [Vimeo] are OAuth2 values.
//
// Use it as a pointer. Its fields may be changed until it is first used, and not afterwards.
type OAuth2 struct {
	ID           string     // the [Provider]'s Name
	ClientID     string     // as registered
	ClientSecret Secret     // "" for a public client
	AuthMethod   AuthMethod // default [ClientSecretBasic], without a secret [None]

	AuthURL     string // https, or http to loopback; parameters in it are kept
	TokenURL    string // the same
	UserInfoURL string // where Identify's input comes from; "" if it is the token answer itself
	RevokeURL   string // RFC 7009; "" if the provider has none

	// Scopes are always asked for; a flow may add to them.
	Scopes []string

	// Identify finds out from the JSON object that UserInfoURL answered with who signed in. If
	// there is no UserInfoURL, it gets the token answer, without the tokens. It must set Subject
	// to what never changes and is never given to another person: no name, no e-mail address.
	// Issuer and Claims are filled in if it leaves them empty. The default reads the claims of
	// OpenID Connect (sub, email, email_verified, name, preferred_username, picture).
	Identify func(claims json.RawMessage) (Identity, error) `json:"-"`

	// Namespace is what identities have as their Issuer: within it, a Subject is one person. The default
	// is Issuer, and without one the origin of AuthURL. Set it where several providers share an
	// origin, such as the realms of one server: Subject 1 of the one is not Subject 1 of the other, so
	// package middleware refuses to start until each has a name. Any name will do, such as "realm-1": 1 to 255
	// printable characters of ASCII, without spaces and "|". Providers with one Namespace share their people;
	// give two the same only if a Subject is the same person at both. Once set, Identify's Issuer does not
	// count. Changing it later makes everybody a new person.
	Namespace string

	// Issuer is the provider's issuer identifier, exactly as its metadata has it (RFC 8414). If it
	// is set, answers without that very iss parameter are refused (RFC 9207), so set it only for
	// a provider that sends it; and without a Namespace identities have it as their Issuer, instead of the
	// origin of AuthURL. Providers with one Issuer share their people. Changing it later makes everybody a new person.
	Issuer string

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

	// TokenForm also accepts a token answer that is form-encoded. Set it only for a provider that
	// is known to do that.
	TokenForm bool

	// CommaScopes says that scopes in token answers are separated by commas.
	CommaScopes bool

	// SpentCodes are error codes by which this provider says invalid_grant, at any status.
	SpentCodes []string

	setup setup

	revocation *service.Revocation // instead of RFC 7009
}

var (
	_ Provider       = (*OAuth2)(nil)
	_ API            = (*OAuth2)(nil)
	_ Revoker        = (*OAuth2)(nil)
	_ Validator      = (*OAuth2)(nil)
	_ IdentityIssuer = (*OAuth2)(nil)
	_ PublicClient   = (*OAuth2)(nil)
)

// Name returns o.ID.
func (o *OAuth2) Name() string { return o.ID }

// Validate returns every mistake in the fields, joined. It sends nothing.
func (o *OAuth2) Validate() error {
	r := o.registration()
	errs := r.mistakes()
	errs = append(errs, r.endpoint("AuthURL", o.AuthURL, true), r.endpoint("TokenURL", o.TokenURL, true),
		r.endpoint("UserInfoURL", o.UserInfoURL, false), r.endpoint("RevokeURL", o.RevokeURL, false))
	if o.Namespace != "" && !namespace(o.Namespace) {
		errs = append(errs, r.mistake("Namespace", errors.New(`not 1 to 255 printable characters of ASCII without spaces and "|"`)))
	}
	if o.UserInfoURL == "" && o.Identify == nil {
		errs = append(errs, r.mistake("Identify", errors.New("neither it nor UserInfoURL is set: nobody could be recognized")))
	}
	return errors.Join(errs...)
}

// ready returns what the fields amount to.
func (o *OAuth2) ready() (*party, error) {
	return o.setup.ready(o.Validate, func() (*party, error) {
		p := o.registration().party("")
		p.rules.TokenForm, p.rules.CommaScopes, p.rules.Spent = o.TokenForm, o.CommaScopes, o.SpentCodes
		return p, nil
	})
}

// Begin returns the URL that starts f. It sends nothing. A flow that asks for ACR or MaxAge is
// refused with [ErrUnmet]: OAuth 2.0 has no answer that they could be checked in.
func (o *OAuth2) Begin(_ context.Context, f *Flow) (string, error) {
	p, err := o.ready()
	if err != nil {
		return "", err
	}
	if len(f.ACR) > 0 || f.MaxAge > 0 {
		return "", fmt.Errorf("providers: %s: ACR, MaxAge: %w", o.ID, ErrUnmet)
	}
	return p.authURL(o.AuthURL, f, o.scopes(f), false)
}

func (o *OAuth2) scopes(f *Flow) []string {
	return union(o.Scopes, f.Scopes)
}

// union returns always, and what of besides is not in it.
func union(always, besides []string) []string {
	all := slices.Clip(always)
	for _, s := range besides {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// PublicClient implements [PublicClient].
func (o *OAuth2) PublicClient() bool { return o.ClientSecret == "" }

// FormPost implements [FormPoster].
func (o *OAuth2) FormPost() bool { return o.ResponseMode == "form_post" }

// Check judges the answer to f. It sends nothing.
func (o *OAuth2) Check(_ context.Context, f *Flow, answer url.Values) error {
	p, err := o.ready()
	if err != nil {
		return err
	}
	_, err = p.check(f, answer, false, o.expected())
	return err
}

func (o *OAuth2) expected() judge.Expectation {
	return judge.Expectation{Issuer: o.Issuer, Required: o.Issuer != ""}
}

// Finish redeems the answer and asks the provider who signed in: one request to TokenURL, and one to
// UserInfoURL if there is one.
func (o *OAuth2) Finish(ctx context.Context, f *Flow, answer url.Values) (*Token, *Identity, error) {
	p, err := o.ready()
	if err != nil {
		return nil, nil, err
	}
	code, err := p.check(f, answer, false, o.expected())
	if err != nil {
		return nil, nil, err
	}
	t, members, err := p.redeem(ctx, o.TokenURL, f, code, o.scopes(f))
	if err != nil {
		return nil, nil, err
	}
	id, err := o.identity(ctx, p, t, members)
	if err != nil {
		return t, nil, err
	}
	if f.Subject != "" && f.Subject != id.Subject {
		return t, nil, fmt.Errorf("providers: %s: %w: %w", o.ID, ErrToken, ErrSubject)
	}
	return t, id, nil
}

func (o *OAuth2) identity(ctx context.Context, p *party, t *Token, members strictjson.Object) (*Identity, error) {
	var claims json.RawMessage
	var err error
	if o.UserInfoURL != "" {
		_, claims, err = p.userinfo(ctx, o.UserInfoURL, t.Access)
	} else {
		claims, err = withoutTokens(members)
	}
	if err != nil {
		return nil, err
	}
	identify := o.Identify
	if identify == nil {
		identify = standardClaims
	}
	id, err := identify(claims)
	if err != nil {
		return nil, fmt.Errorf("providers: %s: identity: %w: %w", o.ID, ErrToken, err)
	}
	if !grammar.Subject(id.Subject) {
		return nil, fault.Explain(fmt.Errorf("providers: %s: identity: subject: %w", o.ID, ErrToken), "%s", o.nobody(id.Subject))
	}
	if id.Issuer == "" || o.Namespace != "" {
		id.Issuer, _ = o.IdentityIssuer()
	}
	if id.Claims == nil {
		id.Claims = bytes.Clone(claims)
	}
	return &id, nil
}

// nobody says what is wrong with a subject.
func (o *OAuth2) nobody(subject string) string {
	switch {
	case subject != "":
		return "Identify returned a Subject that is blank, too long or has control characters"
	case o.Identify != nil:
		return "Identify returned no Subject"
	}
	return "the answer of " + fault.Bare(o.UserInfoURL) + " has no sub, and there is no Identify to read another member"
}

// IdentityIssuer implements [IdentityIssuer]: Namespace, Issuer, or the origin of AuthURL, which is no name
// that the app has given.
func (o *OAuth2) IdentityIssuer() (issuer string, named bool) {
	if issuer = cmp.Or(o.Namespace, o.Issuer); issuer != "" {
		return issuer, true
	}
	u, err := address.Parse(o.AuthURL)
	if err != nil {
		return "", false
	}
	return address.Origin(u), false
}

// registration returns the fields that both protocols have.
func (o *OAuth2) registration() *registration {
	return &registration{
		id: o.ID, clientID: o.ClientID, secret: o.ClientSecret, method: o.AuthMethod, mode: o.ResponseMode,
		scopes: o.Scopes, authParams: o.AuthParams, tokenParams: o.TokenParams,
		apiBase: o.APIBase, apiOrigins: o.APIOrigins, timeout: o.Timeout,
	}
}

// withoutTokens returns a token answer as something that may be kept as claims.
func withoutTokens(members strictjson.Object) (json.RawMessage, error) {
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		delete(members, name)
	}
	return members.Encode()
}

func standardClaims(claims json.RawMessage) (Identity, error) {
	o, err := strictjson.Parse(string(claims))
	if err != nil {
		return Identity{}, err
	}
	var id Identity
	id.Subject, _ = o.String("sub")
	id.profile(o)
	return id, nil
}

// Refresh trades t for a token that lasts longer: RFC 6749, section 6.
func (o *OAuth2) Refresh(ctx context.Context, t *Token) (*Token, error) {
	p, err := o.ready()
	if err != nil {
		return nil, err
	}
	next, err := p.refresh(ctx, o.TokenURL, t)
	if err != nil {
		return nil, err
	}
	if next.ID == "" {
		next.ID = t.ID
	}
	return next, nil
}

// Revoke asks the provider to forget t. Without a RevokeURL it does nothing.
func (o *OAuth2) Revoke(ctx context.Context, t *Token) error {
	p, err := o.ready()
	if err != nil {
		return err
	}
	if o.revocation != nil {
		return p.revokeBy(ctx, o.revocation, o.APIBase, t)
	}
	if o.RevokeURL == "" {
		return nil
	}
	return p.revoke(ctx, o.RevokeURL, t)
}

// Authorize adds t to r as a bearer token: RFC 6750, section 2.1. A request over plain http to
// anything but loopback is refused with [ErrInsecure].
func (o *OAuth2) Authorize(r *http.Request, t *Token) error { return bearer(o.ID, r, t) }

// API returns APIBase and the origins that get a token.
func (o *OAuth2) API() (base string, origins []string) { return api(o.APIBase, o.APIOrigins) }

func api(base string, origins []string) (string, []string) {
	if origins != nil || base == "" {
		return base, slices.Clone(origins)
	}
	u, err := address.Parse(base)
	if err != nil {
		return base, nil
	}
	return base, []string{address.Origin(u)}
}
