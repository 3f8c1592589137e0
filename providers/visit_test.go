package providers_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

const (
	callback = "https://app.example/auth/practice/callback"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// with returns a context whose requests are answered by rt.
func with(ctx context.Context, rt http.RoundTripper) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: rt})
}

func newFlow() *providers.Flow {
	return &providers.Flow{RedirectURL: callback, State: "state-1", Verifier: verifier, Nonce: "nonce-1"}
}

func newOIDC(s *providertest.Server) *providers.OIDC {
	return &providers.OIDC{
		ID: "practice", Issuer: s.Issuer(), ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
		Scopes: []string{"openid", "profile", "email", "offline_access", "videos"},
	}
}

// A visit is one person's way to the practice provider and back.
type visit struct {
	t   *testing.T
	s   *providertest.Server
	p   *providers.OIDC
	f   *providers.Flow
	ctx context.Context
}

// newVisit returns a visit without sockets to a provider that behaves like b.
func newVisit(t *testing.T, b providertest.Behavior) *visit {
	t.Helper()
	s := providertest.New(providertest.Config{Behavior: b})
	return &visit{t, s, newOIDC(s), newFlow(), with(t.Context(), s.Transport())}
}

// answer goes to the provider as ada and returns what comes back.
func (v *visit) answer() url.Values {
	v.t.Helper()
	to, err := v.p.Begin(v.ctx, v.f)
	if err != nil {
		v.t.Fatalf("Begin: %v", err)
	}
	back, err := v.s.Approve(v.ctx, nil, to, "ada")
	if err != nil {
		v.t.Fatalf("Approve: %v", err)
	}
	u, err := url.Parse(back)
	if err != nil {
		v.t.Fatal(err)
	}
	return u.Query()
}

// finish goes the whole way.
func (v *visit) finish() (*providers.Token, *providers.Identity, error) {
	v.t.Helper()
	a := v.answer()
	if err := v.p.Check(v.ctx, v.f, a); err != nil {
		return nil, nil, err
	}
	return v.p.Finish(v.ctx, v.f, a)
}

// mustFinish goes the whole way, which must succeed.
func (v *visit) mustFinish() (*providers.Token, *providers.Identity) {
	v.t.Helper()
	t, id, err := v.finish()
	if err != nil {
		v.t.Fatalf("Finish: %v", err)
	}
	return t, id
}

// requests checks how many requests came to an endpoint.
func (v *visit) requests(endpoint string, want int) {
	v.t.Helper()
	if got := v.s.Ledger().Count(endpoint); got != want {
		v.t.Errorf("%s requests: got %d, want %d", endpoint, got, want)
	}
}

// is checks an error; a nil want is success.
func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error: got %v, want %v", err, want)
	}
}

// refused checks that err is the provider's no, with that code.
func refused(t *testing.T, err error, code string, status int) *providers.Error {
	t.Helper()
	var e *providers.Error
	if !errors.As(err, &e) {
		t.Fatalf("error: got %v, want a *providers.Error", err)
	}
	if e.Code != code || e.Status != status {
		t.Errorf("error: got code %q status %d, want %q %d", e.Code, e.Status, code, status)
	}
	return e
}

// A script answers requests by "METHOD host/path", and counts them.
type script struct {
	answers map[string]func(*http.Request) *http.Response
	sent    []*http.Request
	forms   []url.Values
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.sent = append(s.sent, r)
	form := url.Values{}
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if form, err = url.ParseQuery(string(b)); err != nil {
			return nil, err
		}
	}
	s.forms = append(s.forms, form)
	answer, ok := s.answers[r.Method+" "+r.URL.Host+r.URL.Path]
	if !ok {
		return respond(404, "text/plain", "no such page"), nil
	}
	return answer(r), nil
}

func respond(status int, contentType, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func always(status int, contentType, body string) func(*http.Request) *http.Response {
	return func(*http.Request) *http.Response { return respond(status, contentType, body) }
}

// tokenServer is an OAuth 2.0 provider of one token answer.
func tokenServer(answer func(*http.Request) *http.Response) (*providers.OAuth2, *script) {
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"POST id.example/token": answer,
		"GET id.example/me":     always(200, "application/json", `{"sub":"ada"}`),
	}}
	return &providers.OAuth2{
		ID: "practice", ClientID: "app", ClientSecret: "app-secret",
		AuthURL: "https://id.example/authorize", TokenURL: "https://id.example/token", UserInfoURL: "https://id.example/me",
	}, s
}

// good is the answer to newFlow of a provider that names no issuer, changed by pairs of name and
// value; an empty value removes.
func good(pairs ...string) url.Values {
	q := url.Values{"state": {"state-1"}, "code": {"code-1"}}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

// sortedKeys makes a map's names comparable.
func sortedKeys[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}
