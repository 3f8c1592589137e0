package middleware_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Any number of tabs may start before the browser has a cookie, as restored ones do, and end in any order.
func TestBinding_firstTabs(t *testing.T) {
	orders := map[string]func([]string){
		"as they came": func([]string) {},
		"in reverse":   slices.Reverse[[]string],
		"in any order": func(s []string) { rand.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] }) },
	}
	for name, order := range orders {
		for _, gated := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gated: %v", name, gated), func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					k.mux.Handle("/page/", k.auth.Require(middleware.Need{Provider: "plain"})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
					b := k.browser()
					callbacks, landings := b.firstTabs(64, gated)
					order(callbacks)
					for _, callback := range callbacks {
						r := b.callback(callback)
						if got := len(r.Header.Get("Cookie")); got > 7<<10 {
							t.Errorf("Cookie has %d bytes", got)
						}
						resp := b.do(r)
						if got, want := k.location(resp), landings[callback]; got != want {
							t.Errorf("landed at %q, want %q", got, want)
						}
						if got := len(resp.Header["Set-Cookie"]); got > 12 {
							t.Errorf("%d cookies in one answer", got)
						}
						if got := b.whoami(); got != "Ada Lovelace" {
							t.Fatalf("signed in as %q", got)
						}
					}
					if got := b.cookies(); len(got) != 2 {
						t.Errorf("%d cookies in the end, want 2", len(got))
					}
					if got := k.redeems(); got != 64 {
						t.Errorf("%d token requests, want 64", got)
					}
					for _, callback := range callbacks { // loaded again, each lands where it did
						if got, want := k.location(b.back(callback)), landings[callback]; got != want {
							t.Errorf("loaded again: landed at %q, want %q", got, want)
						}
					}
					if resp := b.open("/page/1"); resp.StatusCode != http.StatusOK {
						t.Errorf("status %d", resp.StatusCode)
					}
				})
			})
		}
	}
}

// firstTabs starts n sign-ins before any of them has an answer, and returns their callbacks and where
// those have to land.
func (b *browser) firstTabs(n int, gated bool) (callbacks []string, landings map[string]string) {
	b.k.t.Helper()
	landings = map[string]string{}
	var requests []*http.Request
	for i := range n {
		target := fmt.Sprint("/auth/plain/login?return_to=/page/", i)
		if gated {
			target = fmt.Sprint("/page/", i)
		}
		requests = append(requests, b.request(http.MethodGet, target, nil))
	}
	for i, r := range requests {
		callback := b.k.browser().approve(b.k.location(b.do(r)), "ada")
		callbacks, landings[callback] = append(callbacks, callback), fmt.Sprint("/page/", i)
	}
	return callbacks, landings
}

// Of more tabs, the oldest start again, and no answer carries all the cookies.
func TestBinding_tooManyTabs(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	callbacks, _ := b.firstTabs(70, false)
	page := text(b.back(callbacks[0]))
	if !strings.Contains(page, "/auth/plain/login") || k.redeems() != 0 {
		t.Errorf("no way to start again: %s", page)
	}
	for i := 69; i >= 6; i-- {
		if k.location(b.back(callbacks[i])); b.whoami() != "Ada Lovelace" {
			t.Errorf("tab %d: %q", i, b.whoami())
		}
	}
	for range 20 { // starts tidy up as well
		if resp := b.open("/auth/plain/login"); len(resp.Header["Set-Cookie"]) > 12 {
			t.Errorf("%d cookies in one answer", len(resp.Header["Set-Cookie"]))
		}
	}
	if got := k.redeems(); got != 64 {
		t.Errorf("%d token requests, want 64", got)
	}
	if got := b.bindings(); len(got) != 1 {
		t.Errorf("%d binding cookies, want 1", len(got))
	}
}

// The form that a tab had saved comes back in it, whatever other first tab has signed in before.
func TestBinding_firstTabsWithPages(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.handle("/save", func(w http.ResponseWriter, r *http.Request) {
			if err := middleware.SavePage(r.Context(), r.FormValue("v")); err != nil {
				t.Error(err)
			}
			to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "plain"}, "/form")
			if err != nil {
				t.Error(err)
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
		})
		k.handle("/form", func(w http.ResponseWriter, r *http.Request) {
			var v string
			_ = middleware.Returned(r.Context(), &v)
			fmt.Fprint(w, v)
		})
		b := k.browser()
		var requests []*http.Request
		for i := range 6 {
			requests = append(requests, b.request(http.MethodGet, fmt.Sprint("/save?v=", i), nil))
		}
		var callbacks []string
		for _, r := range requests { // each tab follows its own redirect with the cookies that it was given
			tab := k.browser()
			to := k.location(tab.do(r))
			start := tab.request(http.MethodGet, to, nil)
			callbacks = append(callbacks, k.browser().approve(k.location(tab.do(start)), "ada"))
			for name, value := range tab.cookies() {
				b.setCookie(name, value)
			}
		}
		for i, callback := range callbacks {
			if got := text(b.open(k.location(b.back(callback)))); got != fmt.Sprint(i) {
				t.Errorf("tab %d has %q", i, got)
			}
			b.is(ada)
		}
	})
}

// event is what makes worthless what was known of a browser before.
type event struct {
	name   string
	before func(b *browser)
	happen func(b *browser)
	who    string // is signed in afterwards
}

var events = []event{
	{"sign-in", func(b *browser) { b.start("plain", "/") }, func(b *browser) { b.signIn("plain", "ada", "/") }, "Ada Lovelace"},
	{"sign-out", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.post("/auth/logout", nil) }, "nobody"},
	{"sign-out by the app", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/bye") }, "nobody"},
	{"Destroy", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/destroy") }, "nobody"},
	{"change of user", func(b *browser) { b.signIn("plain", "grace", "/") }, func(b *browser) { b.signIn("plain", "ada", "/") }, "Ada Lovelace"},
	{"RenewToken", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, "Ada Lovelace"},
	{"RenewToken of a visitor", func(b *browser) { b.put("k", "v"); b.start("plain", "/") }, func(b *browser) { b.open("/renew") }, "nobody"},
	{"RenewToken where nothing is stored", func(b *browser) { b.start("plain", "/") }, func(b *browser) { b.open("/renew") }, "nobody"},
	{"raised level", func(b *browser) { b.signIn("idp", "ada", "/") }, func(b *browser) {
		b.back(b.k.browser().approve(b.k.location(b.open("/strong")), "ada"))
	}, "Ada Lovelace"},
}

// eachEvent runs a test for each event, on an app in which they can happen.
func eachEvent(t *testing.T, f func(t *testing.T, k *kit, e event, pass func(time.Duration))) {
	for _, e := range events {
		t.Run(e.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, change)
				pass := at(k)
				notes(k)
				k.gate("/strong", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
				k.handle("/bye", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
				k.handle("/destroy", func(_ http.ResponseWriter, r *http.Request) { _ = k.auth.Sessions().Destroy(r.Context()) })
				k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
					k.auth.Sessions().Put(r.Context(), "renewed", "1")
					_ = k.auth.Sessions().RenewToken(r.Context())
				})
				f(t, k, e, pass)
			})
		})
	}
}

// knows gives an attacker the cookies of the victim as they are now: the bindings, and the session if all.
func (b *browser) knows(victim *browser, all bool) {
	for name, value := range victim.cookies() {
		if all || strings.Contains(name, "-bind-") {
			b.setCookie(name, value)
		}
	}
}

// A binding that was known before an event, or planted before it, opens nothing that starts after it. The
// clock may stand still.
func TestBinding_knownBefore(t *testing.T) {
	ways := []struct {
		name  string
		learn func(attacker, victim *browser)
		shows string // "nothing", "own" or "old": session cookie of the attacker in the end
	}{
		{"known", func(attacker, victim *browser) { attacker.knows(victim, false) }, "nothing"},
		{"known, with a session of his own", func(attacker, victim *browser) { attacker.knows(victim, false) }, "own"},
		{"known, with the session cookie of then", func(attacker, victim *browser) { attacker.knows(victim, true) }, "old"},
		{"planted", func(attacker, victim *browser) {
			attacker.start("plain", "/")
			for _, name := range attacker.bindings() {
				victim.setCookie(name, attacker.cookies()[name])
			}
		}, "nothing"},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			eachEvent(t, func(t *testing.T, k *kit, e event, pass func(time.Duration)) {
				attacker, victim := k.browser(), k.browser()
				e.before(victim)
				way.learn(attacker, victim)
				old := attacker.session()
				e.happen(victim)
				if got := victim.whoami(); got != e.who {
					t.Fatalf("%q after the event, want %q", got, e.who)
				}
				attacker.setCookie("__Host-rl", "")
				attacker.put("cart", "evil")
				bait := attacker.start("plain", "/evil")
				redeems, shown := k.redeems(), victim.session()
				callback := k.browser().approve(bait, "ada")
				victim.back(callback)
				if k.redeems() != redeems || victim.session() != shown || victim.get("cart") == "evil" {
					t.Errorf("the victim has finished the attacker's sign-in: %d token requests, cart %q", k.redeems()-redeems, victim.get("cart"))
				}
				switch way.shows {
				case "nothing":
					attacker.setCookie("__Host-rl", "")
				case "old":
					attacker.setCookie("__Host-rl", old)
				}
				attacker.back(strings.Replace(callback, "code=", "code=x", 1))
				if got := attacker.whoami(); got != "nobody" {
					t.Errorf("the attacker is %q", got)
				}
				if got := victim.whoami(); got != e.who {
					t.Errorf("the victim is %q", got)
				}
			})
		})
	}
}

// What is under way when an event happens goes on. That the attacker had started it, with what he knew,
// gives him nothing.
func TestBinding_underWay(t *testing.T) {
	t.Run("of the browser", func(t *testing.T) {
		eachEvent(t, func(t *testing.T, k *kit, e event, pass func(time.Duration)) {
			b := k.browser()
			e.before(b)
			auth := b.start("plain", "/page")
			e.happen(b)
			pass(50 * time.Minute)
			callback := k.browser().approve(auth, "ada")
			if got := k.location(b.back(callback)); got != "/page" {
				t.Errorf("landed at %q", got)
			}
			b.is(ada)
			if got := b.bindings(); len(got) != 1 {
				t.Errorf("binding cookies %q, want one", got)
			}
			if got := k.location(b.back(callback)); got != "/page" {
				t.Errorf("loaded again: landed at %q", got)
			}
		})
	})
	tries := []struct {
		name string
		try  func(attacker, victim *browser, old string, pass func(time.Duration)) // before the replay
	}{
		{"shows nothing, once the cookie was seen", func(a, v *browser, _ string, _ func(time.Duration)) { v.whoami(); a.setCookie("__Host-rl", "") }},
		{"shows nothing, once a script has shown the cookie", func(a, v *browser, _ string, _ func(time.Duration)) { v.status(); a.setCookie("__Host-rl", "") }},
		{"shows his own session", func(a, v *browser, _ string, _ func(time.Duration)) {}},
		{"shows an old cookie, once the cookie was seen", func(a, v *browser, old string, _ func(time.Duration)) { v.whoami(); a.setCookie("__Host-rl", old) }},
		{"shows nothing, after two minutes", func(a, v *browser, _ string, pass func(time.Duration)) {
			a.setCookie("__Host-rl", "")
			pass(2*time.Minute + time.Second)
		}},
	}
	for _, row := range tries {
		t.Run("of the attacker, who "+row.name, func(t *testing.T) {
			eachEvent(t, func(t *testing.T, k *kit, e event, pass func(time.Duration)) {
				attacker, victim := k.browser(), k.browser()
				e.before(victim)
				old := victim.session()
				attacker.knows(victim, false)
				attacker.put("cart", "evil")
				bait := attacker.start("plain", "/evil")
				e.happen(victim)
				callback := k.browser().approve(bait, "ada")
				victim.back(callback)
				row.try(attacker, victim, old, pass)
				shown := attacker.session()
				resp := attacker.back(strings.Replace(callback, "code=", "code=x", 1))
				if got := attacker.session(); got != shown || attacker.whoami() != "nobody" {
					t.Errorf("the attacker is %q by %v", attacker.whoami(), resp.Cookies())
				}
				if got := victim.get("cart"); got == "evil" {
					t.Error("the attacker's values came along")
				}
			})
		})
	}
}

// A binding is known, and nothing has happened since: the attacker's sign-in is ended by the victim, as
// his own. Nothing of the attacker's session comes along, and no cookie goes to him.
func TestBinding_knownNow(t *testing.T) {
	rows := []struct {
		name    string
		prepare func(b *browser)
	}{
		{"nothing stored", func(*browser) {}},
		{"an anonymous record", func(b *browser) { b.put("own", "1") }},
		{"no session cookie", func(b *browser) { b.setCookie("__Host-rl", "") }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				attacker, victim := k.browser(), k.browser()
				victim.start("plain", "/")
				row.prepare(victim)
				attacker.put("cart", "evil")
				attacker.knows(victim, false)
				bait := attacker.start("plain", "/evil")
				callback := k.browser().approve(bait, "ada")
				k.location(victim.back(callback))
				victim.is(ada)
				if got := victim.get("cart"); got != "" {
					t.Errorf("the attacker's values came along: %q", got)
				}
				for _, cookie := range []string{attacker.session(), ""} {
					attacker.setCookie("__Host-rl", cookie)
					attacker.back(callback)
					if got := attacker.whoami(); got != "nobody" {
						t.Errorf("the attacker is %q", got)
					}
				}
			})
		})
	}
}

// What is no binding of ours is as if it were not there.
func TestBinding_madeUp(t *testing.T) {
	k := newKit(t)
	other := newKit(t).browser() // an app with other keys
	other.start("plain", "/")
	foreign := other.cookies()[other.bindings()[0]]
	mine := k.browser()
	mine.start("plain", "/")
	own := mine.cookies()[mine.bindings()[0]]
	rows := []struct{ name, cookie, value string }{
		{"43 characters", "AAAAAAAA", strings.Repeat("A", 43) + ".zzzz"},
		{"the year 9999", "AAAAAAAA", strings.Repeat("A", 43) + ".2tnwz3qkg"},
		{"43 characters alone", "AAAAAAAA", strings.Repeat("A", 43)},
		{"of other keys", other.bindings()[0][len("__Host-rl-bind-"):], foreign},
		{"under another name", "AAAAAAAA", own},
		{"cut off", mine.bindings()[0][len("__Host-rl-bind-"):], own[:len(own)-1]},
		{"longer", mine.bindings()[0][len("__Host-rl-bind-"):], own + "A"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := k.browser()
			b.setCookie("__Host-rl-bind-"+row.cookie, row.value)
			auth := b.start("plain", "/page")
			made := maps.Clone(b.cookies())
			delete(made, "__Host-rl-bind-"+row.cookie)
			if len(made) != 2 {
				t.Errorf("cookies %v, want a binding of our own", b.cookies())
			}
			alone := k.browser()
			alone.setCookie("__Host-rl-bind-"+row.cookie, row.value)
			k.rejected(alone.back(k.browser().approve(auth, "ada")), "state")
			if got := k.location(b.back(k.browser().approve(auth, "ada"))); got != "/page" {
				t.Errorf("landed at %q", got)
			}
		})
	}
}

// A key ring that is changed keeps what is under way.
func TestBinding_keyChanged(t *testing.T) {
	one, two := sessionstore.NewKeyring()[0], sessionstore.NewKeyring()[0]
	two.ID = one.ID + 1
	memory := &sessionstore.Memory{}
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = memory, sessionstore.Keyring{one, two} })
	next := newKit(t, func(n *kit, c *middleware.Config) {
		n.plain = k.plain
		c.Store, c.Keys, c.Providers = memory, sessionstore.Keyring{two, one}, []providers.Provider{k.plain.OAuth2("plain")}
	})
	b := k.browser()
	callback := k.browser().approve(b.start("plain", "/page"), "ada")
	b.k = next
	second := next.browser().approve(b.start("plain", "/other"), "ada")
	for to, want := range map[string]string{callback: "/page", second: "/other"} {
		r := b.callback(to)
		if got := next.location(b.do(r)); got != want {
			t.Errorf("landed at %q, want %q", got, want)
		}
	}
	third := next.browser().approve(b.start("plain", "/third"), "ada") // under the new key
	b.k = k                                                            // a replica that has both keys, in the other order
	if got := k.location(b.back(third)); got != "/third" {
		t.Errorf("landed at %q", got)
	}
}
