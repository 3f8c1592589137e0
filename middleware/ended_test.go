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
	"github.com/returnleg/returnleg/providers/providertest"
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
		{"of the sign-in, and a scope was never there", "", middleware.Need{Scopes: []string{"upload"}}},
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

// Who has said no to a scope is not asked for it again without a word, and not when the connection has
// ended either.
func TestEnded_declined(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.gate("/upload", middleware.Need{Scopes: []string{"upload"}})
		k.gate("/videos", middleware.Need{Scopes: []string{"videos"}})
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.With("scope", "videos") })
		k.location(b.back(b.approve(k.location(b.open("/upload")), "ada")))
		k.rejected(b.open("/upload"), "need_unmet")
		b.end("plain", "", "ada")
		page := b.open("/upload")
		k.rejected(page, "connection_ended")
		if got := text(page); !strings.Contains(got, ">Connect Plain again</a>") {
			t.Errorf("no button: %s", got)
		}
		if got := k.location(b.open("/videos")); !strings.HasPrefix(got, "https://plain.example/") {
			t.Errorf("for what was granted, sent to %s", got)
		}
	})
}

// Who lacks a connection is told to connect it, and whose: they have allowed as much as they were asked.
func TestNotConnected(t *testing.T) {
	rows := []struct {
		name, target string
		need         middleware.Need
		title        string
	}{
		{"another provider", "/gated", middleware.Need{Provider: "idp"}, "Please connect Idp"},
		{"another account", "/gated", middleware.Need{Provider: "plain", Label: "work", Scopes: []string{"upload"}}, "Please connect Plain"},
		{"another account, unnamed", "/gated", middleware.Need{Label: "work"}, "Please connect Plain"},
		{"by a handler", "/handler", middleware.Need{Provider: "idp"}, "Please connect Idp"},
		{"by a link", "/link", middleware.Need{Provider: "plain", Label: "work"}, "Please connect Plain"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.gate("/gated", row.need)
				k.mux.Handle("/handler", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
					_, err := middleware.Token(r.Context(), row.need.Provider)
					return err
				}))
				b := k.browser()
				b.signIn("plain", "ada", "/")
				target := row.target
				if target == "/link" {
					k.within(b, func(ctx context.Context) { target, _ = middleware.LoginURL(ctx, row.need, "/") })
				}
				page := b.open(target)
				k.rejected(page, "need_unmet")
				got := text(page)
				provider := strings.TrimPrefix(row.title, "Please connect ")
				if page.StatusCode != http.StatusForbidden || strings.Count(got, row.title) != 2 || strings.Contains(got, "allowed") ||
					!strings.Contains(got, ">Connect "+provider+"</button>") {
					t.Errorf("status %d: %s", page.StatusCode, got)
				}
				if row.target == "/link" {
					return // which no script opens
				}
				var p middleware.Problem
				if err := json.Unmarshal([]byte(text(b.fetch(target))), &p); err != nil || p.Title != row.title || !strings.Contains(p.Detail, provider) {
					t.Errorf("%+v, %v", p, err)
				}
			})
		})
	}
}
