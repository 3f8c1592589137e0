package middleware_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Group K of the attacks, sessions and cookies, and what of group D is about cookies. 129, ending
// all sessions of somebody, comes with the index of sessions; 111 to 122 with refreshing.

func TestAttack_K123_attributes(t *testing.T) { // ASVS 3.3.1 to 3.3.4; RFC 10017; CVE-2026-48058
	rows := []struct {
		name, base string
		persist    bool
		sameSite   http.SameSite
	}{
		{"123 https", appURL, true, http.SameSiteLaxMode},
		{"123 https, until the browser closes", appURL, false, http.SameSiteLaxMode},
		{"123 https, Strict", appURL, true, http.SameSiteStrictMode},
		{"123 loopback http", "http://127.0.0.1:8080", true, http.SameSiteLaxMode},
		{"123 loopback http without port", "http://localhost", true, http.SameSiteLaxMode},
	}
	for _, row := range rows {
		for _, provider := range []string{"idp", "plain"} {
			t.Run(row.name+" "+provider, func(t *testing.T) {
				sessions := scs.New()
				sessions.Cookie.Persist, sessions.Cookie.SameSite = row.persist, row.sameSite
				sessions.Cookie.Name, sessions.Cookie.HttpOnly, sessions.Cookie.Secure = "ignored", false, false
				k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL, c.Sessions = row.base, sessions })
				j := travel(k, row.base, provider)
				secure, prefix := strings.HasPrefix(row.base, "https:"), "__Host-rl"
				if u, _ := url.Parse(row.base); !secure {
					prefix = "rl-" + map[bool]string{true: "80", false: u.Port()}[u.Port() == ""]
				}
				kinds := map[string]int{}
				for _, s := range j.seen {
					for _, c := range s.Cookies() {
						kind, sameSite := "session", row.sameSite
						if strings.HasPrefix(c.Name, prefix+"-bind-") {
							kind, sameSite = "binding", http.SameSiteLaxMode // it has to come along from the provider
						}
						kinds[kind]++
						if kind == "session" && c.Name != prefix {
							t.Errorf("%s: cookie %s", s.what, c.Name)
						}
						if c.Secure != secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != sameSite {
							t.Errorf("%s: %s", s.what, c)
						}
						if kind == "session" && c.MaxAge >= 0 && (c.MaxAge > 0) != row.persist {
							t.Errorf("%s: Max-Age %d, want one: %v", s.what, c.MaxAge, row.persist)
						}
						if len(c.Name)+len(c.Value) > 200 {
							t.Errorf("%s: %d bytes", s.what, len(c.Name)+len(c.Value))
						}
						if s.Header.Get("Cache-Control") != "no-store" { // row 142
							t.Errorf("%s: Set-Cookie with Cache-Control %q", s.what, s.Header.Get("Cache-Control"))
						}
					}
					if s.what == "signed in" && len(sessionCookies(&http.Response{Header: s.Header})) != 1 {
						t.Errorf("signed in: %d cookies", len(s.Cookies()))
					}
				}
				if kinds["session"] < 3 || kinds["binding"] < 3 {
					t.Errorf("only %v cookies were set", kinds)
				}
			})
		}
	}
}

func TestAttack_K124_dump(t *testing.T) { // OWASP; scs stores the raw token
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		b.signIn(provider, "ada", "/")
		sid, secret, _ := strings.Cut(b.session(), ".")
		if dump := k.shelf.dump(); strings.Contains(dump, secret) || !strings.Contains(dump, sid) {
			t.Error("the store holds the secret, or not the id")
		}
		for key, rec := range k.shelf.rows() {
			tries := []string{key.ID, key.ID + ".", key.ID + "." + key.ID, key.ID + "." + strings.Repeat("A", 43)}
			for f := range rec.All() {
				for _, p := range pieces(f.Value) {
					tries = append(tries, key.ID+"."+p, p[:22]+"."+p)
				}
			}
			for _, value := range tries {
				thief := k.browser()
				thief.setCookie("__Host-rl", value)
				thief.is(nobody)
			}
		}
		b.is(ada)
	})
}

func TestAttack_K125_invented(t *testing.T) { // OWASP, strict session management
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		k.handle("/own", func(w http.ResponseWriter, r *http.Request) { k.auth.Sessions().Put(r.Context(), "own", "x") })
		value := strings.Repeat("s", 22) + "." + strings.Repeat("x", 43)
		b := k.browser()
		b.setCookie("__Host-rl", value)
		b.is(nobody)
		b.open("/own")
		if got := b.session(); got == value || strings.HasPrefix(got, strings.Repeat("s", 22)) {
			t.Errorf("an invented id was adopted: %s", got)
		}
		b.setCookie("__Host-rl", value)
		b.signIn(provider, "ada", "/")
		if got := b.session(); strings.HasPrefix(got, strings.Repeat("s", 22)) {
			t.Errorf("an invented id was adopted: %s", got)
		}
		real := b.session()
		stranger := k.browser()
		r := stranger.request(http.MethodPost, "/whoami?__Host-rl="+real+"&session="+real, strings.NewReader("__Host-rl="+url.QueryEscape(real)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+real)
		r.Header.Set("X-Session", real)
		if got := text(k.serve(r)); got != nobody {
			t.Errorf("an id outside of the cookie opens %q", got)
		}
	})
}

func TestAttack_D53_lookalikes(t *testing.T) { // CVE-2024-28197; RFC 10017
	for _, provider := range []string{"idp", "plain"} {
		k := newArena(t, true)
		victim, attacker := k.browser(), k.browser()
		victim.signIn(provider, "ada", "/")
		attacker.signIn(provider, "impostor", "/")
		good, evil := "__Host-rl="+victim.session(), attacker.session()
		pending := k.browser()
		callback := pending.approve(pending.start(provider, "/gated/p"), "emmy")
		binding := pending.bindings()[0] + "=" + pending.cookies()[pending.bindings()[0]]
		rows := []struct{ name, cookie, want string }{
			{"54 the real one", good, ada},
			{"54 two, good one first", good + "; __Host-rl=" + evil, nobody},
			{"54 two, good one last", "__Host-rl=" + evil + "; " + good, nobody},
			{"54 two, the same", good + "; " + good, nobody},
			{"54 two, one empty", good + "; __Host-rl=", nobody},
			{"53 without prefix", good + "; rl=" + evil + "; host-rl=" + evil, ada},
			{"53 only without prefix", "rl=" + evil, nobody},
			{"53 __Secure-", "__Secure-rl=" + evil, nobody},
			{"53 of loopback", "rl-80=" + evil + "; rl-443=" + evil, nobody},
			{"54 other case", "__HOST-rl=" + evil, nobody},
			{"54 other case, beside the good one", "__host-RL=" + evil + "; " + good, ada},
			{"54 space before", "\u2000__Host-rl=" + evil, nobody},
			{"54 space before, beside the good one", "\u2000__Host-rl=" + evil + "; " + good, ada},
			{"54 $Version", "$Version=1,__Host-rl=" + evil, nobody},
			{"54 no name", "=__Host-rl=" + evil, nobody},
			{"54 no name, beside the good one", "=__Host-rl=" + evil + "; " + good, ada},
			{"54 space behind the name", "__Host-rl =" + evil, nobody},
			{"54 quoted", `__Host-rl="` + evil + `"`, nobody},
			{"54 comma", "a=b, __Host-rl=" + evil, nobody},
			{"54 NUL", "__Host-rl\x00=" + evil, nobody},
			{"54 escaped", "%5F%5FHost-rl=" + evil, nobody},
			{"54 longer name", "__Host-rlx=" + evil, nobody},
			{"54 secret longer", "__Host-rl=" + evil + "A", nobody},
			{"54 id of one, secret of the other", "__Host-rl=" + victim.session()[:22] + evil[22:], nobody},
		}
		for _, row := range rows {
			t.Run(row.name+" "+provider, func(t *testing.T) {
				r := k.browser().request(http.MethodGet, "/whoami", nil)
				r.Header["Cookie"] = []string{row.cookie}
				resp := k.serve(r)
				if got := text(resp); got != row.want {
					t.Errorf("got %q, want %q", got, row.want)
				}
				if len(resp.Cookies()) > 0 {
					t.Errorf("cookies %v", resp.Cookies())
				}
				// On two lines, as HTTP/2 sends them.
				r.Header["Cookie"] = strings.Split(row.cookie, "; ")
				if got := text(k.serve(r)); got != row.want {
					t.Errorf("on two lines %q, want %q", got, row.want)
				}
			})
		}
		name, value, _ := strings.Cut(binding, "=")
		bindings := []struct{ name, cookie string }{
			{"54 two bindings of one name", binding + "; " + name + "=" + strings.Repeat("A", 43) + ".a"},
			{"54 two bindings of one name, good one last", name + "=" + strings.Repeat("A", 43) + ".a; " + binding},
			{"53 binding without prefix", strings.TrimPrefix(binding, "__Host-")},
			{"54 binding in other case", "__HOST" + strings.TrimPrefix(binding, "__Host")},
			{"54 binding with a space", "\u2000" + binding},
			{"54 binding with a long name", name + "x=" + value},
			{"54 binding without a name", "=" + binding},
		}
		for _, row := range bindings {
			t.Run(row.name+" "+provider, func(t *testing.T) {
				r := k.browser().callback(callback)
				r.Header["Cookie"] = []string{row.cookie}
				k.rejects(r, "state")
			})
		}
		t.Run("53 planted beside the good one "+provider, func(t *testing.T) {
			pending.setCookie("__Host-rl-bind-evilevil", strings.Repeat("E", 43)+".zzzzzzzz") // says that it is newer
			pending.lands(callback, "/gated/p", emmy)
		})
	}
}

func TestAttack_D55_fixation(t *testing.T) { // CVE-2021-41246; mod_auth_openidc 08/07/2026; ASVS 7.2.4
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		attacker, victim := k.browser(), k.browser()
		attacker.open("/put?key=return_to&value=https://evil.example")
		bait := attacker.start(provider, "/evil")
		planted := attacker.session()
		victim.setCookie("__Host-rl", planted)
		victim.signIn(provider, "ada", "/gated/mine")
		if victim.session() == planted {
			t.Fatal("the cookie did not change")
		}
		attacker.is(nobody)
		for range 2 { // it opens nothing, and writes nothing
			if got := text(attacker.open("/get?key=return_to")); got != "" {
				t.Errorf("the planted cookie reads %q", got)
			}
			attacker.open("/put?key=evil&value=written")
		}
		if got := text(victim.open("/get?key=evil")); got != "" {
			t.Errorf("the planted cookie wrote %q", got)
		}
		// The attacker's own sign-in from the planted session is nobody's but his.
		attacker.setCookie("__Host-rl", planted)
		attacker.lands(attacker.approve(bait, "impostor"), "/evil", "Not Ada")
		victim.is(ada)
		attacker.post("/auth/logout", nil)
		victim.is(ada)
		attacker.setCookie("__Host-rl", planted)
		attacker.post("/auth/logout", nil) // the planted cookie signs nobody out
		victim.is(ada)
	})
}

func TestAttack_K126_rotation(t *testing.T) { // ASVS 7.2.4; OWASP on the race of renewal
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		k.mux.Handle("/strong", k.auth.Require(middleware.Need{Provider: "idp", MaxAge: time.Nanosecond})(http.NotFoundHandler()))
		b := k.browser()
		b.open("/put?key=cart&value=book")
		anonymous := b.request(http.MethodGet, "/whoami", nil)
		b.signIn(provider, "ada", "/")
		if got := text(k.serve(anonymous)); got != nobody {
			t.Errorf("the id of before opens %q", got)
		}
		first := b.session()
		tab := b.request(http.MethodGet, "/whoami", nil) // arrives when another tab has rotated
		write := b.request(http.MethodPost, "/put?key=late&value=tab", nil)
		k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
			if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
				t.Error(err)
			}
		})
		b.open("/renew")
		second := b.session()
		if first == second {
			t.Fatal("no rotation")
		}
		for r, status := range map[*http.Request]int{tab: http.StatusOK, write: http.StatusConflict} {
			resp := k.serve(r)
			if resp.StatusCode != status || strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "__Host-rl=") {
				t.Errorf("a request that was on its way gets %d and sets %v", resp.StatusCode, resp.Cookies())
			}
		}
		if got := text(k.serve(tab)); got != nobody {
			t.Errorf("the tab that was on its way is %q", got)
		}
		b.is(ada)
		if got := text(b.open("/get?key=late")); got != "" {
			t.Errorf("its write is %q", got)
		}
		b.open("/renew") // the one before the last is dead at once
		if got := text(k.serve(tab)); got != nobody {
			t.Errorf("the id of long ago opens %q", got)
		}
	})
	t.Run("126 step-up", func(t *testing.T) {
		k := newArena(t, true)
		k.mux.Handle("/strong", k.auth.Require(middleware.Need{Provider: "idp", ACR: []string{"gold"}})(http.NotFoundHandler()))
		b := k.browser()
		b.signIn("idp", "ada", "/")
		before := b.session()
		if resp := b.back(b.approve(k.location(b.open("/strong")), "ada")); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("status %d; log:\n%s", resp.StatusCode, k.log)
		}
		if b.session() == before {
			t.Error("the level rose, and the cookie stayed")
		}
		b.is(ada)
	})
}

func TestAttack_K127_timeouts(t *testing.T) { // ASVS 7.3.1, 7.3.2; NIST 800-63B
	rows := []struct {
		name     string
		idle     time.Duration
		every    time.Duration // a request comes
		until    time.Duration // still signed in shortly before
		provider string
	}{
		{"127 idle", time.Hour, 0, time.Hour, "idp"},
		{"127 absolute", 0, 0, 24 * time.Hour, "plain"},
		{"127 absolute, kept awake", time.Hour, 10 * time.Minute, 24 * time.Hour, "idp"},
		{"127 absolute, polling each minute", 30 * time.Minute, time.Minute, 24 * time.Hour, "plain"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// A literal: scs.New starts a goroutine, which would keep the bubble from ending.
				sessions := &scs.SessionManager{Lifetime: 24 * time.Hour, IdleTimeout: row.idle, Cookie: scs.SessionCookie{Persist: true}}
				k := newArena(t, true, func(_ *kit, c *middleware.Config) { c.Sessions = sessions })
				b := k.browser()
				b.signIn(row.provider, "ada", "/")
				began := time.Now()
				cookie := b.session()
				ask := func() string { // the cookie's own end does not matter: somebody edited it
					r := k.browser().request(http.MethodGet, "/whoami", nil)
					r.Header["Cookie"] = []string{"__Host-rl=" + cookie}
					return text(k.serve(r))
				}
				if row.every == 0 {
					time.Sleep(row.until + time.Second)
					if got := ask(); got != nobody {
						t.Errorf("after %v: %q", row.until, got)
					}
					return
				}
				// The last use is noted to a tenth of the idle timeout.
				for time.Since(began)+row.every < row.until-row.idle/10 {
					time.Sleep(row.every)
					if got := ask(); got != ada {
						t.Fatalf("after %v: %q", time.Since(began), got)
					}
				}
				time.Sleep(row.until + time.Second - time.Since(began))
				if got := ask(); got != nobody {
					t.Errorf("after %v: %q", row.until, got)
				}
			})
		})
	}
}

func TestAttack_K128_logout(t *testing.T) { // CVE-2026-30224; ASVS 7.4.1
	for _, provider := range []string{"idp", "plain"} {
		shelf, keys := newShelf(&sessionstore.Memory{}), sessionstore.NewKeyring()
		share := func(_ *kit, c *middleware.Config) { c.Store, c.Keys = shelf, keys }
		k := newKit(t, share)
		replica := newKit(t, share)
		b := k.browser()
		callback := b.approve(b.start(provider, "/"), "ada")
		b.lands(callback, "/", ada)
		r, cb := b.request(http.MethodGet, "/whoami", nil), b.callback(callback)
		if got := text(replica.serve(r)); got != ada {
			t.Fatalf("the replica sees %q", got)
		}
		b.post("/auth/logout", nil)
		for name, at := range map[string]*kit{"here": k, "replica": replica} {
			if got := text(at.serve(r)); got != nobody {
				t.Errorf("%s: the cookie opens %q", name, got)
			}
			if resp := at.serve(cb); len(resp.Cookies()) > 0 {
				t.Errorf("%s: the callback gives %v", name, resp.Cookies())
			}
		}
	}
}

func TestAttack_K132_writers(t *testing.T) { // ASVS 15.4.2
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		b.signIn(provider, "ada", "/")
		n := 24
		other := map[string]string{"idp": "plain", "plain": "idp"}[provider]
		link := b.callback(b.approve(k.location(b.post("/auth/"+other+"/login", url.Values{"purpose": {"link"}})), "ada"))
		together(n+1, func(i int) { // and a provider's tokens at the same time
			if i == n {
				k.serve(link)
				return
			}
			k.serve(b.request(http.MethodGet, fmt.Sprintf("/put?key=k%d&value=v%d", i, i), nil))
		})
		for i := range n {
			if got, want := text(b.open(fmt.Sprintf("/get?key=k%d", i))), fmt.Sprintf("v%d", i); got != want {
				t.Errorf("k%d is %q, want %q", i, got, want)
			}
		}
		if got := len(b.status()["connections"].([]any)); got != 2 {
			t.Errorf("%d connections, want 2", got)
		}
	})
}

func TestAttack_K133_headers(t *testing.T) { // CVE-2025-64484; mod_auth_openidc 08/07/2026
	// The kit gives identities by the context and never by a header: what comes in is as it came, and
	// means nothing.
	k := newArena(t, false, func(k *kit, c *middleware.Config) { c.Providers = []providers.Provider{k.idp.OIDC("idp")} })
	names := []string{"X-User", "X_user", "X-Forwarded-Email", "X-Forwarded-User", "Remote-User", "X-Remote-User", "Oidc_claim_sub", "X-Auth-Request-Email"}
	var got http.Header
	k.handle("/echo", func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
	b := k.browser()
	for _, who := range []string{nobody, ada} {
		for _, method := range []string{"GET", "OPTIONS", "HEAD"} {
			r := b.request(method, "/echo", nil)
			plain := b.request(method, "/echo", nil)
			k.serve(plain)
			without := len(got)
			for _, name := range names {
				r.Header[name] = []string{"admin"}
			}
			k.serve(r)
			if len(got) != without+len(names) {
				t.Errorf("%s %s: headers were added or taken away: %v", who, method, slices.Sorted(maps.Keys(got)))
			}
			r.URL.Path = "/whoami"
			if seen := text(k.serve(r)); method == "GET" && seen != who {
				t.Errorf("%s: the app sees %q", who, seen)
			}
			r.URL.Path, r.RequestURI = "/gated/x", "/gated/x"
			if k.serve(r); who == nobody && k.gated.Load() > 0 {
				t.Error("the gate opened")
			}
		}
		b.signIn("idp", "ada", "/")
	}
}
