package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// end lets the provider end what was granted to an account, and the app find that out.
func (b *browser) end(provider, label, account string) {
	b.k.t.Helper()
	b.k.provider(provider).EndGrants(account)
	b.k.within(b, func(ctx context.Context) {
		if _, err := middleware.Refresh(middleware.WithConnection(ctx, label), provider); !errors.Is(err, middleware.ErrReauthRequired) {
			b.k.t.Errorf("error %v, want ErrReauthRequired", err)
		}
	})
}

// Who has to connect again what has ended is told that, and not that they have allowed too little.
func TestEnded(t *testing.T) {
	const title = "Please connect again"
	rows := []struct {
		name, label string
		need        middleware.Need
	}{
		{"of the sign-in", "", middleware.Need{Provider: "plain"}},
		{"of the sign-in, unnamed", "", middleware.Need{Scopes: []string{"videos"}}},
		{"linked, with a label", "work", middleware.Need{Provider: "plain", Label: "work"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.gate("/gated", row.need)
				k.mux.Handle("/handler", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					_, err := middleware.Token(middleware.WithConnection(r.Context(), row.label), row.need.Provider)
					if err == nil {
						fmt.Fprint(w, "inside")
					}
					return err
				}))
				b := k.browser()
				account := "ada"
				b.signIn("plain", account, "/")
				if row.label != "" {
					account = "emmy"
					b.link("plain", row.label, account)
				}
				for _, target := range []string{"/gated", "/handler"} {
					b.end("plain", row.label, account)
					page := b.post(target, nil)
					if got := text(page); page.StatusCode != http.StatusForbidden || strings.Count(got, title) != 2 || !strings.Contains(got, ">Connect Plain again</a>") {
						t.Errorf("%s: status %d: %s", target, page.StatusCode, got)
					}
					k.rejected(page, "connection_ended")
					doc := b.fetch(target)
					var p middleware.Problem
					if err := json.Unmarshal([]byte(text(doc)), &p); err != nil {
						t.Fatalf("%v: %s", err, text(doc))
					}
					if doc.StatusCode != http.StatusUnauthorized || p.Reason != middleware.ReasonEnded || p.Title != title || p.Detail == "" || p.Provider != "plain" || p.LoginPost {
						t.Errorf("%s: status %d: %+v", target, doc.StatusCode, p)
					}
					if got := k.location(b.back(k.browser().approve(k.location(b.open(p.LoginURL)), account))); got != target {
						t.Errorf("%s: landed at %q", target, got)
					}
					if got := text(b.open(target)); got != "inside" {
						t.Errorf("%s: afterwards %s", target, got)
					}
				}
				b.end("plain", row.label, account)
				if got := k.location(b.open("/gated")); !strings.HasPrefix(got, "https://plain.example/") {
					t.Errorf("the load of a page is sent to %s", got)
				}
			})
		})
	}
}
