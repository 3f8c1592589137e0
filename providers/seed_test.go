package providers_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// What people did with Flask-OAuth (F), requests-oauthlib (R) and streamlit-oauth (S) that is about the
// provider alone, by the rows of their check lists.

// A provider is a value: nothing has to be registered for it to work. Each endpoint gets what is its.
func TestSeed_F2_F4_F11_F21_R1_S1_fields(t *testing.T) {
	s := providertest.New(providertest.Config{Clients: []providertest.Client{{ID: "app", Secret: "app-secret", Auth: "client_secret_post"}}})
	p := &providers.OAuth2{
		ID:           "practice",
		ClientID:     "app",        // consumer_key, client_id
		ClientSecret: "app-secret", // consumer_secret, client_secret
		AuthMethod:   providers.ClientSecretPost,
		AuthURL:      s.URL("/authorize"), // authorize_url, authorize_endpoint
		TokenURL:     s.URL("/token"),     // access_token_url, token_endpoint, refresh_token_endpoint
		RevokeURL:    s.URL("/revoke"),    // revoke_token_endpoint
		UserInfoURL:  s.URL("/userinfo"),
		APIBase:      s.URL("/"),                          // base_url
		Scopes:       []string{"openid"},                  // scope
		AuthParams:   url.Values{"access_type": {"x"}},    // request_token_params, extras_params
		TokenParams:  url.Values{"audience": {"the-api"}}, // access_token_params, auto_refresh_kwargs
	}
	ctx := with(t.Context(), s.Transport())
	f := newFlow()
	f.Extra = url.Values{"owner": {"user"}} // of this flow only
	to, err := p.Begin(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.Approve(ctx, nil, to, "ada")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	tok, id, err := p.Finish(ctx, f, u.Query())
	if err != nil {
		t.Fatal(err)
	}
	if tok.Access == "" || id.Subject != "practice-ada" {
		t.Errorf("identity: got %q", id.Subject)
	}
	if err := p.Revoke(ctx, tok); err != nil {
		t.Error(err)
	}
	l := s.Ledger()
	if q := l.Of("authorize")[0].Query; q.Get("access_type") != "x" || q.Get("owner") != "user" || q.Get("scope") != "openid" || q.Get("client_id") != "app" {
		t.Errorf("authorization request: got %v", sortedKeys(q))
	}
	r := l.Of("token")[0]
	if r.Method != http.MethodPost || len(r.Query) > 0 || r.Form.Get("audience") != "the-api" || r.Form.Get("client_secret") != "app-secret" || r.Form.Get("redirect_uri") != callback {
		t.Errorf("token request: got %s with %v", r.Method, sortedKeys(r.Form))
	}
	if l.Count("userinfo") != 1 || l.Count("revoke") == 0 {
		t.Errorf("requests: got %d of userinfo, %d of revoke", l.Count("userinfo"), l.Count("revoke"))
	}
}

// The secret goes where the registration says, and never into a URL.
func TestSeed_F22_R6_S3_authMethods(t *testing.T) {
	for _, row := range []struct {
		name       string
		method     providers.AuthMethod
		secret     providers.Secret
		basic      bool
		form, want string // the form's client_secret and client_id
	}{
		{"S3 default", "", "s", true, "", ""},
		{"S3 basic", providers.ClientSecretBasic, "s", true, "", ""},
		{"S3 post", providers.ClientSecretPost, "s", false, "s", "app"},
		{"R6 no secret: a public client", "", "", false, "", "app"},
		{"R6 none", providers.None, "", false, "", "app"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			s.answers["POST id.example/revoke"] = always(200, "", "")
			p.AuthMethod, p.ClientSecret, p.RevokeURL = row.method, row.secret, "https://id.example/revoke"
			ctx := with(t.Context(), s)
			tok, _, err := p.Finish(ctx, newFlow(), good())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Revoke(ctx, tok); err != nil {
				t.Fatal(err)
			}
			for i, r := range s.sent {
				if r.URL.RawQuery != "" {
					t.Errorf("%s %s has a query", r.Method, r.URL.Path)
				}
				if r.Method != http.MethodPost {
					continue
				}
				_, _, basic := r.BasicAuth()
				if f := s.forms[i]; basic != row.basic || f.Get("client_secret") != row.form || f.Get("client_id") != row.want || f.Has("client_secret") != (row.form != "") {
					t.Errorf("%s: basic %v, form %v", r.URL.Path, basic, sortedKeys(f))
				}
			}
		})
	}
}

// The body is not kept, and what a provider writes is not the error's text.
func TestSeed_F23_refusal(t *testing.T) {
	p, s := tokenServer(always(400, "application/json", `{"error":"invalid_grant","error_description":"code was used","error_uri":"https://id.example/e"}`))
	_, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
	e := refused(t, err, "invalid_grant", 400)
	if e.Provider != "practice" || e.Endpoint != "token" || e.Description != "code was used" || e.URI != "https://id.example/e" {
		t.Errorf("error: got %q of %q with %q", e.Endpoint, e.Provider, e.Description)
	}
	if strings.Contains(err.Error(), "code was used") {
		t.Error("the error's text has the provider's")
	}
}

func TestSeed_F24_formats(t *testing.T) {
	const form = "access_token=a&token_type=bearer&expires_in=60"
	for _, row := range []struct {
		name, contentType, body string
		declared                bool // TokenForm
		ok                      bool
	}{
		{"JSON", "application/json", fine, false, true},
		{"JSON of its own kind", "application/vnd.vimeo.user+json; charset=utf-8", fine, false, true},
		{"form", "application/x-www-form-urlencoded", form, true, true},
		{"form as text, as Facebook's was", "text/plain; charset=UTF-8", form, true, true},
		{"form that is not declared", "application/x-www-form-urlencoded", form, false, false},
		{"unknown type is not taken for a form", "application/octet-stream", form, true, false},
		{"JavaScript", "text/javascript", fine, false, false},
		{"XML", "application/xml", "<access_token>a</access_token>", true, false},
		{"no type", "", fine, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, row.contentType, row.body))
			p.TokenForm = row.declared
			tok, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok || row.ok && tok.Access != "a" {
				t.Fatalf("Finish: got %v, want success: %v", err, row.ok)
			}
			if !row.ok {
				is(t, err, providers.ErrToken)
			}
		})
	}
}

// What the compliance fixes mend, as far as it needs no code here.
func TestSeed_compliance(t *testing.T) {
	for _, row := range []struct {
		name, body string
		set        func(*providers.OAuth2)
		expires    time.Duration // 0: unknown
		scopes     string
	}{
		{"Mailchimp: scope null, expires_in 0", `{"access_token":"a","token_type":"bearer","scope":null,"expires_in":0}`, func(*providers.OAuth2) {}, 0, ""},
		{"GitHub: scopes with commas", `{"access_token":"a","token_type":"bearer","scope":"repo,gist"}`, func(p *providers.OAuth2) { p.CommaScopes = true }, 0, "repo gist"},
		{"expires_in as text", `{"access_token":"a","token_type":"bearer","expires_in":"3600"}`, func(*providers.OAuth2) {}, time.Hour, ""},
		{"any case of the type", `{"access_token":"a","token_type":"BEARER"}`, func(*providers.OAuth2) {}, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", row.body))
			row.set(p)
			before := time.Now()
			tok, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(tok.Scopes, " "); got != row.scopes {
				t.Errorf("scopes: got %q, want %q", got, row.scopes)
			}
			if row.expires == 0 && !tok.Expiry.IsZero() || row.expires > 0 && tok.Expiry.Sub(before) < row.expires {
				t.Errorf("expiry: got %v", tok.Expiry)
			}
		})
	}
}

// S256, always: a challenge that is the verifier itself protects from nobody who sees the URL.
func TestSeed_R2_R3_R4_authorizationURL(t *testing.T) {
	f := newFlow()
	f.State = "of-my-own"
	weak, _ := tokenServer(nil)
	weak.AuthParams = url.Values{"code_challenge_method": {"plain"}}
	if _, err := weak.Begin(t.Context(), f); err == nil {
		t.Error("AuthParams may choose the method")
	}
	p, s := tokenServer(always(200, "application/json", fine))
	p.AuthParams = url.Values{"prompt": {"consent"}}
	to, err := p.Begin(with(t.Context(), s), f)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("state") != "of-my-own" || q.Get("prompt") != "consent" {
		t.Errorf("state %q, prompt %q", q.Get("state"), q.Get("prompt"))
	}
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") != oauth2.S256ChallengeFromVerifier(verifier) {
		t.Errorf("challenge %q by %q", q.Get("code_challenge"), q.Get("code_challenge_method"))
	}
	if _, _, err := p.Finish(with(t.Context(), s), f, good("state", "of-my-own")); err != nil {
		t.Fatal(err)
	}
	if got := s.forms[0].Get("code_verifier"); got != verifier {
		t.Errorf("verifier %q", got)
	}
}

// Time limits, proxies, roots and certificates are those of the client that ctx carries.
func TestSeed_R5_clientCertificate(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/me" {
			_, _ = io.WriteString(w, `{"sub":"ada"}`)
			return
		}
		_, _ = io.WriteString(w, fine)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	for name, certificates := range map[string][]tls.Certificate{"with": server.TLS.Certificates, "without": nil} {
		t.Run(name, func(t *testing.T) {
			p, _ := tokenServer(nil)
			p.TokenURL, p.UserInfoURL = server.URL+"/token", server.URL+"/me"
			transport := server.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = certificates
			defer transport.CloseIdleConnections()
			tok, _, err := p.Finish(with(t.Context(), transport), newFlow(), good())
			if certificates == nil {
				is(t, err, providers.ErrUnavailable)
				return
			}
			if err != nil || tok.Access != "a" {
				t.Errorf("Finish: %v", err)
			}
		})
	}
}

func TestSeed_R7_R8_answers(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer url.Values
		want   error  // nil: an [*providers.Error]
		code   string // of that
	}{
		{"R7 MismatchingStateError", good("state", "another"), providers.ErrAnswer, ""},
		{"R7 state is missing", good("state", ""), providers.ErrAnswer, ""},
		{"R7 MissingCodeError", good("code", ""), providers.ErrAnswer, ""},
		{"R7 access_denied", good("code", "", "error", "access_denied"), nil, "access_denied"},
		{"R7 invalid_scope", good("code", "", "error", "invalid_scope"), nil, "invalid_scope"},
		{"R8 token of the implicit flow", good("code", "", "access_token", "a", "token_type", "bearer"), providers.ErrAnswer, ""},
		{"R8 token beside a code", good("access_token", "a"), providers.ErrAnswer, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			ctx := with(t.Context(), s)
			err := p.Check(ctx, newFlow(), row.answer)
			_, _, finishErr := p.Finish(ctx, newFlow(), row.answer)
			for _, err := range []error{err, finishErr} {
				if row.want != nil {
					is(t, err, row.want)
					continue
				}
				refused(t, err, row.code, 0)
			}
			if len(s.sent) > 0 {
				t.Errorf("requests: got %d, want none", len(s.sent))
			}
		})
	}
}

// Refresh asks whenever it is called, keeps the refresh token that no answer replaces, and sends the
// parameters that the provider wants.
func TestSeed_R9_S9_refresh(t *testing.T) {
	for _, row := range []struct{ name, body, want string }{
		{"keeps the old one", `{"access_token":"b","token_type":"bearer"}`, "r-1"},
		{"takes the new one", `{"access_token":"b","token_type":"bearer","refresh_token":"r-2"}`, "r-2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", row.body))
			p.TokenParams = url.Values{"audience": {"the-api"}}
			t0 := &providers.Token{Access: "a", Refresh: "r-1", Expiry: time.Now().Add(time.Hour)} // not expired: forced
			next, err := p.Refresh(with(t.Context(), s), t0)
			if err != nil {
				t.Fatal(err)
			}
			if next.Access != "b" || next.Refresh != row.want {
				t.Errorf("refresh token: got %q, want %q", next.Refresh, row.want)
			}
			want := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"r-1"}, "audience": {"the-api"}}
			if got := s.forms[0]; got.Encode() != want.Encode() {
				t.Errorf("form: got %v", sortedKeys(got))
			}
		})
	}
	p, s := tokenServer(always(200, "application/json", fine))
	_, err := p.Refresh(with(t.Context(), s), &providers.Token{Access: "a"})
	is(t, err, providers.ErrNoRefresh)
}

// Plain http ends before the network, and no switch of the process changes that.
func TestSeed_R17_R18_insecure(t *testing.T) {
	t.Setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
	tok := &providers.Token{Access: "a", Refresh: "r", Type: "Bearer"}
	for _, row := range []struct {
		name string
		set  func(*providers.OAuth2)
		call func(ctx context.Context, p *providers.OAuth2) error
	}{
		{"fetch_token", func(p *providers.OAuth2) { p.TokenURL = "http://id.example/token" }, func(ctx context.Context, p *providers.OAuth2) error {
			_, _, err := p.Finish(ctx, newFlow(), good())
			return err
		}},
		{"refresh_token", func(p *providers.OAuth2) { p.TokenURL = "http://id.example/token" }, func(ctx context.Context, p *providers.OAuth2) error {
			_, err := p.Refresh(ctx, tok)
			return err
		}},
		{"revoke_token", func(p *providers.OAuth2) { p.RevokeURL = "http://id.example/revoke" }, func(ctx context.Context, p *providers.OAuth2) error {
			return p.Revoke(ctx, tok)
		}},
		{"request", func(*providers.OAuth2) {}, func(_ context.Context, p *providers.OAuth2) error {
			r := httptest.NewRequest(http.MethodGet, "http://api.example/me", nil)
			err := p.Authorize(r, tok)
			if r.Header.Get("Authorization") != "" {
				return errors.New("the token is in the request")
			}
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			row.set(p)
			is(t, row.call(with(t.Context(), s), p), providers.ErrInsecure)
			if len(s.sent) > 0 {
				t.Errorf("requests: got %d, want none", len(s.sent))
			}
		})
	}
	t.Run("R18 loopback", func(t *testing.T) {
		p, s := tokenServer(nil)
		s.answers["POST 127.0.0.1:9000/token"] = always(200, "application/json", fine)
		p.TokenURL = "http://127.0.0.1:9000/token"
		_, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
		is(t, err, nil)
	})
}

// Revocation says whether it worked.
func TestSeed_S10_revoke(t *testing.T) {
	for _, row := range []struct {
		name   string
		status int
		want   bool
	}{{"revoked", 200, true}, {"down", 503, false}, {"refused", 400, false}} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(nil)
			s.answers["POST id.example/revoke"] = always(row.status, "application/json", "{}")
			p.RevokeURL = "https://id.example/revoke"
			err := p.Revoke(with(t.Context(), s), &providers.Token{Access: "a", Refresh: "r"})
			if (err == nil) != row.want {
				t.Errorf("Revoke: got %v, want success: %v", err, row.want)
			}
			var hints []string
			for _, f := range s.forms {
				hints = append(hints, f.Get("token_type_hint"))
			}
			if len(hints) == 0 || hints[0] != "refresh_token" || row.want && !slices.Contains(hints, "access_token") {
				t.Errorf("hints: got %v", hints)
			}
		})
	}
}

func TestSeed_S11_registrations(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(*providers.OAuth2)
		want url.Values // beside what is always there
	}{
		{"Yandex: no scope", func(*providers.OAuth2) {}, url.Values{}},
		{"Discord", func(p *providers.OAuth2) { p.Scopes = []string{"identify", "email"} }, url.Values{"scope": {"identify email"}}},
		{"Kinde: a public client", func(p *providers.OAuth2) { p.ClientSecret, p.Scopes = "", []string{"openid"} }, url.Values{"scope": {"openid"}}},
		{"Jira", func(p *providers.OAuth2) {
			p.AuthParams = url.Values{"audience": {"api.atlassian.com"}, "prompt": {"consent"}}
		}, url.Values{"audience": {"api.atlassian.com"}, "prompt": {"consent"}}},
		{"Notion, the way there", func(p *providers.OAuth2) { p.AuthParams = url.Values{"owner": {"user"}} }, url.Values{"owner": {"user"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			row.set(p)
			to, err := p.Begin(with(t.Context(), s), newFlow())
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			got := u.Query()
			for _, name := range []string{"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"} {
				if !got.Has(name) {
					t.Errorf("%s is missing", name)
				}
				got.Del(name)
			}
			if got.Encode() != row.want.Encode() {
				t.Errorf("parameters: got %v, want %v", got, row.want)
			}
			if _, _, err := p.Finish(with(t.Context(), s), newFlow(), good()); err != nil {
				t.Errorf("Finish: %v", err)
			}
		})
	}
}
