package providertest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/returnleg/returnleg/providers/providertest"
)

// What a long-running provider keeps is bounded; its counts are exact.
func TestLedgerIsBounded(t *testing.T) {
	const limit, n = 10, 100
	s := providertest.New(providertest.Config{Limit: limit})
	s.SignInAs("ada")
	for i := range n {
		q := good()
		q.Set("state", fmt.Sprint(i))
		if status, _, _ := open(t, s, s.Client(), q.Encode()); status != 303 {
			t.Fatalf("got %d", status)
		}
	}
	l := s.Ledger()
	if len(l.Requests) > limit || len(l.Codes) > limit || len(l.Codes) == 0 {
		t.Errorf("kept %d requests and %d codes, want at most %d", len(l.Requests), len(l.Codes), limit)
	}
	if got := l.Count("authorize"); got != n {
		t.Errorf("counted %d, want %d", got, n)
	}
	if got, want := l.Requests[len(l.Requests)-1].Query.Get("state"), fmt.Sprint(n-1); got != want {
		t.Errorf("last state: got %s, want %s", got, want)
	}
	if got := l.Requests[len(l.Requests)-1].Status; got != 303 {
		t.Errorf("last status: got %d, want 303", got)
	}
	s.ResetLedger()
	if l := s.Ledger(); len(l.Requests) != 0 || l.Count("authorize") != 0 {
		t.Errorf("after reset: got %+v", l)
	}
}

// Every method may be called while requests are under way.
func TestConcurrentUse(t *testing.T) {
	s := providertest.New(providertest.Config{Algorithm: "ES256"})
	s.SignInAs("ada")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if status, m, _ := post(t, s, "/token", newCode(t, s, practice)); status != 200 {
					t.Errorf("got %d %v", status, m)
				}
				s.RotateKey()
				s.Set(func(b *providertest.Behavior) { b.ExtraKeys = 1 })
				get(t, s, "/jwks", "")
				get(t, s, "/", "")
				_ = s.Ledger().Repeated()
			}
		})
	}
	wg.Wait()
	if l := s.Ledger(); len(l.Redeems()) != 160 || len(l.Repeated()) != 0 || l.Issued != 160 {
		t.Errorf("got %d redeemed, %d issued", len(l.Redeems()), l.Issued)
	}
}

// A provider mounted on a listener of the caller's.
func TestMounted(t *testing.T) {
	mux := http.NewServeMux()
	hs := httptest.NewServer(mux)
	defer hs.Close()
	s := providertest.New(providertest.Config{Issuer: hs.URL + "/idp"})
	mux.Handle("/idp/", s)
	mux.Handle("/.well-known/", s)
	p := newParty(t, s, hs.Client())
	back, err := s.Approve(t.Context(), hs.Client(), p.authURL(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.finish(back); err != nil {
		t.Error(err)
	}
	resp, err := hs.Client().Get(hs.URL + "/.well-known/oauth-authorization-server/idp")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("RFC 8414 path: got %d", resp.StatusCode)
	}
}

func FuzzAuthorize(f *testing.F) {
	f.Add(good().Encode())
	f.Add("client_id=practice&redirect_uri=https://app.example/%0d%0aX:y&response_type=code")
	f.Add("client_id=practice&redirect_uri=https://app.example/&prompt=none&state=%ff%00")
	f.Add("client_id=practice&redirect_uri=https://app.example@evil.com/")
	f.Fuzz(func(t *testing.T, query string) {
		s := providertest.New(providertest.Config{})
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/authorize", nil)
		r.URL.RawQuery = query
		s.ServeHTTP(w, r)
		// The browser goes nowhere but to what the client may use.
		if to := w.Header().Get("Location"); to != "" {
			u, err := url.Parse(to)
			if err != nil || u.User != nil || u.Hostname() == "" || u.Query().Get("error") == "" {
				t.Errorf("redirected to %q", to)
			}
		} else if w.Code != 200 && w.Code != 400 {
			t.Errorf("got %d", w.Code)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("grant_type=authorization_code&code=x&client_id=practice&client_secret=practice-secret", "")
	f.Add("grant_type=refresh_token&refresh_token=%ff", "Basic cHJhY3RpY2U6cHJhY3RpY2Utc2VjcmV0")
	f.Add("grant_type=refresh_token&grant_type=x", "Basic %%%")
	f.Add("%", "basic Og==")
	s := providertest.New(providertest.Config{})
	f.Fuzz(func(t *testing.T, form, authorization string) {
		r := httptest.NewRequest("POST", "/token", http.NoBody)
		r.Body = http.NoBody
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = readCloser(form)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		// No code was ever issued, so nothing may be.
		if w.Code != 400 && w.Code != 401 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func readCloser(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
