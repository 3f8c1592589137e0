package middleware_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// idle returns a manager with an idle timeout, without the goroutine of scs.New.
func idle(idle, lifetime time.Duration) func(*kit, *middleware.Config) {
	return func(_ *kit, c *middleware.Config) {
		c.Sessions = &scs.SessionManager{IdleTimeout: idle, Lifetime: lifetime, Cookie: scs.SessionCookie{Path: "/", Persist: true}}
	}
}

// A session that is used lives on, at ten touches per idle timeout; one that is not used ends.
func TestSession_idle(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, idle(20*time.Minute, 24*time.Hour))
			w := watch(k)
			b := k.browser()
			b.signIn("plain", "ada", "/")
			const periods = 6
			before := w.writes("session")
			for range periods * 120 { // each ten seconds
				time.Sleep(10 * time.Second)
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Fatalf("signed in as %q while in use", got)
				}
			}
			if got := w.writes("session") - before; got == 0 || got > 10*periods {
				t.Errorf("%d writes in %d idle timeouts, want at most ten each, and some", got, periods)
			}
			time.Sleep(18*time.Minute - time.Second) // a touch may be a tenth of the timeout behind
			if got := b.whoami(); got != "Ada Lovelace" {
				t.Errorf("after 18 minutes: %q", got)
			}
			time.Sleep(20 * time.Minute)
			if got := b.whoami(); got != "nobody" {
				t.Errorf("after 20 minutes: %q", got)
			}
		})
	})
}

// The deadline ends a session however much it is used, and a sign-in sets a new one.
func TestSession_deadline(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, idle(20*time.Minute, 2*time.Hour))
			b := k.browser()
			b.signIn("plain", "ada", "/")
			began := time.Now()
			for range 11 {
				time.Sleep(10 * time.Minute)
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Fatalf("%q after %v", got, time.Since(began))
				}
			}
			b.signIn("plain", "ada", "/")
			began = time.Now()
			for b.whoami() == "Ada Lovelace" {
				time.Sleep(10 * time.Minute)
			}
			if got := time.Since(began); got != 2*time.Hour {
				t.Errorf("the second sign-in lasted %v, want 2h", got)
			}
		})
	})
}

// A session of nobody has an idle timeout of its own.
func TestSession_anonymousIdle(t *testing.T) {
	rows := []struct {
		name   string
		config time.Duration
		lives  time.Duration
	}{
		{"default", 0, 30 * time.Minute},
		{"five minutes", 5 * time.Minute, 5 * time.Minute},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, idle(24*time.Hour, 48*time.Hour), func(_ *kit, c *middleware.Config) { c.AnonymousIdle = row.config })
					notes(k)
					b := k.browser()
					b.put("a", "1")
					for range 30 {
						time.Sleep(row.lives / 3)
						if got := b.get("a"); got != "1" {
							t.Fatalf("a is %q while in use", got)
						}
					}
					time.Sleep(row.lives)
					if got := b.get("a"); got != "" {
						t.Errorf("a is %q after %v", got, row.lives)
					}
					b.signIn("plain", "ada", "/")
					time.Sleep(20 * time.Hour)
					if got := b.whoami(); got != "Ada Lovelace" {
						t.Errorf("signed in as %q: the timeout of nobody counts for her", got)
					}
				})
			})
		})
	}
}

// The secret before opens nothing, whoever had it, at once and later. It sets and clears no cookie.
func TestSession_previousSecret(t *testing.T) {
	rows := []struct {
		name  string
		first func(b *browser) // before the secret changes
		turn  func(b *browser) // changes it
		seen  bool             // the browser shows the new one
		after time.Duration
		who   string
	}{
		{"same user, at once", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, false, 0, "nobody"},
		{"same user, new one never seen, 9 min", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, false, 9 * time.Minute, "nobody"},
		{"same user, new one never seen, 10 min", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, false, 10 * time.Minute, "nobody"},
		{"same user, new one seen, 29 s", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, true, 29 * time.Second, "nobody"},
		{"same user, new one seen, 30 s", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, true, 30 * time.Second, "nobody"},
		{"from before the sign-in", func(b *browser) { b.put("a", "1") }, func(b *browser) { b.signIn("plain", "ada", "/") }, false, 0, "nobody"},
		{"of a start, from before the sign-in", func(b *browser) { b.start("plain", "/") }, func(b *browser) { b.signIn("plain", "ada", "/") }, false, 0, "nobody"},
		{"two changes ago", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew"); b.open("/renew") }, false, 0, "nobody"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					notes(k)
					k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = k.auth.Sessions().RenewToken(r.Context()) })
					b, old := k.browser(), k.browser()
					row.first(b)
					old.setCookie("__Host-rl", b.session())
					row.turn(b)
					if row.seen {
						b.whoami()
					}
					old.open("/whoami") // to use the one before says nothing about whether the new one has arrived
					time.Sleep(row.after)
					resp := old.open("/whoami")
					if got := text(resp); got != row.who {
						t.Errorf("it opens %q, want %q", got, row.who)
					}
					resp2 := old.open("/put?key=a&value=2")
					if len(resp.Cookies())+len(resp2.Cookies()) != 0 {
						t.Errorf("it sets a cookie: %v %v", resp.Header, resp2.Header)
					}
					want := map[bool]string{true: "2", false: ""}[row.who != "nobody"]
					if got := b.get("a"); got != want && got != "1" {
						t.Errorf("what it wrote is %q, want %q", got, want)
					}
					if got := b.whoami(); got != "Ada Lovelace" {
						t.Errorf("the present one opens %q", got)
					}
				})
			})
		})
	}
}

// Cookies that are not what we gave to this browser: nobody, and no cookie in return. What is written
// by such a request goes into a new session where there was none, and nowhere if there is one.
func TestSession_foreignCookies(t *testing.T) {
	text43 := func(c string) string { return strings.Repeat(c, 43) }
	rows := []struct {
		name   string
		cookie func(live string) []string
		writes bool // a Put makes a session
	}{
		{"absent", func(string) []string { return nil }, true},
		{"invented", func(string) []string { return []string{"__Host-rl=" + strings.Repeat("A", 22) + "." + text43("B")} }, true},
		{"125 invented, an odd character", func(string) []string { return []string{"__Host-rl=" + strings.Repeat("A", 21) + "!." + text43("B")} }, true},
		{"125 a live id, another secret", func(live string) []string { return []string{"__Host-rl=" + live[:23] + text43("B")} }, false},
		{"124 a live id, the hash that is stored", func(live string) []string {
			return []string{"__Host-rl=" + live[:23] + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))}
		}, false},
		{"a live id alone", func(live string) []string { return []string{"__Host-rl=" + live[:22]} }, true},
		{"54 two of one name", func(live string) []string {
			return []string{"__Host-rl=" + live, "__Host-rl=" + strings.Repeat("A", 22) + "." + text43("B")}
		}, true},
		{"54 two of one name, the good one last", func(live string) []string {
			return []string{"__Host-rl=" + strings.Repeat("A", 22) + "." + text43("B"), "__Host-rl=" + live}
		}, true},
		{"54 the good one twice", func(live string) []string { return []string{"__Host-rl=" + live, "__Host-rl=" + live} }, true},
		{"54 another case", func(live string) []string { return []string{"__HOST-rl=" + live} }, true},
		{"54 behind a wide space", func(live string) []string { return []string{"\u2000__Host-rl=" + live} }, true},
		{"54 behind an attribute", func(live string) []string { return []string{"$Version=1,__Host-rl=" + live} }, true},
		{"54 without a name", func(live string) []string { return []string{"=__Host-rl=" + live} }, true},
		{"without the prefix", func(live string) []string { return []string{"rl=" + live} }, true},
		{"quoted", func(live string) []string { return []string{`__Host-rl="` + live + `"`} }, true},
		{"something behind it", func(live string) []string { return []string{"__Host-rl=" + live + ".x"} }, true},
		{"empty", func(string) []string { return []string{"__Host-rl="} }, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				w := watch(k)
				notes(k)
				b := k.browser()
				b.signIn("plain", "ada", "/")
				other := k.browser()
				ask := func(target string) *http.Response {
					r := other.request(http.MethodGet, target, nil)
					r.Header["Cookie"] = nil
					if cs := row.cookie(b.session()); len(cs) > 0 {
						r.Header["Cookie"] = []string{strings.Join(cs, "; ")}
					}
					return k.serve(r)
				}
				resp := ask("/whoami")
				if got := text(resp); got != "nobody" || len(resp.Cookies()) != 0 {
					t.Errorf("it opens %q and sets %v", got, resp.Cookies())
				}
				resp = ask("/put?key=a&value=1")
				if got := len(resp.Cookies()) == 1; got != row.writes {
					t.Errorf("a write sets %v, want one: %v", resp.Cookies(), row.writes)
				}
				for _, c := range resp.Cookies() {
					if strings.HasPrefix(c.Value, strings.Repeat("A", 22)) || c.Value[:22] == b.session()[:22] {
						t.Errorf("an id was adopted: %v", c)
					}
				}
				if got := b.get("a"); got != "" {
					t.Errorf("it wrote %q into the live session", got)
				}
				if got := w.records("session"); got > 2 {
					t.Errorf("%d sessions", got)
				}
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("the live session is %q", got)
				}
			})
		})
	}
}

// A store that fails: with a session cookie 503, without one and on free paths all is served. No
// cookie is touched, and no gate opens.
func TestSession_storeDown(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.SessionFree = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/free") }
		})
		w := watch(k)
		notes(k)
		opened := 0
		gated := k.auth.Require(middleware.Need{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { opened++ }))
		k.mux.Handle("/gated", gated)
		k.mux.Handle("/free/gated", gated)
		k.handle("/free/page", func(w http.ResponseWriter, r *http.Request) {
			_, err := middleware.User(r.Context())
			k.auth.Sessions().Put(r.Context(), "a", "1")
			fmt.Fprint(w, err)
		})
		signedIn, visitor, nobody := k.browser(), k.browser(), k.browser()
		signedIn.signIn("plain", "ada", "/")
		visitor.put("a", "1")
		rows := []struct {
			name   string
			b      *browser
			path   string
			status int
		}{
			{"signed in: a page", signedIn, "/whoami", 503},
			{"signed in: a gate", signedIn, "/gated", 503},
			{"signed in: the kit's own", signedIn, "/auth/status", 503},
			{"signed in: a start", signedIn, "/auth/plain/login", 503},
			{"signed in: a free path", signedIn, "/free/page", 200},
			{"visitor: a page", visitor, "/whoami", 503},
			{"visitor: a free path", visitor, "/free/page", 200},
			{"nobody: a page", nobody, "/whoami", 200},
			{"nobody: a write", nobody, "/put?key=a&value=1", 503},
			{"nobody: a free path", nobody, "/free/page", 200},
			{"nobody: status", nobody, "/auth/status", 200},
		}
		w.down(true)
		for _, row := range rows {
			before := row.b.session()
			for name, resp := range map[string]*http.Response{"page": row.b.open(row.path), "fetch": row.b.fetch(row.path)} {
				if row.path == "/auth/plain/login" && name == "fetch" && resp.StatusCode != 503 {
					continue
				}
				if resp.StatusCode != row.status {
					t.Errorf("%s (%s): status %d, want %d", row.name, name, resp.StatusCode, row.status)
				}
				if row.status == 503 && resp.Header.Get("Retry-After") == "" {
					t.Errorf("%s: no Retry-After", row.name)
				}
				if len(resp.Cookies()) != 0 || row.b.session() != before {
					t.Errorf("%s: sets %v", row.name, resp.Cookies())
				}
			}
		}
		if resp := nobody.open("/gated"); resp.StatusCode == 200 || opened != 0 {
			t.Errorf("the gate opened %d times", opened)
		}
		if resp := signedIn.fetch("/free/gated"); resp.StatusCode != 401 || opened != 0 {
			t.Errorf("a gate on a free path: status %d, opened %d times", resp.StatusCode, opened)
		}
		w.down(false)
		if signedIn.whoami() != "Ada Lovelace" || visitor.get("a") != "1" {
			t.Errorf("afterwards: %q and %q", signedIn.whoami(), visitor.get("a"))
		}
	})
}

// Visitors fill their own share of the store, and nobody else's.
func TestSession_full(t *testing.T) {
	for _, seal := range []bool{false, true} {
		t.Run(map[bool]string{false: "memory", true: "sealed"}[seal], func(t *testing.T) {
			memory := &sessionstore.Memory{MaxGuestBytes: 64 << 10}
			k := newKit(t, func(_ *kit, c *middleware.Config) {
				c.Store = memory
				if seal {
					c.Store, c.Keys = sealed{memory}, sessionstore.NewKeyring()
				}
			})
			notes(k)
			ada := k.browser()
			ada.signIn("plain", "ada", "/")
			visitor := k.browser()
			visitor.put("a", "1")
			full := false
			for range 1000 {
				if resp := k.browser().open("/put?key=a&value=" + strings.Repeat("x", 500)); resp.StatusCode == 503 {
					full = true
					break
				}
			}
			if !full || !strings.Contains(k.log.String(), "reason=store_full") {
				t.Fatal("the share of visitors is never used up")
			}
			ada.put("a", strings.Repeat("y", 5000))
			if ada.get("a") == "" || ada.whoami() != "Ada Lovelace" || visitor.get("a") != "1" {
				t.Errorf("%q with %d bytes, visitor has %q", ada.whoami(), len(ada.get("a")), visitor.get("a"))
			}
			grace := k.browser()
			grace.signIn("plain", "grace", "/") // signing in is still possible
			if got := grace.whoami(); got != "Grace Hopper" {
				t.Errorf("signed in as %q", got)
			}
		})
	}
}

// 37 and 154: starts of nobody store nothing, and a pending sign-in survives any number of them.
func TestSession_anonymousStarts(t *testing.T) {
	n := 20_000
	if s := os.Getenv("RETURNLEG_TRIALS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		n = 1000
	}
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.Logger = quiet() })
	w := watch(k)
	b := k.browser()
	callback := b.approve(b.start("plain", "/page"), "ada")
	was := w.writes("")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	attacker := k.browser()
	began := time.Now()
	for range n {
		if resp := k.serve(attacker.request(http.MethodGet, "/auth/plain/login?return_to=/x", nil)); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := w.writes("") - was; got != 0 {
		t.Errorf("%d writes, want 0", got)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if got := k.location(b.back(callback)); got != "/page" || b.whoami() != "Ada Lovelace" {
		t.Errorf("the pending sign-in lands at %q as %q", got, b.whoami())
	}
	t.Logf("%d starts in %v", n, took)
}
