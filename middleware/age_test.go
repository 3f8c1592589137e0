package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// saysAuthTime makes the provider put into its ID tokens what value returns as auth_time; nil is none.
func (k *kit) saysAuthTime(value func() any) {
	k.idp.Set(func(b *providertest.Behavior) {
		b.Claims = func(_ *providertest.Draft, c map[string]any) {
			delete(c, "auth_time")
			if v := value(); v != nil {
				c["auth_time"] = v
			}
		}
	})
}

func unknown() any { return nil }

// A provider that leaves out auth_time unless it is asked for it: a sign-in beside the gate opens nothing.
func TestMaxAge_plainSignIn(t *testing.T) {
	eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
		k := newKit(t, change)
		k.gate("/strong", middleware.Need{MaxAge: 5 * time.Minute})
		pass, now := at(k), time.Now()
		let := func(d time.Duration) { pass(d); now = now.Add(d) }
		just := func() any { return now.Unix() }
		b := k.browser()
		beside := func() {
			k.saysAuthTime(unknown)
			b.signIn("idp", "ada", "/")
			k.saysAuthTime(just)
		}
		step := func() {
			auth := k.location(b.open("/strong"))
			if got := query(t, auth).Get("max_age"); got != "300" {
				t.Fatalf("sent to %s, want max_age=300", auth)
			}
			if got := k.location(b.back(b.approve(auth, "ada"))); got != "/strong" {
				t.Fatalf("landed at %s", got)
			}
		}
		inside := func() {
			if got := text(b.open("/strong")); got != "inside" {
				t.Errorf("the gate says %s", got)
			}
		}
		beside()
		k.within(b, func(ctx context.Context) {
			if err := middleware.Check(ctx, middleware.Need{MaxAge: time.Hour}); err == nil {
				t.Error("a sign-in that proved nothing is recent")
			}
		})
		step()
		inside()
		let(2 * time.Minute)
		beside() // takes away nothing that was shown
		inside()
		let(3*time.Minute + time.Second)
		beside() // and adds nothing
		step()
		inside()
	})
}

// At the gate and at the callback, one rule: to the second, by the provider's clock as far as it may be off, and never
// later than the person was seen. Whoever the callback lets in the gate does, too.
func TestMaxAge_boundaries(t *testing.T) {
	const never = -1
	ago := func(d time.Duration) func() any { return func() any { return time.Now().Add(-d).Unix() } }
	value := func(v any) func() any { return func() any { return v } }
	rows := []struct {
		name   string
		age    time.Duration
		skew   time.Duration
		says   func() any
		reason string        // of a refusal at the callback; "" is none
		open   time.Duration // how long the gate is open then
	}{
		{"now", 5 * time.Minute, 0, ago(0), "", 5 * time.Minute},
		{"exactly so long ago", 5 * time.Minute, 0, ago(5 * time.Minute), "", time.Minute},
		{"by as much more as the clock may be off", 5 * time.Minute, 0, ago(6 * time.Minute), "", 0},
		{"a second more", 5 * time.Minute, 0, ago(6*time.Minute + time.Second), "need_unmet", never},
		{"a clock that is behind by more than MaxAge", 10 * time.Second, 0, ago(30 * time.Second), "", 10 * time.Second},
		{"a larger skew", 5 * time.Minute, 2 * time.Minute, ago(7 * time.Minute), "", 0},
		{"a larger skew, a second more", 5 * time.Minute, 2 * time.Minute, ago(7*time.Minute + time.Second), "need_unmet", never},
		{"no skew", 5 * time.Minute, -1, ago(5 * time.Minute), "", 0},
		{"no skew, a second more", 5 * time.Minute, -1, ago(5*time.Minute + time.Second), "need_unmet", never},
		{"to come, within skew", 5 * time.Minute, 0, ago(-30 * time.Second), "", 5 * time.Minute},
		{"to come in a year", 5 * time.Minute, 0, ago(-365 * 24 * time.Hour), "", 5 * time.Minute},
		{"a part of a second", 1500 * time.Millisecond, 0, ago(0), "", 2 * time.Second},
		{"not said", 5 * time.Minute, 0, unknown, "auth_time_unknown", never},
		{"zero", 5 * time.Minute, 0, value(0), "auth_time_unknown", never},
		{"negative", 5 * time.Minute, 0, value(-1), "auth_time_unknown", never},
		{"text", 5 * time.Minute, 0, value("now"), "auth_time_unknown", never},
		{"past all dates", 5 * time.Minute, 0, value(1e18), "auth_time_unknown", never},
	}
	for _, row := range rows {
		for _, signedIn := range []bool{false, true} {
			name := row.name + map[bool]string{false: ", a sign-in", true: ", a step-up"}[signedIn]
			t.Run(name, func(t *testing.T) {
				eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					synctest.Test(t, func(t *testing.T) {
						k := newKit(t, change, func(k *kit, c *middleware.Config) {
							p := k.idp.OIDC("idp")
							p.Skew = row.skew
							c.Providers[0] = p
						})
						k.gate("/strong", middleware.Need{Provider: "idp", MaxAge: row.age})
						b := k.browser()
						if signedIn {
							k.saysAuthTime(unknown)
							b.signIn("idp", "ada", "/")
						}
						k.saysAuthTime(row.says)
						resp := b.back(k.browser().approve(k.location(b.open("/strong")), "ada"))
						if row.reason != "" {
							k.rejected(resp, row.reason)
							if body := text(resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, `href="/auth/idp/login?`) {
								t.Errorf("status %d: %s", resp.StatusCode, body)
							}
							if got := b.whoami() != nobody; got != signedIn {
								t.Errorf("signed in: %v", got)
							}
							return
						}
						if got := k.location(resp); got != "/strong" {
							t.Fatalf("landed at %s", got)
						}
						for _, wait := range []time.Duration{0, row.open} {
							time.Sleep(wait)
							if got := text(b.open("/strong")); got != "inside" {
								t.Fatalf("after %v: %s", wait, got)
							}
						}
						time.Sleep(time.Second)
						if got := text(b.open("/strong")); got == "inside" { // a redirect, or a button within a minute
							t.Error("a second more: still open")
						}
					})
				})
			})
		}
	}
}

// A provider that never says when somebody signed in, and a gate that needs it: each visit ends at a page with a button,
// not in a circle.
func TestMaxAge_noLoop(t *testing.T) {
	eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
		k := newKit(t, change)
		k.gate("/strong", middleware.Need{MaxAge: 5 * time.Minute})
		pass, b := at(k), k.browser()
		k.saysAuthTime(unknown)
		b.signIn("idp", "ada", "/")
		for range 3 {
			k.rejected(b.back(b.approve(k.location(b.open("/strong")), "ada")), "auth_time_unknown")
			resp := b.open("/strong") // a moment later: no automatic start
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("status %d; log:\n%s", resp.StatusCode, k.log)
			}
			b.is(ada)
			pass(2 * time.Minute)
		}
	})
}

// A protocol that has no way to ask: nobody is sent anywhere.
func TestMaxAge_plainOAuth(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.gate("/strong", middleware.Need{Provider: "plain", MaxAge: 5 * time.Minute})
		b := k.browser()
		for range 2 {
			resp := b.open("/strong")
			k.rejected(resp, "need_unmet")
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("status %d", resp.StatusCode)
			}
			b.signIn("plain", "ada", "/")
		}
	})
}

// lax is a provider of the app's own that does not look at what a flow asks for.
type lax struct{ providers.Provider }

func (l lax) Finish(ctx context.Context, f *providers.Flow, v url.Values) (*providers.Token, *providers.Identity, error) {
	anytime := *f
	anytime.MaxAge = 0
	return l.Provider.Finish(ctx, &anytime, v)
}

// The judgment does not depend on a provider that judges.
func TestMaxAge_lax(t *testing.T) {
	for reason, says := range map[string]func() any{
		"auth_time_unknown": unknown,
		"need_unmet":        func() any { return time.Now().Add(-time.Hour).Unix() },
	} {
		eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
			k := newKit(t, change, func(k *kit, c *middleware.Config) { c.Providers[0] = lax{k.idp.OIDC("idp")} })
			k.gate("/strong", middleware.Need{Provider: "idp", MaxAge: 5 * time.Minute})
			k.saysAuthTime(says)
			b := k.browser()
			k.rejected(b.back(b.approve(k.location(b.open("/strong")), "ada")), reason)
			b.is(nobody)
		})
	}
}
