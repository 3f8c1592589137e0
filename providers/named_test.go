package providers_test

import (
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/providers"
)

func fixture(t *testing.T, name string) func(*http.Request) *http.Response {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return always(200, "application/json; charset=utf-8", string(b))
}

func TestGitHub(t *testing.T) {
	p := providers.GitHub("Iv1.abc", "secret", "repo", "gist", "user")
	is(t, p.Validate(), nil)
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"POST github.com/login/oauth/access_token":                fixture(t, "github_token.json"),
		"GET api.github.com/user":                                 fixture(t, "github_user.json"),
		"DELETE api.github.com/applications/Iv1.abc/token":        always(204, "", ""),
		"DELETE github.example/api/v3/applications/Iv1.abc/token": always(503, "", ""),
	}}
	ctx := with(t.Context(), s)
	tok, id, err := p.Finish(ctx, newFlow(), good("iss", "https://github.com/login/oauth"))
	if err != nil {
		t.Fatal(err)
	}
	if id.Issuer != "https://github.com" || id.Subject != "583231" || id.Username != "octocat" || id.Name != "The Octocat" || id.Email != "" || id.EmailVerified || id.Picture == "" {
		t.Errorf("identity: got %+v", id)
	}
	if !slices.Equal(tok.Scopes, []string{"repo", "gist"}) || !tok.Expiry.IsZero() || tok.Refresh != "" {
		t.Errorf("token: got scopes %v, expiry %v", tok.Scopes, tok.Expiry)
	}
	if got := s.sent[0].Header.Get("Accept"); got != "application/json" {
		t.Errorf("Accept: got %q; GitHub answers a form without it", got)
	}
	if got := s.forms[0].Get("client_secret"); got != "secret" || s.sent[0].Header.Get("Authorization") != "" {
		t.Error("the secret is not in the form, or not only there")
	}
	is(t, p.Revoke(ctx, tok), nil)
	last := s.sent[len(s.sent)-1]
	if user, password, ok := last.BasicAuth(); !ok || user != "Iv1.abc" || password != "secret" || last.Method != http.MethodDelete {
		t.Error("the token is not deleted as the app")
	}
	p.APIBase = "https://github.example/api/v3/"
	is(t, p.Revoke(ctx, tok), providers.ErrUnavailable)

	s.answers["POST github.com/login/oauth/access_token"] = fixture(t, "github_refused.json")
	_, _, err = p.Finish(ctx, newFlow(), good())
	refused(t, err, "bad_verification_code", 200)
}

func TestGitHub_identity(t *testing.T) {
	for _, row := range []struct {
		name, user string
		ok         bool
	}{
		{"good", `{"id":1,"login":"a"}`, true},
		{"id a string", `{"id":"1","login":"a"}`, false},
		{"id missing", `{"login":"a"}`, false},
		{"id 0", `{"id":0}`, false},
		{"id a fraction", `{"id":1.5}`, false},
		{"id an exponent", `{"id":1e3}`, false},
		{"id negative", `{"id":-1}`, false},
		{"id of 21 digits", `{"id":` + strings.Repeat("9", 21) + `}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &script{answers: map[string]func(*http.Request) *http.Response{
				"POST github.com/login/oauth/access_token": fixture(t, "github_token.json"),
				"GET api.github.com/user":                  always(200, "application/json", row.user),
			}}
			tok, _, err := providers.GitHub("id", "secret").Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok || tok == nil {
				t.Errorf("Finish: got %v, want success: %v", err, row.ok)
			}
		})
	}
}

func TestVimeo(t *testing.T) {
	p := providers.Vimeo("id", "secret", "private", "video_files")
	is(t, p.Validate(), nil)
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"POST api.vimeo.com/oauth/access_token": fixture(t, "vimeo_token.json"),
		"DELETE api.vimeo.com/tokens":           always(204, "", ""),
	}}
	ctx := with(t.Context(), s)
	tok, id, err := p.Finish(ctx, newFlow(), good())
	if err != nil {
		t.Fatal(err)
	}
	if id.Issuer != "https://api.vimeo.com" || id.Subject != "152184" || id.Name != "Vimeo Staff" {
		t.Errorf("identity: got %+v", id)
	}
	if claims := string(id.Claims); strings.Contains(claims, tok.Access) || !strings.HasPrefix(claims, "{") || !strings.Contains(claims, `"link":"https://vimeo.com/staff"`) {
		t.Errorf("claims: got %s", claims)
	}
	if !slices.Equal(tok.Scopes, []string{"private", "public", "video_files"}) {
		t.Errorf("scopes: got %v", tok.Scopes)
	}
	if got := len(s.sent); got != 1 {
		t.Errorf("requests: got %d, want 1", got)
	}
	if user, _, ok := s.sent[0].BasicAuth(); !ok || user != "id" {
		t.Error("the app did not authenticate by Basic")
	}
	is(t, p.Revoke(ctx, tok), nil)
	if got := s.sent[1].Header.Get("Authorization"); got != "Bearer "+tok.Access {
		t.Error("the token does not delete itself")
	}
	s.answers["POST api.vimeo.com/oauth/access_token"] = func(r *http.Request) *http.Response {
		resp := fixture(t, "vimeo_refused.json")(r)
		resp.StatusCode = 400
		return resp
	}
	_, _, err = p.Finish(ctx, newFlow(), good())
	refused(t, err, "invalid_grant", 400)
}

func TestVimeo_identity(t *testing.T) {
	for _, row := range []struct {
		name, user string
		ok         bool
	}{
		{"good", `,"user":{"uri":"/users/7"}`, true},
		{"no user", ``, false},
		{"user null", `,"user":null`, false},
		{"uri missing", `,"user":{"name":"x"}`, false},
		{"uri of another thing", `,"user":{"uri":"/videos/7"}`, false},
		{"uri with more", `,"user":{"uri":"/users/7/videos"}`, false},
		{"uri by name", `,"user":{"uri":"/users/staff"}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &script{answers: map[string]func(*http.Request) *http.Response{
				"POST api.vimeo.com/oauth/access_token": always(200, "application/json", `{"access_token":"a","token_type":"bearer"`+row.user+`}`),
			}}
			_, id, err := providers.Vimeo("id", "secret").Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok || (id != nil) != row.ok {
				t.Errorf("Finish: got %v, want success: %v", err, row.ok)
			}
		})
	}
}

func TestGoogle(t *testing.T) {
	p := providers.Google("id", "secret", "https://www.googleapis.com/auth/calendar.readonly")
	is(t, p.Validate(), nil)
	if err := providers.Google("id", "").Validate(); err == nil || !strings.Contains(err.Error(), "ClientSecret") {
		t.Errorf("without a secret, which a variable that is not set looks like: got %v", err)
	}
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"GET accounts.google.com/.well-known/openid-configuration": fixture(t, "google_metadata.json"),
	}}
	ctx := with(t.Context(), s)
	to, err := p.Begin(ctx, newFlow())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Host != "accounts.google.com" || q.Get("access_type") != "offline" || q.Get("scope") != "openid profile email https://www.googleapis.com/auth/calendar.readonly" {
		t.Errorf("Begin: got %s", to)
	}
	// Google sends no iss, and says so by not announcing it.
	is(t, p.Check(ctx, newFlow(), good("scope", "email profile openid", "authuser", "0", "prompt", "none")), nil)
	is(t, p.Check(ctx, newFlow(), good("iss", "accounts.google.com")), providers.ErrAnswer)
}
