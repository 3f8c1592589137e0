package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

const localURL = "http://127.0.0.1:8080"

// local makes the kit's app one under development.
func local(_ *kit, c *middleware.Config) { c.BaseURL = localURL }

// at returns a request as a browser sends it to the app at base, with the cookies of jar.
func navigate(base, target string, jar map[string]string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, base+target, nil)
	r.Header.Set("Accept", "text/html")
	for name, value := range jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// settled returns the page that a browser ends up with: one that refuses a callback loads itself again.
func (k *kit) settled(base string, jar map[string]string, resp *http.Response) *http.Response {
	k.t.Helper()
	for range 3 {
		to, ok := strings.CutPrefix(resp.Header.Get("Refresh"), "0;url=")
		if !ok {
			return resp
		}
		resp = k.serve(navigate(base, to, jar))
	}
	k.t.Fatal("the page loads itself again for ever")
	return nil
}

func keep(jar map[string]string, resp *http.Response) {
	for _, c := range resp.Cookies() {
		jar[c.Name] = c.Value
	}
}

// come signs in at a provider, as far as the page that the callback ends in.
func (k *kit) come(base, provider string, change func(callback *url.URL)) *http.Response {
	k.t.Helper()
	jar := map[string]string{}
	resp := k.serve(navigate(base, "/auth/"+provider+"/login?return_to=/", jar))
	keep(jar, resp)
	if resp.StatusCode != http.StatusSeeOther {
		return resp
	}
	callback, err := k.provider(provider).Approve(k.t.Context(), k.browser().idp, k.location(resp), "ada")
	if err != nil {
		k.t.Fatal(err)
	}
	u, err := url.Parse(callback)
	if err != nil {
		k.t.Fatal(err)
	}
	if change != nil {
		change(u)
	}
	return k.settled(base, jar, k.serve(navigate(base, u.RequestURI(), jar)))
}

// On a loopback BaseURL the page and the log name the cause that was found. Elsewhere the page has none of it.
func TestHints_cause(t *testing.T) {
	later := func(claim string, d time.Duration) func(b *providertest.Behavior) {
		return func(b *providertest.Behavior) {
			b.Claims = func(_ *providertest.Draft, c map[string]any) { c[claim] = time.Now().Add(d).Unix() }
		}
	}
	parameter := func(pairs ...string) func(u *url.URL) {
		return func(u *url.URL) {
			q := u.Query()
			for i := 0; i < len(pairs); i += 2 {
				q.Set(pairs[i], pairs[i+1])
			}
			u.RawQuery = q.Encode()
		}
	}
	deny := func(description string) func(u *url.URL) {
		return func(u *url.URL) {
			q := u.Query()
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", description)
			u.RawQuery = q.Encode()
		}
	}
	type row struct {
		name     string
		provider string
		set      func(b *providertest.Behavior)
		config   func(p *providers.OAuth2)
		oidc     func(p *providers.OIDC)
		callback func(u *url.URL)
		want     string // in the log, too
	}
	rows := []row{
		{name: "iat ahead", provider: "idp", set: later("iat", time.Hour), want: "iat is 60m ahead, Skew is 60s"},
		{name: "nbf ahead", provider: "idp", set: later("nbf", 25*time.Hour), want: "nbf is 25h ahead, Skew is 60s"},
		{name: "expired", provider: "idp", set: later("exp", -90*time.Minute), want: "exp was 90m ago, Skew is 60s"},
		{name: "another issuer in the ID token", provider: "idp", set: func(b *providertest.Behavior) {
			b.Claims = providertest.With("iss", "https://idp.example/?tenant=secret-1")
		}, want: `the ID token's iss is "https://idp.example/", Issuer is "https://idp.example"`},
		{name: "another issuer in the metadata", provider: "idp", set: func(b *providertest.Behavior) {
			b.Metadata = func(m map[string]any) { m["issuer"] = "https://idp.example/" }
		}, want: `the metadata says issuer "https://idp.example/", Issuer is "https://idp.example"`},
		{name: "another issuer in the answer", provider: "plain", callback: parameter("iss", "https://other.example"), want: `the answer's iss is "https://other.example", Issuer is "https://plain.example"`},
		{name: "another audience", provider: "idp", set: func(b *providertest.Behavior) { b.Claims = providertest.With("aud", "another-app") }, want: `the ID token's aud is "another-app", ClientID is "` + providertest.ClientID + `"`},
		{name: "no metadata there", provider: "idp", set: func(b *providertest.Behavior) {
			b.Discovery = providertest.Respond(404, "text/html", "secret-2")
		}, want: "GET https://idp.example/.well-known/openid-configuration answered 404"},
		{name: "a page in the place of metadata", provider: "idp", set: func(b *providertest.Behavior) {
			b.Discovery = providertest.Respond(200, "text/html", "<p>secret-2")
		}, want: `GET https://idp.example/.well-known/openid-configuration answered 200 with content of type "text/html", and not JSON`},
		{name: "no keys there", provider: "idp", set: func(b *providertest.Behavior) {
			b.Metadata = func(m map[string]any) { m["jwks_uri"] = "https://idp.example/none?key=secret-1" }
		}, want: "GET https://idp.example/none answered 404"},
		{name: "no userinfo there", provider: "plain", config: func(p *providers.OAuth2) { p.UserInfoURL = "https://plain.example/nobody?token=secret-1" }, want: "GET https://plain.example/nobody answered 404"},
		{name: "no host", provider: "plain", config: func(p *providers.OAuth2) { p.TokenURL = "https://none.example/token?key=secret-1" }, want: "POST https://none.example/token got no usable answer"},
		{name: "nobody", provider: "plain", config: func(p *providers.OAuth2) {
			p.Identify = func(json.RawMessage) (providers.Identity, error) { return providers.Identity{Name: "secret-2"}, nil }
		}, want: "Identify returned no Subject"},
		{name: "nobody by default", provider: "plain", config: func(p *providers.OAuth2) { p.Identify = nil }, want: "the answer of https://plain.example/me has no sub"},
		{name: "another algorithm", provider: "idp", oidc: func(p *providers.OIDC) { p.Algorithms = []string{"ES256"} }, want: `the ID token is signed with "RS256", accepted are ES256`},
		{name: "another key", provider: "idp", set: func(b *providertest.Behavior) { b.Header = providertest.With("kid", "made-up") }, want: `the ID token names the key "made-up", which https://idp.example/jwks does not have`},
		{name: "a wrong secret", provider: "plain", config: func(p *providers.OAuth2) { p.ClientSecret = "secret-1-of-another" }, want: `plain says "invalid_client"`},
		{name: "the provider's own words", provider: "plain", set: func(b *providertest.Behavior) {
			b.Token = providertest.Respond(400, "application/json", `{"error":"invalid_grant","error_description":"The redirect_uri <b>does not</b>\nmatch"}`)
		}, want: `plain says "invalid_grant": The redirect_uri <b>does not</b>match`},
		{name: "the provider's own words in the answer", provider: "plain", callback: deny("User\u2028 declined <script>alert(1)</script>"), want: "User declined <script>alert(1)</script>"},
		{name: "a name of several words", provider: "plain", config: func(p *providers.OAuth2) { p.AuthMethod = providers.ClientSecretPost; p.ClientSecret = "secret-1" }, want: "POST https://plain.example/token answered 401"},
	}
	for _, row := range rows {
		for base, shown := range map[string]bool{localURL: true, appURL: false, "http://app.localhost:8080": true} {
			t.Run(row.name+", at "+base, func(t *testing.T) {
				k := newKit(t, func(k *kit, c *middleware.Config) {
					c.BaseURL = base
					if row.set != nil {
						k.provider(row.provider).Set(row.set)
					}
					if row.config != nil {
						p := k.plain.OAuth2("plain")
						row.config(p)
						c.Providers[1] = p
					}
					if row.oidc != nil {
						p := k.idp.OIDC("idp")
						row.oidc(p)
						c.Providers[0] = p
					}
				})
				resp := k.come(base, row.provider, row.callback)
				page, log := text(resp), k.log.String()
				if resp.StatusCode < 400 {
					t.Fatalf("status %d", resp.StatusCode)
				}
				if got := strings.Contains(page, html.EscapeString(row.want)); got != shown {
					t.Errorf("on the page: %v, want %v: %s", got, shown, page)
				}
				if got := strings.Contains(strings.ReplaceAll(log, `\"`, `"`), row.want); got != shown {
					t.Errorf("in the log: %v, want %v: %s", got, shown, log)
				}
				for _, secret := range []string{"secret-1", "secret-2", "<b>", "<script>", "\x1b", "\u2028"} {
					if strings.Contains(page, secret) || strings.HasPrefix(secret, "secret") && strings.Contains(log, secret) {
						t.Errorf("%q is on the page or in the log: %s %s", secret, page, log)
					}
				}
			})
		}
	}
}

// A provider that repeats what it was sent does not get it shown.
func TestHints_secrets(t *testing.T) {
	k := newKit(t, local)
	var code, verifier string
	k.plain.Set(func(b *providertest.Behavior) {
		b.Token = func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			code, verifier = r.PostFormValue("code"), r.PostFormValue("code_verifier")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{
				"error": "invalid_grant", "error_description": fmt.Sprintf("no such code: %s (verifier %s, secret %s)", code, verifier, providertest.ClientSecret),
				"error_uri": "https://plain.example/help?code=" + code,
			})
		}
	})
	var state string
	resp := k.come(localURL, "plain", func(u *url.URL) { state = u.Query().Get("state") })
	page, log := text(resp), k.log.String()
	if !strings.Contains(page, "no such code: [redacted]") {
		t.Error(page)
	}
	for name, secret := range map[string]string{"code": code, "verifier": verifier, "secret": providertest.ClientSecret, "state": state} {
		if secret == "" || strings.Contains(page, secret) || strings.Contains(log, secret) {
			t.Errorf("the %s is shown, or was not sent", name)
		}
	}
	k = newKit(t, local)
	resp = k.come(localURL, "plain", func(u *url.URL) {
		q := u.Query()
		state = q.Get("state")
		u.RawQuery = url.Values{"state": {state}, "iss": {q.Get("iss")}, "error": {"invalid_request"}, "error_description": {"state " + state + " is unknown"}}.Encode()
	})
	if page := text(resp); strings.Contains(page, state) || strings.Contains(k.log.String(), state) || !strings.Contains(page, "state [redacted] is unknown") {
		t.Error(page)
	}
}

// Beside a cause that was found stands no guess.
func TestHints_noGuess(t *testing.T) {
	k := newKit(t, local)
	k.idp.Set(func(b *providertest.Behavior) { b.Claims = providertest.With("iat", time.Now().Add(time.Hour).Unix()) })
	if page := text(k.come(localURL, "idp", nil)); !strings.Contains(page, "Cause: ") || strings.Contains(page, "Often") || strings.Contains(page, "The log has") {
		t.Error(page)
	}
	k.plain.Set(func(b *providertest.Behavior) {
		b.Token = providertest.Respond(400, "application/json", `{"error":"invalid_grant"}`)
	})
	page := html.UnescapeString(text(k.come(localURL, "plain", nil)))
	if !strings.Contains(page, "Cause: ") || strings.Contains(page, "Often") || !strings.Contains(page, "http://127.0.0.1:8080/auth/plain/callback") {
		t.Error(page)
	}
	k.plain.Set(func(b *providertest.Behavior) { b.Token = nil })
	k.auth.SetOnLogin(func(context.Context, *middleware.Login) error { return errors.New("pq: secret-1") })
	if page := text(k.come(localURL, "plain", nil)); !strings.Contains(page, "OnLogin") || strings.Contains(page, "secret-1") {
		t.Error(page)
	}
}

// What a hint says about this app, it says with its own addresses.
func TestHints_addresses(t *testing.T) {
	rows := []struct {
		name   string
		target string
		jar    map[string]string
		want   []string
	}{
		{"a proxy that takes the prefix away", "/idp/callback?code=a&state=b", nil, []string{"is http://127.0.0.1:8080/auth/idp/callback.", "This came to /idp/callback", "proxy"}},
		{"and everything before the last part", "/callback?code=a&state=b", nil, []string{"http://127.0.0.1:8080/auth/idp/callback or http://127.0.0.1:8080/auth/plain/callback", "This came to /callback"}},
		{"a refusal, below another path", "/oauth/plain/callback?error=access_denied&state=b", nil, []string{"is http://127.0.0.1:8080/auth/plain/callback."}},
		{"a start", "/idp/login", nil, []string{"This came to /idp/login"}},
		{"a provider that is none", "/auth/idq/callback?code=a&state=b", nil, []string{"http://127.0.0.1:8080/auth/idp/callback or "}},
		{"no state", "/auth/idp/callback?code=a", nil, []string{"no state parameter"}},
		{"no cookie", "/auth/idp/callback?code=a&state=b", nil, []string{"sent no cookie "}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, local)
			resp := k.serve(navigate(localURL, row.target, row.jar))
			page := html.UnescapeString(text(resp))
			for _, want := range row.want {
				if !strings.Contains(page, want) {
					t.Errorf("status %d, nothing of %q on the page: %s", resp.StatusCode, want, page)
				}
			}
			if strings.Contains(page, "{provider}") {
				t.Errorf("an address that is none: %s", page)
			}
			k = newKit(t)
			if page := text(k.serve(navigate(appURL, row.target, row.jar))); strings.Contains(page, "callback") {
				t.Errorf("off loopback: %s", page)
			}
		})
	}
	// What the app answers stays its own.
	k := newKit(t, local)
	k.handle("/callback", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the app's own") })
	k.handle("/idp/callback", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the app's own", http.StatusTeapot) })
	for _, target := range []string{"/callback?code=a&state=b", "/idp/callback?code=a&state=b"} {
		if got := strings.TrimSpace(text(k.serve(navigate(localURL, target, nil)))); got != "the app's own" {
			t.Errorf("%s: %s", target, got)
		}
	}
}

// A provider without a secret is named at start: it may have been forgotten.
func TestNew_publicClient(t *testing.T) {
	for secret, want := range map[providers.Secret]int{"": 2, "secret": 0} {
		k := newKit(t, func(k *kit, c *middleware.Config) {
			idp, plain := k.idp.OIDC("idp"), k.plain.OAuth2("plain")
			idp.ClientSecret, idp.AuthMethod, plain.ClientSecret, plain.AuthMethod = secret, "", secret, ""
			c.Providers = []providers.Provider{idp, plain}
		})
		if got := strings.Count(k.log.String(), "level=INFO msg=\"returnleg: public client"); got != want {
			t.Errorf("secret %q: %d lines, want %d: %s", secret, got, want, k.log)
		}
	}
}

// What happens in the background has its cause in the log, too.
func TestHints_background(t *testing.T) {
	for base, want := range map[string]bool{localURL: true, appURL: false} {
		k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = base })
		k.plain.Set(func(b *providertest.Behavior) { b.Revoke = providertest.Respond(404, "text/html", "") })
		jar := map[string]string{}
		resp := k.serve(navigate(base, "/auth/plain/login?return_to=/", jar))
		keep(jar, resp)
		callback, err := k.plain.Approve(t.Context(), k.browser().idp, k.location(resp), "ada")
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(callback)
		if err != nil {
			t.Fatal(err)
		}
		keep(jar, k.serve(navigate(base, u.RequestURI(), jar)))
		r := navigate(base, "/auth/plain/disconnect", jar)
		r.Method = http.MethodPost
		r.Header.Set("Origin", base)
		k.serve(r)
		if err := k.auth.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		log := k.log.String()
		if got := strings.Contains(log, `cause="POST https://plain.example/revoke answered 404`); got != want || !strings.Contains(log, "token not revoked") {
			t.Errorf("%s: %v, want %v: %s", base, got, want, log)
		}
	}
}
