package providertest_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers/providertest"
)

const callback = "https://app.example/auth/practice/callback"

// A party is an independent relying party: x/oauth2 and go-oidc, no code of this project.
type party struct {
	t        *testing.T
	s        *providertest.Server
	ctx      context.Context
	config   oauth2.Config
	provider *oidc.Provider
	verifier string
}

func newParty(t *testing.T, s *providertest.Server, client *http.Client) *party {
	t.Helper()
	ctx := oidc.ClientContext(t.Context(), client)
	p, err := oidc.NewProvider(ctx, s.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	e := p.Endpoint()
	e.AuthStyle = oauth2.AuthStyleInHeader
	return &party{t: t, s: s, ctx: ctx, provider: p, verifier: oauth2.GenerateVerifier(), config: oauth2.Config{
		ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, Endpoint: e,
		RedirectURL: callback, Scopes: []string{"openid", "profile", "email", "videos"},
	}}
}

func (p *party) authURL(more ...oauth2.AuthCodeOption) string {
	return p.config.AuthCodeURL("state-1", append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(p.verifier), oidc.Nonce("nonce-1")}, more...)...)
}

// finish redeems the code of a callback URL and verifies the ID token, as go-oidc's documentation says.
func (p *party) finish(callbackURL string) (*oauth2.Token, *oidc.IDToken, error) {
	p.t.Helper()
	u, err := url.Parse(callbackURL)
	if err != nil {
		p.t.Fatal(err)
	}
	tok, err := p.config.Exchange(p.ctx, u.Query().Get("code"), oauth2.VerifierOption(p.verifier))
	if err != nil {
		return nil, nil, err
	}
	raw, _ := tok.Extra("id_token").(string)
	id, err := p.provider.Verifier(&oidc.Config{ClientID: p.config.ClientID}).Verify(p.ctx, raw)
	return tok, id, err
}

func (p *party) approve(account string, more ...oauth2.AuthCodeOption) string {
	p.t.Helper()
	back, err := p.s.Approve(p.ctx, nil, p.authURL(more...), account)
	if err != nil {
		p.t.Fatal(err)
	}
	return back
}

func TestCodeFlow(t *testing.T) {
	for _, row := range []struct {
		name   string
		listen bool
		cfg    providertest.Config
	}{
		{"in process", false, providertest.Config{}},
		{"over sockets", true, providertest.Config{}},
		{"issuer with a path", false, providertest.Config{Issuer: "https://idp.example/tenant/1"}},
		{"issuer with a path over sockets", true, providertest.Config{Issuer: "/tenant"}},
		{"issuer with a slash at its end", false, providertest.Config{Issuer: "https://idp.example/"}},
		{"ES256", false, providertest.Config{Algorithm: "ES256"}},
		{"EdDSA", false, providertest.Config{Algorithm: "EdDSA"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s *providertest.Server
			client := http.DefaultClient
			if row.listen {
				s = providertest.NewServer(t, row.cfg)
			} else {
				s = providertest.New(row.cfg)
				client = s.Client()
			}
			p := newParty(t, s, client)
			back := p.approve("ada")
			if q := back[len(callback):]; back[:len(callback)] != callback || q[0] != '?' {
				t.Fatalf("callback: got %s", back)
			}
			tok, id, err := p.finish(back)
			if err != nil {
				t.Fatal(err)
			}
			if err := id.VerifyAccessToken(tok.AccessToken); err != nil {
				t.Errorf("at_hash: %v", err)
			}
			if got, want := id.Subject, "practice-ada"; got != want {
				t.Errorf("sub: got %q, want %q", got, want)
			}
			if got, want := id.Nonce, "nonce-1"; got != want {
				t.Errorf("nonce: got %q, want %q", got, want)
			}
			info, err := p.provider.UserInfo(p.ctx, oauth2.StaticTokenSource(tok))
			if err != nil {
				t.Fatal(err)
			}
			if info.Subject != id.Subject || info.Email != "ada@practice.example" || !info.EmailVerified {
				t.Errorf("userinfo: got %+v", info)
			}
			fresh, err := p.config.TokenSource(p.ctx, &oauth2.Token{RefreshToken: tok.RefreshToken}).Token()
			if err != nil {
				t.Fatal(err)
			}
			if fresh.RefreshToken == tok.RefreshToken || fresh.AccessToken == tok.AccessToken {
				t.Error("a refresh did not rotate")
			}
			l := s.Ledger()
			if got, want := l.Count("token"), 2; got != want {
				t.Errorf("token requests: got %d, want %d", got, want)
			}
			if got := l.Redeems()[0]; got.Auth != "client_secret_basic" || got.Client != providertest.ClientID || got.Form.Get("redirect_uri") != callback || got.Status != 200 {
				t.Errorf("token request: got %+v", got)
			}
			if len(l.Codes) != 1 || l.Codes[0].Sent != 1 || l.Codes[0].Redeemed != 1 || len(l.Repeated()) != 0 {
				t.Errorf("codes: got %+v", l.Codes)
			}
		})
	}
}
