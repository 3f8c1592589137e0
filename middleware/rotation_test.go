package middleware_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// password lets an app sign people in by a form of its own, as the documentation of scs has it.
func password(k *kit) {
	notes(k)
	k.handle("POST /password", func(_ http.ResponseWriter, r *http.Request) {
		if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
			k.t.Error(err)
		}
		k.auth.Sessions().Put(r.Context(), "user", r.FormValue("user"))
	})
	k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
		if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
			k.t.Error(err)
		}
	})
}

// A cookie that was known before RenewToken, before a step-up or before a sign-in at another level opens
// nothing from then on, at once and whether or not the new one has been seen.
func TestRotation(t *testing.T) {
	gold := func(k *kit) {
		k.idp.Set(func(b *providertest.Behavior) {
			b.Claims = func(_ *providertest.Draft, c map[string]any) { c["acr"] = "gold" }
		})
	}
	rows := []struct {
		name  string
		first func(b *browser)
		turn  func(b *browser)
	}{
		{"RenewToken, nobody", func(b *browser) { b.put("secret", "0") }, func(b *browser) { b.open("/renew") }},
		{"RenewToken and a value, nobody", func(b *browser) { b.put("secret", "0") }, func(b *browser) { b.post("/password", url.Values{"user": {"ada"}}) }},
		{"RenewToken, a cookie of a start", func(b *browser) { b.start("plain", "/") }, func(b *browser) { b.post("/password", url.Values{"user": {"ada"}}) }},
		{"RenewToken, signed in", func(b *browser) { b.signIn("idp", "ada", "/") }, func(b *browser) { b.open("/renew") }},
		{"RenewToken twice", func(b *browser) { b.signIn("idp", "ada", "/") }, func(b *browser) { b.open("/renew"); b.open("/renew") }},
		{"sign-in", func(b *browser) { b.put("secret", "0") }, func(b *browser) { b.signIn("idp", "ada", "/") }},
		{"sign-in at another level", func(b *browser) { b.signIn("idp", "ada", "/") }, func(b *browser) { gold(b.k); b.signIn("idp", "ada", "/") }},
		{"step-up", func(b *browser) { b.signIn("idp", "ada", "/") }, func(b *browser) {
			b.k.location(b.back(b.approve(b.k.location(b.open("/strong")), "ada")))
		}},
	}
	for _, seen := range []bool{false, true} {
		for _, row := range rows {
			t.Run(fmt.Sprintf("%s, seen %t", row.name, seen), func(t *testing.T) {
				eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
					k := newKit(t, change)
					pass := at(k)
					password(k)
					k.gate("/strong", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
					b, old := k.browser(), k.browser()
					row.first(b)
					if row.name == "step-up" {
						gold(k)
					}
					known := b.session()
					row.turn(b)
					if known == b.session() {
						t.Fatal("the cookie is the same")
					}
					if seen {
						b.put("secret", "1")
					}
					for _, d := range []time.Duration{0, 31 * time.Second, 11 * time.Minute} {
						pass(d)
						old.setCookie("__Host-rl", known) // a start gives it another one
						if got := old.whoami(); got != nobody {
							t.Errorf("%v later it opens %q", d, got)
						}
						for _, key := range []string{"secret", "user"} {
							if got := old.get(key); got != "" {
								t.Errorf("%v later it reads %q", d, got)
							}
						}
						if row.name != "RenewToken, a cookie of a start" { // it makes a session of its own
							old.put("secret", "planted")
						}
						if st := old.status(); st["signed_in"] != false || len(st["connections"].([]any)) > 0 {
							t.Errorf("%v later its status is %v", d, st)
						}
						if resp := old.open("/strong"); text(resp) == "inside" {
							t.Errorf("%v later it opens the gate", d)
						}
					}
					if got := b.get("secret"); got == "planted" {
						t.Error("it has written")
					}
				})
			})
		}
	}
}

// Nor does a sign-in at a provider, which whoever knew the cookie finishes in their own browser, bring
// them to the session: neither one that started before RenewToken nor one that starts after it.
func TestRotation_fixated(t *testing.T) {
	rows := []struct {
		name     string
		early    bool // the sign-in starts before RenewToken
		callback bool // the old cookie is shown at the callback, too
	}{
		{"started before, shown", true, true},
		{"started before, not shown", true, false},
		{"started after, shown", false, true},
		{"started after, not shown", false, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, change)
				pass := at(k)
				password(k)
				victim, mallory := k.browser(), k.browser()
				victim.put("cart", "book")
				mallory.setCookie("__Host-rl", victim.session())
				var callback string
				if row.early {
					callback = mallory.approve(mallory.start("plain", "/"), "grace")
				}
				pass(2 * time.Second)
				victim.post("/password", url.Values{"user": {"ada"}})
				victim.put("cart", "two books")
				pass(2 * time.Second)
				if !row.early {
					callback = mallory.approve(mallory.start("plain", "/"), "grace")
				}
				if !row.callback {
					mallory.setCookie("__Host-rl", "")
				}
				mallory.lands(callback, "/", grace)
				if user, cart := mallory.get("user"), mallory.get("cart"); user != "" || cart != "" {
					t.Errorf("she is %q and has %q", user, cart)
				}
				if user, cart := victim.get("user"), victim.get("cart"); user != "ada" || cart != "two books" {
					t.Errorf("the session is %q with %q, want ada with two books", user, cart)
				}
			})
		})
	}
}

// A sign-in of one's own that started before RenewToken still comes back to the session.
func TestRotation_ownFlow(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		password(k)
		b := k.browser()
		b.put("cart", "book")
		callback := b.approve(b.start("plain", "/"), "ada")
		b.post("/password", url.Values{"user": {"ada"}})
		b.lands(callback, "/", ada)
		if got := b.get("cart"); got != "book" {
			t.Errorf("the cart has %q", got)
		}
	})
}

// A request that was loaded before may still save what it changed, its deadline included.
func TestRotation_underWay(t *testing.T) {
	turns := map[string]func(b *browser){
		"RenewToken":               func(b *browser) { b.open("/renew") },
		"RenewToken twice":         func(b *browser) { b.open("/renew"); b.open("/renew") },
		"sign-in at another level": func(b *browser) { b.signIn("idp", "ada", "/") },
	}
	for name, turn := range turns {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				password(k)
				b := k.browser()
				k.handle("POST /slow", func(w http.ResponseWriter, r *http.Request) {
					k.auth.Sessions().Put(r.Context(), "slow", "1")
					turn(b)
					fmt.Fprint(w, "done")
				})
				b.signIn("idp", "ada", "/")
				k.idp.Set(func(b *providertest.Behavior) {
					b.Claims = func(_ *providertest.Draft, c map[string]any) { c["acr"] = "gold" }
				})
				resp := k.serve(b.request(http.MethodPost, "/slow", nil))
				if got := b.get("slow"); text(resp) != "done" || got != "1" || len(resp.Cookies()) != 0 {
					t.Errorf("%d, slow is %q, cookies %v", resp.StatusCode, got, resp.Cookies())
				}
				b.is(ada)
			})
		})
	}
}

// A stronger sign-in that comes back with the cookie from before the sign-in does not raise what the
// present cookie opens, which somebody may have taken meanwhile.
func TestRotation_raisedFromBefore(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b, thief := k.browser(), k.browser()
		old := b.approve(b.start("idp", "/"), "ada")
		anonymous := b.session()
		k.location(b.back(old))
		thief.setCookie("__Host-rl", b.session())
		b.setCookie("__Host-rl", anonymous) // the answer was lost
		k.idp.Set(func(b *providertest.Behavior) {
			b.Claims = func(_ *providertest.Draft, c map[string]any) { c["acr"] = "gold" }
		})
		b.signIn("idp", "ada", "/")
		b.is(ada)
		thief.is(nobody)
	})
}

// Who knows the cookie replaces it while a request is at work that asked for RenewToken. What that request
// writes, such as who has signed in, does not become theirs.
func TestRotation_raced(t *testing.T) {
	rows := []struct {
		name   string
		method string
		race   func(mallory *browser, callback string)
	}{
		{"by RenewToken", http.MethodPost, func(mallory *browser, _ string) { mallory.open("/renew") }},
		{"by a sign-in", http.MethodPost, func(mallory *browser, callback string) { mallory.lands(callback, "/", grace) }},
		{"a link that signs in", http.MethodGet, func(mallory *browser, _ string) { mallory.open("/renew") }},
		{"by two", http.MethodPost, func(mallory *browser, callback string) { mallory.open("/renew"); mallory.open("/renew") }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				password(k)
				victim, mallory := k.browser(), k.browser()
				victim.put("cart", "book")
				mallory.setCookie("__Host-rl", victim.session())
				callback := mallory.approve(mallory.start("plain", "/"), "grace")
				k.handle("/slow", func(_ http.ResponseWriter, r *http.Request) {
					_ = k.auth.Sessions().RenewToken(r.Context())
					k.auth.Sessions().Put(r.Context(), "user", "ada")
					row.race(mallory, callback)
				})
				resp := victim.do(victim.request(row.method, "/slow", nil))
				if got := mallory.get("user"); got != "" {
					t.Errorf("mallory is %q", got)
				}
				if resp.StatusCode != http.StatusConflict {
					t.Errorf("status %d, want 409", resp.StatusCode)
				}
			})
		})
	}
}

// A link that signs in, which is opened in a browser whose cookie was replaced before: it hears that it was not.
func TestRotation_linkReplaced(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k, b := limbo(t, "sign-in", change)
		k.handle("/magic", func(w http.ResponseWriter, r *http.Request) {
			_ = k.auth.Sessions().RenewToken(r.Context())
			k.auth.Sessions().Put(r.Context(), "user", "ada")
			http.Redirect(w, r, "/form", http.StatusSeeOther)
		})
		if resp := b.open("/magic"); resp.StatusCode != http.StatusConflict {
			t.Errorf("status %d, want 409", resp.StatusCode)
		}
		k.location(b.open("/magic")) // by the button: it has a fresh session then
		if got := b.get("user"); got != "ada" {
			t.Errorf("signed in as %q", got)
		}
	})
}

// A sign-in that started before RenewToken comes to nothing, also where the clock stands still, or is ahead
// at the replica where it started.
func TestRotation_clock(t *testing.T) {
	for _, ahead := range []time.Duration{0, 20 * time.Second} {
		t.Run(ahead.String(), func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				password(k)
				now := time.Now()
				k.auth.SetNow(func() time.Time { return now.Add(ahead) })
				victim, mallory := k.browser(), k.browser()
				victim.put("cart", "book")
				mallory.setCookie("__Host-rl", victim.session())
				callback := mallory.approve(mallory.start("plain", "/"), "grace")
				k.auth.SetNow(func() time.Time { return now })
				victim.post("/password", url.Values{"user": {"ada"}})
				mallory.lands(callback, "/", grace)
				if got := mallory.get("user"); got != "" {
					t.Errorf("mallory is %q", got)
				}
			})
		})
	}
}

// Nor does a step-up raise what somebody has who took the cookie by RenewToken while it came back.
func TestRotation_raisedForOthers(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		password(k)
		k.gate("/strong", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
		victim, thief := k.browser(), k.browser()
		victim.signIn("idp", "ada", "/")
		callback := victim.approve(k.location(victim.open("/strong")), "ada")
		thief.setCookie("__Host-rl", victim.session())
		k.idp.Set(func(b *providertest.Behavior) {
			b.Claims = func(_ *providertest.Draft, c map[string]any) {
				c["acr"] = "gold"
				thief.open("/renew")
			}
		})
		victim.back(callback)
		thief.is(ada)
		if got := text(thief.open("/strong")); got == "inside" {
			t.Error("the thief is let in")
		}
	})
}
