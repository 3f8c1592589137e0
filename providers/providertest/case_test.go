package providertest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers/providertest"
)

// peers is what x/oauth2 and go-oidc, used as documented, make of the cases that they take otherwise
// than the table says. Each is one that a party has to look after itself.
var peers = map[string]providertest.Outcome{
	"oidcc-client-test-missing-iat":                                  providertest.SignedIn,
	"fapi2-security-profile-final-client-test-invalid-secondary-aud": providertest.SignedIn,
	"70 token_type missing":                                          providertest.SignedIn,
	"72 access_token twice":                                          providertest.SignedIn,
	"72 id_token twice":                                              providertest.SignedIn,
	"72 ACCESS_TOKEN":                                                providertest.SignedIn,
	"72 long s in access_token":                                      providertest.SignedIn,
	"85 aud us and another, no azp":                                  providertest.SignedIn,
	"85 aud us and another, azp another":                             providertest.SignedIn,
	"85 azp of another client":                                       providertest.SignedIn,
	"86 exp a string":                                                providertest.SignedIn,
	"86 iat missing":                                                 providertest.SignedIn,
	"86 iat 10 minutes ahead":                                        providertest.SignedIn,
	"88 nonce twice":                                                 providertest.SignedIn,
	"91 typ at+jwt":                                                  providertest.SignedIn,
	"91 typ logout+jwt":                                              providertest.SignedIn,
	"92 white space":                                                 providertest.SignedIn,
	"92 JSON serialization":                                          providertest.SignedIn,
	"118 refreshed ID token: iat before the first one":               providertest.SignedIn,
	"118 refreshed ID token: nonce of another sign-in":               providertest.SignedIn,
	"101 discovery gzip bomb":                                        providertest.SignedIn,
	"101 keys gzip bomb":                                             providertest.SignedIn,
	"Q discovery behind a redirect to the same host":                 providertest.Refused, // the client here follows none
	"102 only keys for encryption":                                   providertest.SignedIn,
	"102 a broken key beside ours":                                   providertest.Refused,
	"102 a point off the curve beside ours":                          providertest.Refused,
}

func TestCases(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range slices.Concat(providertest.Conformance(), providertest.Attacks(), providertest.Quirks()) {
		if seen[c.Name] {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		if strings.Contains(c.Name, "200 MB") && c.ID != "73" {
			continue // go-oidc reads without end; TestProvidersInCases has them
		}
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := providertest.New(providertest.Config{Algorithm: c.Algorithm, Behavior: c.Behavior})
				got := signIn(t, s, c.Rotate)
				want := c.Outcome
				if o, ok := peers[c.Name]; ok {
					want = o
				}
				if !want.Allows(got) {
					t.Errorf("got %v, want %v", got, want)
				}
				l := s.Ledger()
				if len(l.Repeated()) > 0 {
					t.Errorf("a code was sent twice: %+v", l.Codes)
				}
				// go-oidc goes wherever the metadata says.
				if n := l.Count("elsewhere"); n > 0 && c.ID != "99" {
					t.Errorf("%d requests elsewhere", n)
				}
				if n := l.Count("token"); n > 0 && (want == providertest.Unredeemed || want == providertest.Declined) {
					t.Errorf("%d token requests", n)
				}
			})
		})
	}
	for name := range peers {
		if !seen[name] {
			t.Errorf("no case is called %q", name)
		}
	}
}

// signIn is a whole visit by a careful party: it checks the answer itself, and leaves the rest to
// x/oauth2 and go-oidc.
func signIn(t *testing.T, s *providertest.Server, again bool) providertest.Outcome {
	client := s.Client()
	client.Timeout = 10 * time.Second
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx := oidc.ClientContext(t.Context(), client)
	provider, err := oidc.NewProvider(ctx, s.Issuer())
	if err != nil {
		return providertest.Refused
	}
	e := provider.Endpoint()
	e.AuthURL, e.AuthStyle = s.URL("/authorize"), oauth2.AuthStyleInHeader
	p := &party{t: t, s: s, ctx: ctx, provider: provider, verifier: oauth2.GenerateVerifier(), config: oauth2.Config{
		ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, Endpoint: e,
		RedirectURL: callback, Scopes: []string{"openid", "profile", "email", "videos"},
	}}
	got := p.visit()
	if again && got == providertest.SignedIn {
		s.RotateKey()
		got = p.visit()
	}
	return got
}

func (p *party) visit() providertest.Outcome {
	back := p.approve("ada")
	u, err := url.Parse(back)
	if err != nil {
		return providertest.Unredeemed
	}
	q := u.Query()
	for _, name := range []string{"code", "state", "iss", "error"} {
		if len(q[name]) > 1 {
			return providertest.Unredeemed
		}
	}
	if q.Get("state") != "state-1" || !p.s.Behavior().OmitIss && q.Get("iss") != p.s.Issuer() || q.Has("error") == (q.Get("code") != "") {
		return providertest.Unredeemed
	}
	if q.Has("error") {
		return providertest.Declined
	}
	tok, id, err := p.finish(back)
	if err != nil || id.Nonce != "nonce-1" {
		return providertest.Refused
	}
	if id.AccessTokenHash != "" && id.VerifyAccessToken(tok.AccessToken) != nil {
		return providertest.Refused
	}
	info, err := p.provider.UserInfo(p.ctx, oauth2.StaticTokenSource(tok))
	if err != nil || info.Subject != id.Subject {
		return providertest.Refused
	}
	fresh, err := p.config.TokenSource(p.ctx, &oauth2.Token{RefreshToken: tok.RefreshToken}).Token()
	if err != nil {
		return providertest.RefreshRefused
	}
	raw, ok := fresh.Extra("id_token").(string)
	if !ok {
		return providertest.SignedIn
	}
	synctest.Wait() // go-oidc may still be putting the keys away that it fetched for the first token
	renewed, err := p.provider.Verifier(&oidc.Config{ClientID: p.config.ClientID}).Verify(p.ctx, raw)
	if err != nil || renewed.Subject != id.Subject {
		return providertest.RefreshRefused
	}
	return providertest.SignedIn
}

func TestConformanceCase(t *testing.T) {
	c, ok := providertest.ConformanceCase("oidcc-client-test-nonce-invalid")
	if !ok || c.ID != "B12" || c.Outcome != providertest.Refused {
		t.Errorf("got %+v, %v", c, ok)
	}
	if _, ok := providertest.ConformanceCase("no-such-module"); ok {
		t.Error("found a module that is none")
	}
}
