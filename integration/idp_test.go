package integration_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
	"github.com/returnleg/returnleg/integration/internal/idp"
)

// The pair of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// answer is an app's callback that keeps what came.
func answer(t *testing.T) (redirect string, last func() url.Values) {
	t.Helper()
	answers := make(chan url.Values, 8)
	base := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/callback" {
			http.NotFound(w, r)
			return
		}
		answers <- r.URL.Query()
		write(w, `<p id="back">back</p>`)
	}))
	return base + "/callback", func() url.Values { return <-answers }
}

func authorizeURL(s *idp.Server, client, redirect string) string {
	return s.Issuer + "/auth?" + url.Values{
		"client_id": {client}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid email"},
		"state": {"s1"}, "nonce": {"n1"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}.Encode()
}

// The provider of the other tests is what they take it for.
func TestIdentityProvider(t *testing.T) {
	redirect, last := answer(t)
	server := idp.Start(t, "idp", idp.Settings{Redirects: []string{redirect}})
	tab := chromium.New(t).Tab(t)

	tab.Open(authorizeURL(server, "basic", redirect))
	tab.Type("#idp-login #name", "ada")
	tab.Click("#sign-in")
	tab.Click("#idp-consent #allow")
	tab.Wait("#back")
	first := last()
	if got, want := first.Get("iss"), server.Issuer; got != want { // RFC 9207
		t.Errorf("iss: got %q, want %q", got, want)
	}
	if got, want := first.Get("state"), "s1"; got != want {
		t.Errorf("state: got %q, want %q", got, want)
	}

	// Second time: the provider knows the person, and shows no page.
	tab.Open(authorizeURL(server, "basic", redirect))
	tab.Wait("#back")
	if second := last(); second.Get("code") == "" || second.Get("code") == first.Get("code") {
		t.Error("second visit: no code of its own")
	}

	tab.Open(authorizeURL(server, "post", redirect))
	tab.Click("#idp-consent #deny")
	tab.Wait("#back")
	if got, want := last().Get("error"), "access_denied"; got != want {
		t.Errorf("error: got %q, want %q", got, want)
	}

	client := server.Client(t, "basic")
	encoded := url.QueryEscape(client.ID) + ":" + url.QueryEscape(client.Secret)
	for _, row := range []struct {
		name, credentials string
		status            int
	}{
		{"raw", client.ID + ":" + client.Secret, http.StatusBadRequest}, // "%d+" does not decode
		{"form-encoded", encoded, http.StatusOK},
		{"form-encoded, code used", encoded, http.StatusBadRequest},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := redeem(t, server, row.credentials, url.Values{
				"grant_type": {"authorization_code"}, "code": {first.Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier},
			})
			if got != row.status {
				t.Errorf("status: got %d, want %d", got, row.status)
			}
		})
	}

	entries := server.Ledger(t, "token")
	var statuses []int
	for _, e := range entries {
		statuses = append(statuses, e.Status)
		if e.Authentication != "basic" {
			t.Errorf("ledger: got authentication %q, want basic", e.Authentication)
		}
	}
	if want := []int{400, 200, 400}; !slices.Equal(statuses, want) {
		t.Errorf("ledger: got %v, want %v", statuses, want)
	}
	shown, err := json.Marshal(server.Ledger(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), first.Get("code")) || strings.Contains(string(shown), verifier) {
		t.Error("the ledger shows a secret")
	}
	server.Forget(t)
	if got := server.Ledger(t, ""); len(got) != 0 {
		t.Errorf("ledger that was emptied: got %d entries, want 0", len(got))
	}
}

func redeem(t *testing.T, s *idp.Server, credentials string, form url.Values) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
