package providertest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers/providertest"
)

// post sends a form and reads the JSON of the answer.
func post(t *testing.T, s *providertest.Server, path string, form url.Values, header ...string) (int, map[string]any, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL(path), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var m map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&m) // an answer without a body has no members
	return resp.StatusCode, m, resp.Header
}

// newCode signs ada in and returns a form that redeems her code.
func newCode(t *testing.T, s *providertest.Server, client providertest.Client) url.Values {
	t.Helper()
	verifier := strings.Repeat("v", 43)
	q := good()
	q.Set("client_id", client.ID)
	q.Set("code_challenge", oauth2.S256ChallengeFromVerifier(verifier))
	back, err := s.Approve(t.Context(), nil, s.URL("/authorize?"+q.Encode()), "ada")
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(back)
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {callback},
		"code_verifier": {verifier}, "client_id": {client.ID}, "client_secret": {client.Secret},
	}
}

var practice = providertest.Client{ID: providertest.ClientID, Secret: providertest.ClientSecret}

func TestClientAuthentication(t *testing.T) {
	const odd = "s p:ac%e+/~é&="
	clients := []providertest.Client{
		practice,
		{ID: "odd:%id é", Secret: odd},
		{ID: "public"},
		{ID: "post-only", Secret: "x", Auth: "client_secret_post"},
		{ID: "basic-only", Secret: "x", Auth: "client_secret_basic"},
	}
	for _, row := range []struct {
		name   string
		client providertest.Client
		method string // "basic", "raw basic", "post", "none", "both"
		secret string
		want   int
		auth   string
	}{
		{"basic", clients[0], "basic", "practice-secret", 200, "client_secret_basic"},
		{"62 basic, form-encoded", clients[1], "basic", odd, 200, "client_secret_basic"},
		{"62 basic, not encoded", clients[1], "raw basic", odd, 401, "client_secret_basic"},
		{"post", clients[0], "post", "practice-secret", 200, "client_secret_post"},
		{"post, odd", clients[1], "post", odd, 200, "client_secret_post"},
		{"wrong secret", clients[0], "basic", "x", 401, "client_secret_basic"},
		{"no secret", clients[0], "none", "", 401, "none"},
		{"both ways", clients[0], "both", "practice-secret", 400, "several"},
		{"public", clients[2], "none", "", 200, "none"},
		{"public with a secret", clients[2], "post", "x", 401, "client_secret_post"},
		{"post only", clients[3], "post", "x", 200, "client_secret_post"},
		{"post only, by basic", clients[3], "basic", "x", 401, "client_secret_basic"},
		{"basic only, by post", clients[4], "post", "x", 401, "client_secret_post"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := providertest.New(providertest.Config{Clients: clients})
			form := newCode(t, s, row.client)
			form.Del("client_secret")
			var header []string
			req, _ := http.NewRequest("POST", "/", nil)
			switch row.method {
			case "basic", "both":
				req.SetBasicAuth(url.QueryEscape(row.client.ID), url.QueryEscape(row.secret))
				header = []string{"Authorization", req.Header.Get("Authorization")}
				form.Del("client_id")
				if row.method == "both" {
					form.Set("client_secret", row.secret)
				}
			case "raw basic":
				req.SetBasicAuth(row.client.ID, row.secret)
				header = []string{"Authorization", req.Header.Get("Authorization")}
				form.Del("client_id")
			case "post":
				form.Set("client_secret", row.secret)
			}
			got, m, h := post(t, s, "/token", form, header...)
			if got != row.want {
				t.Errorf("got %d %v, want %d", got, m, row.want)
			}
			if got == 401 && (m["error"] != "invalid_client" || row.auth == "client_secret_basic" && h.Get("WWW-Authenticate") == "") {
				t.Errorf("got %v %v", m, h)
			}
			if e := s.Ledger().Of("token")[0]; e.Auth != row.auth {
				t.Errorf("ledger: got %q, want %q", e.Auth, row.auth)
			}
		})
	}
}

func TestCodeIsRefused(t *testing.T) {
	set := func(name, v string) func(url.Values) { return func(q url.Values) { q.Set(name, v) } }
	for _, row := range []struct {
		name   string
		change func(url.Values)
		wait   time.Duration
		want   string
	}{
		{"good", func(url.Values) {}, 59 * time.Second, ""},
		{"expired", func(url.Values) {}, 61 * time.Second, "invalid_grant"},
		{"unknown", set("code", "code-x"), 0, "invalid_grant"},
		{"another redirect URI", set("redirect_uri", callback+"?"), 0, "invalid_grant"},
		{"no verifier", func(q url.Values) { q.Del("code_verifier") }, 0, "invalid_grant"},
		{"wrong verifier", set("code_verifier", strings.Repeat("w", 43)), 0, "invalid_grant"},
		{"no grant type", func(q url.Values) { q.Del("grant_type") }, 0, "invalid_request"},
		{"unknown grant type", set("grant_type", "password"), 0, "unsupported_grant_type"},
		{"code twice", func(q url.Values) { q.Add("code", "x") }, 0, "invalid_request"},
		{"another client", func(q url.Values) { q.Set("client_id", "other"); q.Set("client_secret", "x") }, 0, "invalid_grant"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := providertest.New(providertest.Config{Clients: []providertest.Client{practice, {ID: "other", Secret: "x"}}})
				form := newCode(t, s, practice)
				row.change(form)
				time.Sleep(row.wait)
				status, m, _ := post(t, s, "/token", form)
				if got, _ := m["error"].(string); got != row.want || (status == 200) != (row.want == "") {
					t.Errorf("got %d %v, want %q", status, m, row.want)
				}
			})
		})
	}
}

// "46 provider that ignores PKCE": it redeems with any verifier.
func TestIgnorePKCE(t *testing.T) {
	s := providertest.New(providertest.Config{Behavior: providertest.Behavior{IgnorePKCE: true}})
	form := newCode(t, s, practice)
	form.Set("code_verifier", strings.Repeat("w", 43))
	if status, m, _ := post(t, s, "/token", form); status != 200 {
		t.Errorf("got %d %v", status, m)
	}
}

func TestCodeUsedTwiceEndsTheGrant(t *testing.T) {
	s := providertest.New(providertest.Config{})
	form := newCode(t, s, practice)
	_, first, _ := post(t, s, "/token", form)
	if status, m, _ := post(t, s, "/token", form); status != 400 || m["error"] != "invalid_grant" {
		t.Errorf("second use: got %d %v", status, m)
	}
	if status := get(t, s, "/me", first["access_token"].(string)).StatusCode; status != 401 {
		t.Errorf("the first token: got %d, want 401", status)
	}
	l := s.Ledger()
	if c := l.Repeated(); len(c) != 1 || c[0].Sent != 2 || c[0].Redeemed != 1 || l.FamiliesRevoked != 1 {
		t.Errorf("ledger: got %+v, %d families", c, l.FamiliesRevoked)
	}
}

func TestRotation(t *testing.T) {
	const grace = time.Minute
	for _, row := range []struct {
		name     string
		rotation providertest.Rotation
		wait     time.Duration // between two uses of the same token
		second   int           // status of the second use
		newest   int           // status of the newest token afterwards
	}{
		{"strict", providertest.RotateStrict, 0, 400, 400},
		{"grace", providertest.RotateGrace, grace, 200, 200},
		{"grace is over", providertest.RotateGrace, grace + time.Second, 400, 400},
		{"none", providertest.RotateNone, 24 * time.Hour, 200, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := providertest.New(providertest.Config{Behavior: providertest.Behavior{Rotation: row.rotation}})
				_, m, _ := post(t, s, "/token", newCode(t, s, practice))
				old := m["refresh_token"].(string)
				refresh := func(token string) (int, string) {
					status, m, _ := post(t, s, "/token", url.Values{
						"grant_type": {"refresh_token"}, "refresh_token": {token},
						"client_id": {practice.ID}, "client_secret": {practice.Secret},
					})
					next, _ := m["refresh_token"].(string)
					return status, next
				}
				status, next := refresh(old)
				if status != 200 || (next == "") != (row.rotation == providertest.RotateNone) {
					t.Fatalf("first use: got %d %q", status, next)
				}
				if next == "" {
					next = old
				}
				time.Sleep(row.wait)
				if got, _ := refresh(old); got != row.second {
					t.Errorf("second use: got %d, want %d", got, row.second)
				}
				if got, _ := refresh(next); got != row.newest {
					t.Errorf("newest token: got %d, want %d", got, row.newest)
				}
				l := s.Ledger()
				if got, want := l.FamiliesRevoked == 1, row.second == 400; got != want {
					t.Errorf("family revoked: got %v, want %v", got, want)
				}
				if got, want := len(l.Reused()) == 1, row.rotation != providertest.RotateNone; got != want {
					t.Errorf("reused: got %v, want %v", l.Reused(), want)
				}
			})
		})
	}
}

func TestRefreshNeverWidens(t *testing.T) {
	s := providertest.New(providertest.Config{})
	_, m, _ := post(t, s, "/token", newCode(t, s, practice))
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {m["refresh_token"].(string)},
		"client_id": {practice.ID}, "client_secret": {practice.Secret}, "scope": {"openid admin"},
	}
	if status, m, _ := post(t, s, "/token", form); status != 400 || m["error"] != "invalid_scope" {
		t.Errorf("wider: got %d %v", status, m)
	}
	form.Set("scope", "openid")
	if status, m, _ := post(t, s, "/token", form); status != 200 || m["scope"] != "openid" {
		t.Errorf("narrower: got %d %v", status, m)
	}
}

func TestRevocation(t *testing.T) {
	s := providertest.New(providertest.Config{})
	_, m, _ := post(t, s, "/token", newCode(t, s, practice))
	access, refresh := m["access_token"].(string), m["refresh_token"].(string)
	revoke := func(token string) int {
		status, _, _ := post(t, s, "/revoke", url.Values{"token": {token}, "client_id": {practice.ID}, "client_secret": {practice.Secret}})
		return status
	}
	introspect := func() any {
		_, m, _ := post(t, s, "/introspect", url.Values{"token": {access}, "client_id": {practice.ID}, "client_secret": {practice.Secret}})
		return m["active"]
	}
	if got := introspect(); got != true {
		t.Errorf("before: active is %v", got)
	}
	if got := revoke("unknown"); got != 200 {
		t.Errorf("unknown token: got %d, want 200", got)
	}
	if got := revoke(refresh); got != 200 {
		t.Errorf("refresh token: got %d, want 200", got)
	}
	if got := introspect(); got != false {
		t.Errorf("afterwards: active is %v", got)
	}
	if status, _, _ := post(t, s, "/revoke", url.Values{"token": {access}}); status != 401 {
		t.Errorf("without a client: got %d, want 401", status)
	}
	if got := s.Ledger().Revoked; got != 1 {
		t.Errorf("ledger: got %d revoked, want 1", got)
	}
}
