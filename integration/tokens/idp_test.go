package tokens_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/integration/internal/idp"
)

// TestIdentityProvider is TestStorm against a provider that nobody here wrote. It rotates refresh tokens,
// and revokes the whole grant when one comes again.
func TestIdentityProvider(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		sessions int
		each     int // requests of a session at each process
	}{
		{"one session", 1, 500},
		{"50 sessions", 50, 5},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			server := idp.Start(t, filepath.Join("..", "idp"), idp.Settings{Redirects: []string{callbackURL}, AccessTokenSeconds: 1})
			client := server.Client(t, "basic")
			// It gives refresh tokens to who asks for that scope, and the person for their consent.
			w := newWorld(t, server.Issuer, client.ID, client.Secret, "openid offline_access", "consent")
			w.approve = server.Approve
			w.subject = func(who string) string { return who }
			ps := []*process{w.spawn(false), w.spawn(false)}
			s := &storm{w, w.visitors(row.sessions, ps[0]), ps, row.each}
			<-time.After(1100 * time.Millisecond) // until all tokens are over
			server.Forget(t)
			for range 2 { // the second one finds good tokens
				s.one(s.rage("/token"), func(token string) bool { return taken(t, server, token) })
			}
			got := fmt.Sprint(server.Events(t))
			want := fmt.Sprintf("map[access_token.saved:%d refresh_token.consumed:%[1]d]", row.sessions)
			if got != want {
				t.Errorf("events: got %s, want %s", got, want)
			}
			if n := len(server.Ledger(t, "token")); n != row.sessions {
				t.Errorf("%d requests for tokens, want %d", n, row.sessions)
			}
			// And it goes on: what was saved last is what the provider gave last.
			for _, v := range s.visitors {
				if err := v.got(v.fetch(ps[1], "/refresh")); err != nil {
					t.Errorf("the next refresh: %v", err)
				}
			}
			if n := server.Events(t)["grant.revoked"]; n > 0 {
				t.Errorf("%d grants revoked", n)
			}
		})
	}
}

// taken reports that the provider takes a token.
func taken(t *testing.T, s *idp.Server, token string) bool {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Issuer+"/me", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
