package middleware_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// A provider that gives a refresh token at the first consent only: signing in again takes nothing away.
func TestGrant_refreshTokenKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.plain.Set(func(b *providertest.Behavior) { b.Rotation = providertest.RotateNone })
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.Without("refresh_token") })
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		if got := k.token(b, ""); got.err != nil {
			t.Errorf("after another sign-in without a refresh token: %v", got.err)
		}
	})
}

// What a sign-in keeps of the grant before is not what a refresh has traded a moment ago: a provider
// that rotates strictly would take it for a thief's.
func TestGrant_keptWhileRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.plain.Set(func(b *providertest.Behavior) {
			b.Fields = func(d *providertest.Draft, m map[string]any) {
				if d.GrantType == "authorization_code" {
					delete(m, "refresh_token")
				}
			}
		})
		callback := b.approve(b.start("plain", "/"), "ada")
		b.is(ada) // the cookie has been seen: from here on only the grant changes
		w := watch(k)
		var once atomic.Bool
		w.on(func(op string, key sessionstore.Key) error {
			if op == "update" && key.Kind == "session" && once.CompareAndSwap(false, true) {
				k.within(b, func(ctx context.Context) { // it has loaded the session, and not saved it
					if _, err := middleware.Refresh(ctx, ""); err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		})
		k.location(b.back(callback))
		w.on(nil)
		if got := k.refreshes(k.plain); got != 1 {
			t.Fatalf("%d refreshes during the sign-in, want 1", got)
		}
		time.Sleep(time.Hour)
		if got := k.token(b, ""); got.err != nil {
			t.Errorf("an hour later: %v", got.err)
		}
		k.refreshes(k.plain) // none was sent again
	})
}

// A step-up for a stronger sign-in takes the new token, whatever else it may do: the old one does not
// carry what the API asked for.
func TestGrant_strongerIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.gate("/gold", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		old := k.token(b, "").access
		k.idp.Set(func(b *providertest.Behavior) { b.Fields = providertest.With("scope", "openid") })
		k.location(b.back(k.browser().approve(k.location(b.open("/gold")), "ada")))
		if got := k.token(b, ""); got.err != nil || got.access == old {
			t.Errorf("the old token after a step-up, error %v", got.err)
		}
	})
}

// What was granted stays granted when a sign-in asked for less. But it stays with whose it is, and not
// behind its end.
func TestGrant_less(t *testing.T) {
	rows := []struct {
		name   string
		then   func(k *kit, b *browser)
		person string // whose the token is
		scopes string // of it
	}{
		{"the same account", func(_ *kit, b *browser) { b.link("plain", "work", "grace") }, "Grace Hopper", "videos"},
		{"another account", func(_ *kit, b *browser) { b.link("plain", "work", "emmy") }, "Emmy Noether", ""},
		{"the same account, which the provider had ended", func(k *kit, b *browser) {
			k.plain.EndGrants("grace")
			time.Sleep(time.Hour)
			k.within(b, func(ctx context.Context) {
				_, _ = middleware.Token(middleware.WithConnection(ctx, "work"), "plain") // which finds out
			})
			b.link("plain", "work", "grace")
		}, "Grace Hopper", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, func(k *kit, c *middleware.Config) {
						p := k.plain.OAuth2("plain")
						p.Scopes = []string{"videos"}
						c.Providers[1] = p
					})
					b := k.browser()
					b.signIn("idp", "ada", "/")
					b.link("plain", "work", "grace")
					k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.With("scope", "") })
					row.then(k, b)
					k.within(b, func(ctx context.Context) {
						ctx = middleware.WithConnection(ctx, "work")
						tok, err := middleware.Token(ctx, "plain")
						if err != nil {
							t.Fatal(err)
						}
						if got := strings.Join(tok.Scopes, " "); got != row.scopes {
							t.Errorf("scopes %q, want %q", got, row.scopes)
						}
						resp, err := middleware.Client(ctx, "plain").Get("/me")
						if err != nil {
							t.Fatal(err)
						}
						if got := text(resp); !strings.Contains(got, row.person) {
							t.Errorf("the API answers %s, want %s", got, row.person)
						}
					})
				})
			})
		})
	}
}
