package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// What people did with streamlit-oauth, by the rows of its check list.

// ticket is a provider of the app's own, which speaks no OAuth.
type ticket struct{}

func (ticket) Name() string { return "ticket" }

func (ticket) Begin(_ context.Context, f *providers.Flow) (string, error) {
	return "https://tickets.example/?" + url.Values{"state": {f.State}, "to": {f.RedirectURL}}.Encode(), nil
}

func (ticket) Check(_ context.Context, f *providers.Flow, answer url.Values) error {
	if answer.Get("state") != f.State || len(answer["ticket"]) != 1 {
		return providers.ErrAnswer
	}
	return nil
}

func (ticket) Finish(_ context.Context, _ *providers.Flow, answer url.Values) (*providers.Token, *providers.Identity, error) {
	id := &providers.Identity{Issuer: "https://tickets.example", Subject: answer.Get("ticket"), Name: "Ticket " + answer.Get("ticket")}
	return &providers.Token{Access: "ticket-" + id.Subject, Type: "Ticket"}, id, nil
}

func (ticket) Refresh(context.Context, *providers.Token) (*providers.Token, error) {
	return nil, providers.ErrNoRefresh
}

func (ticket) Authorize(r *http.Request, t *providers.Token) error {
	r.Header.Set("X-Ticket", t.Access)
	return nil
}

func (ticket) API() (string, []string) {
	return "https://api.example/v1/", []string{"https://api.example"}
}

var _ providers.API = ticket{}

func TestSeed_S2_ownProvider(t *testing.T) {
	var shown string
	k := newKit(t, withAPI(func(_ http.ResponseWriter, r *http.Request) { shown = r.Header.Get("X-Ticket") }),
		func(_ *kit, c *middleware.Config) { c.Providers = append(c.Providers, ticket{}) })
	b := k.browser()
	q := query(t, b.start("ticket", "/p"))
	back := q.Get("to") + "?" + url.Values{"state": {q.Get("state")}, "ticket": {"7"}}.Encode()
	k.rejected(k.browser().back(back), "state")
	b.lands(back, "/p", "Ticket 7")
	asks(b, "ticket", "seats")
	if shown != "ticket-7" {
		t.Errorf("the API was shown %q", shown)
	}
}

// A page that is rendered again keeps the sign-in that it had begun.
func TestSeed_S5_renderedAgain(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	var links []string
	for range 2 {
		b.inside("/p", func(ctx context.Context) {
			to, err := middleware.LoginURL(ctx, middleware.Need{Provider: "plain"}, "/p")
			if err != nil {
				t.Error(err)
			}
			links = append(links, to)
		})
	}
	if links[0] != links[1] {
		t.Errorf("the link changed from %q to %q", links[0], links[1])
	}
	pending := k.location(b.open(links[0]))
	for range 5 { // the page is loaded again, and its button pressed again, while the person is away
		b.open("/whoami")
		k.location(b.open(links[1]))
	}
	b.lands(b.approve(pending, "ada"), "/p", ada)
}

// The tab that stayed learns of it from the app, whatever became of the window that went, and neither
// tab ever holds what came back.
func TestSeed_S6_S7_otherWindow(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			b.inside("/p", func(ctx context.Context) { k.auth.Sessions().Put(ctx, "seen", true) })
			callback := b.approve(b.start(provider, "/whoami"), "ada")
			if got := b.status()["signed_in"]; got != false {
				t.Fatalf("signed in: %v", got)
			}
			resp := b.back(callback)
			landing := k.location(resp)
			polled := text(b.fetch("/auth/status"))
			if !strings.Contains(polled, `"signed_in":true`) || !strings.Contains(polled, ada) {
				t.Errorf("status %s", polled)
			}
			secrets := []string{query(t, callback).Get("code"), state(t, callback)}
			b.inside("/p", func(ctx context.Context) {
				tok, err := middleware.Token(ctx, provider)
				if err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, tok.Access, tok.Refresh, tok.ID)
			})
			for i, s := range secrets {
				if s != "" && strings.Contains(text(resp)+landing+polled+text(b.open(landing)), s) {
					t.Errorf("secret %d reaches a page", i)
				}
			}
			for _, c := range resp.Cookies() {
				if !c.HttpOnly {
					t.Errorf("scripts can read cookie %s", c.Name)
				}
			}
		})
	}
}

func TestSeed_S8_errors(t *testing.T) {
	rows := []struct {
		name   string
		answer func(q url.Values) // what the provider's answer is changed to
		reason middleware.Reason
		status int
	}{
		{"error of the provider", func(q url.Values) { q.Del("code"); q.Set("error", "server_error") }, middleware.ReasonProviderError, http.StatusBadGateway},
		{"denied", func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, middleware.ReasonDenied, http.StatusForbidden},
		{"state does not match", func(q url.Values) { q.Set("state", q.Get("state")+"A") }, middleware.ReasonState, http.StatusBadRequest},
		{"no state: not skipped", func(q url.Values) { q.Del("state") }, middleware.ReasonState, http.StatusBadRequest},
		{"no code", func(q url.Values) { q.Del("code") }, middleware.ReasonAnswer, http.StatusBadRequest},
	}
	for _, row := range rows {
		for _, provider := range []string{"idp", "plain"} {
			t.Run(row.name+" "+provider, func(t *testing.T) {
				var seen []*middleware.Problem
				k := newKit(t, problems(&seen))
				b := k.browser()
				path, raw, _ := strings.Cut(b.approve(b.start(provider, "/p"), "ada"), "?")
				q, err := url.ParseQuery(raw)
				if err != nil {
					t.Fatal(err)
				}
				row.answer(q)
				resp := b.back(path + "?" + q.Encode())
				if len(seen) != 1 || seen[0].Reason != row.reason || resp.StatusCode != row.status {
					t.Fatalf("status %d and %v, want %d and %s", resp.StatusCode, seen, row.status, row.reason)
				}
				if k.redeems() != 0 || seen[0].LoginURL == "" {
					t.Errorf("%d token requests, start again at %q", k.redeems(), seen[0].LoginURL)
				}
				b.is(nobody)
			})
		}
	}
}

// The ID token is verified, and what it says is who signed in.
func TestSeed_S11_googleEmail(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	b.signIn("idp", "ada", "/p")
	b.inside("/p", func(ctx context.Context) {
		acc, err := middleware.User(ctx)
		if err != nil || acc.Identity.Email != "ada@practice.example" || !acc.Identity.EmailVerified {
			t.Errorf("%+v, %v", acc, err)
		}
	})
	k.idp.Set(func(b *providertest.Behavior) { b.IDToken = providertest.Flipped })
	other := k.browser()
	if got := other.back(other.approve(other.start("idp", "/p"), "ada")).StatusCode; got != http.StatusBadGateway {
		t.Errorf("status %d for a token that does not verify, want 502", got)
	}
	other.is(nobody)
}

// Several buttons on one page, pressed before any of them came back.
func TestSeed_S12_buttons(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			names := []string{"idp", "plain", "idp"}
			var pending []string
			for i, name := range names {
				pending = append(pending, b.start(name, fmt.Sprint("/p/", i)))
			}
			for _, i := range order {
				b.lands(b.approve(pending[i], "ada"), fmt.Sprint("/p/", i), ada)
			}
			if got := k.redeems(); got != len(names) {
				t.Errorf("%d token requests, want %d", got, len(names))
			}
		})
	}
}

// A connection ends here at once, whether or not the provider answers.
func TestSeed_S10_disconnect(t *testing.T) {
	for name, down := range map[string]bool{"provider answers": false, "provider is down": true} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			b.signIn("plain", "ada", "/p")
			if down {
				k.plain.Set(func(b *providertest.Behavior) { b.Revoke = providertest.Respond(503, "text/html", "down") })
			}
			var client *http.Client
			b.inside("/p", func(ctx context.Context) {
				client = middleware.Client(ctx, "plain")
				if err := middleware.Disconnect(ctx, "plain"); err != nil {
					t.Error(err)
				}
			})
			resp, err := client.Get("/me")
			if err == nil {
				resp.Body.Close()
			}
			if !errors.Is(err, middleware.ErrNotConnected) {
				t.Errorf("a client that was kept: %v, want ErrNotConnected", err)
			}
			b.is(ada)
			if err := k.auth.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := k.plain.Ledger()
			if l.Count("revoke") == 0 || (l.Revoked == 0) != down {
				t.Errorf("%d requests to revoke, %d tokens revoked", l.Count("revoke"), l.Revoked)
			}
			if got := strings.Contains(k.log.String(), "not revoked"); got != down {
				t.Errorf("the log says so: %v; log:\n%s", got, k.log)
			}
		})
	}
}
