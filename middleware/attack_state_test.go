package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Group C of the attacks: the state parameter and the cookie that it is bound to. Invariants 1 to 4 and 12.

func TestAttack_C31_state(t *testing.T) { // ASVS 11.2.4, 11.2.5; CVE-2023-28625
	flip := func(i int) func(string) string {
		return func(s string) string {
			if i < 0 {
				i += len(s)
			}
			c := byte('A')
			if s[i] == c {
				c = 'B'
			}
			return s[:i] + string(c) + s[i+1:]
		}
	}
	rows := []struct {
		name   string
		change func(s string) string
	}{
		{"31 unknown", func(string) string { return strings.Repeat("A", 200) }},
		{"31 key id flipped", flip(0)},
		{"31 seed flipped", flip(10)},
		{"31 content flipped", flip(60)},
		{"31 tag flipped", flip(-4)},
		{"31 last character flipped", flip(-1)},
		{"31 cut by one", func(s string) string { return s[:len(s)-1] }},
		{"31 cut to half", func(s string) string { return s[:len(s)/2] }},
		{"31 key id alone", func(s string) string { return s[:2] }},
		{"31 longer by one", func(s string) string { return s + "A" }},
		{"31 twice", func(s string) string { return s + s }},
		{"31 a line break in it", func(s string) string { return s[:20] + "\n" + s[20:] }},
		{"31 another one", func(s string) string { return s[:20] + "\r" + s[20:] }},
		{"31 other alphabet", func(s string) string { return s[:10] + "+/" + strings.NewReplacer("-", "+", "_", "/").Replace(s[12:]) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachArena(t, func(t *testing.T, k *arena, provider string) {
				b := k.browser()
				good := b.approve(b.start(provider, "/gated/s"), "ada")
				q := query(t, good)
				q.Set("state", row.change(q.Get("state")))
				k.rejects(b.callback("/auth/"+provider+"/callback?"+q.Encode()), "state")
				b.lands(good, "/gated/s", ada)
			})
		})
	}
	t.Run("31 every bit of a state", func(t *testing.T) {
		k := newArena(t, false)
		b := k.browser()
		good := b.approve(b.start("idp", "/gated/s"), "ada")
		q := query(t, good)
		whole := q.Get("state")
		for i := range whole {
			for bit := range 8 {
				s := []byte(whole)
				s[i] ^= 1 << bit
				q.Set("state", string(s))
				if resp := k.serve(b.callback("/auth/idp/callback?" + q.Encode())); resp.StatusCode != http.StatusBadRequest {
					t.Fatalf("character %d, bit %d: status %d", i, bit, resp.StatusCode)
				}
			}
		}
		if n := k.redeems(); n != 0 {
			t.Errorf("%d token requests", n)
		}
		b.lands(good, "/gated/s", ada)
	})
	t.Run("31 sealed by a key that is not ours", func(t *testing.T) {
		eachArena(t, func(t *testing.T, k *arena, provider string) {
			b := k.browser()
			good := b.approve(b.start(provider, "/gated/s"), "ada")
			other := newArena(t, true)
			other.handler, k.handler = k.handler, other.handler // the same browser, at a server with other keys
			other.kit.log, k.log = k.log, other.kit.log
			k.rejects(b.callback(good), "state")
			k.handler, k.log = other.handler, other.kit.log
			b.lands(good, "/gated/s", ada)
		})
	})
}

func TestAttack_C31_expired(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		rows := []struct {
			name string
			wait time.Duration
			good bool
		}{
			{"31 TTL - 1 s", time.Hour - time.Second, true},
			{"31 TTL + 1 s", time.Hour + time.Second, false},
			{"31 a day", 24 * time.Hour, false},
		}
		for _, row := range rows {
			t.Run(row.name+" "+provider, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := newArena(t, true)
					b := k.browser()
					to := b.start(provider, "/gated/e")
					cookies := b.request(http.MethodGet, "/", nil).Header["Cookie"] // a browser would have dropped them
					time.Sleep(row.wait)
					callback := b.approve(to, "ada")
					r := b.callback(callback)
					r.Header["Cookie"] = cookies
					if row.good {
						if got := k.location(b.do(r)); got != "/gated/e" {
							t.Errorf("landed at %q", got)
						}
						return
					}
					reason := "expired"
					k.rejects(r, reason)
					page := text(k.serve(r))
					if !strings.Contains(page, "return_to=%2Fgated%2Fe") {
						t.Errorf("the page does not lead on to where the person was:\n%s", page)
					}
					b.lands(b.approve(b.start(provider, "/gated/e"), "ada"), "/gated/e", ada)
				})
			})
		}
	}
}

func TestAttack_C32_replay(t *testing.T) { // RFC 9700, section 4.2.4; RFC 6749, section 10.5
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		callback := b.approve(b.start(provider, "/gated/r"), "ada")
		b.lands(callback, "/gated/r", ada)
		for range 3 {
			b.lands(callback, "/gated/r", ada)
		}
		k.rejects(k.browser().callback(callback), "state") // the history of another browser
		b.post("/auth/logout", nil)
		session := b.session()
		if got := k.location(b.back(callback)); got != "/gated/r" { // and its gate asks to sign in
			t.Errorf("landed at %q", got)
		}
		b.is(nobody)
		if b.session() != session {
			t.Error("a replay after the sign-out gave a session")
		}
		if k.redeems() != 1 {
			t.Errorf("%d token requests, want 1", k.redeems())
		}
		if l := k.provider(provider).Ledger(); len(l.Repeated()) > 0 {
			t.Error("a code was sent twice")
		}
	})
}

func TestAttack_C33_atOnce(t *testing.T) { // ASVS 15.4.2; CVE-2026-53517
	for _, provider := range []string{"idp", "plain"} {
		t.Run("33 100 callbacks, two replicas, "+provider, func(t *testing.T) {
			shelf, keys := newShelf(&sessionstore.Memory{}), sessionstore.NewKeyring()
			share := func(_ *kit, c *middleware.Config) { c.Store, c.Keys = shelf, keys }
			k := newKit(t, share)
			replica := newKit(t, share, func(r *kit, c *middleware.Config) {
				c.HTTPClient = &http.Client{Transport: k}
			})
			b := k.browser()
			callback := b.approve(b.start(provider, "/page"), "ada")
			var wrong atomic.Int64
			answers := make([]*http.Response, 100)
			// None goes on before all are about to redeem.
			var all, ready sync.WaitGroup
			var claims atomic.Int64
			ready.Add(len(answers))
			shelf.updating = func(k sessionstore.Key) {
				if k.Kind == "redemption" && claims.Add(1) <= int64(len(answers)) {
					ready.Done()
					ready.Wait()
				}
			}
			for i := range answers {
				r, at := b.callback(callback), []*kit{k, replica}[i%2]
				all.Go(func() {
					answers[i] = at.serve(r)
					if answers[i].StatusCode != http.StatusSeeOther || answers[i].Header.Get("Location") != "/page" {
						wrong.Add(1)
					}
				})
			}
			all.Wait()
			if n := k.redeems() + replica.redeems(); n != 1 || wrong.Load() > 0 {
				t.Errorf("%d token requests, %d wrong answers", n, wrong.Load())
			}
			if n := len(shelf.of("session")); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
			secrets := map[string]bool{}
			for _, resp := range answers {
				b.keep(resp)
				for _, c := range resp.Cookies() {
					secrets[c.Name+"="+c.Value] = true
				}
			}
			if len(secrets) != 3 { // of the session, the new binding, and the end of the old one
				t.Errorf("%d different cookies, want 3", len(secrets))
			}
			b.is(ada)
		})
	}
}

func TestAttack_C34_stripped(t *testing.T) { // CVE-2023-27490; goth's validateState
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		good := b.approve(b.start(provider, "/gated/s"), "ada")
		binding := b.bindings()[0]
		value := b.cookies()[binding]
		secret, minted, _ := strings.Cut(value, ".")
		rows := []struct {
			name  string
			plant func(b *browser)
		}{
			{"34 binding cookie gone", func(b *browser) { b.setCookie(binding, "") }},
			{"34 binding empty", func(b *browser) { b.setCookie(binding, "."+minted) }},
			{"34 binding of zeros", func(b *browser) { b.setCookie(binding, strings.Repeat("A", 43)+"."+minted) }},
			{"34 binding cut", func(b *browser) { b.setCookie(binding, secret[:42]+"."+minted) }},
			{"34 binding without time", func(b *browser) { b.setCookie(binding, secret) }},
			{"34 binding with a time that is none", func(b *browser) { b.setCookie(binding, secret+".-1") }},
			{"34 binding under another name", func(b *browser) { b.setCookie(binding, ""); b.setCookie("rl-bind-AAAAAAAA", value) }},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				row.plant(b)
				k.rejects(b.callback(good), "state")
				b.setCookie("rl-bind-AAAAAAAA", "")
			})
		}
		// Of the store nothing is needed, so nothing can be stripped from it.
		if rows := k.shelf.rows(); len(rows) > 0 {
			t.Errorf("%d rows", len(rows))
		}
		b.setCookie(binding, value)
		b.lands(good, "/gated/s", ada)
	})
}

func TestAttack_C35_otherProvider(t *testing.T) { // CVE-2026-73419; BCP-update, section 2.2.2; row 107 mix-up, row 108 COAT
	for _, pair := range [][2]string{{"idp", "plain"}, {"plain", "idp"}} {
		for _, signedIn := range []bool{false, true} {
			t.Run(fmt.Sprintf("35 107 108 %s to %s, signed in %v", pair[0], pair[1], signedIn), func(t *testing.T) {
				k := newArena(t, true)
				b := k.browser()
				if signedIn {
					b.signIn(pair[1], "grace", "/")
				}
				good := b.approve(b.start(pair[0], "/gated/o"), "ada")
				k.rejects(b.callback(strings.Replace(good, "/"+pair[0]+"/", "/"+pair[1]+"/", 1)), "provider_path")
				// The attacker's provider sends the browser on to the honest one with the same state.
				own := b.start(pair[1], "/gated/m")
				q := query(t, own)
				q.Set("state", state(t, good))
				honest := b.approve(strings.Split(own, "?")[0]+"?"+q.Encode(), "ada")
				k.rejects(b.callback(honest), "provider_path")
				b.lands(good, "/gated/o", ada)
			})
		}
	}
}

func TestAttack_C37_flood(t *testing.T) { // CVE-2026-67437, CVE-2026-55512
	k := newArena(t, true, func(_ *kit, c *middleware.Config) { c.Logger = silent })
	victim, attacker := k.browser(), k.browser()
	good := victim.approve(victim.start("idp", "/gated/v"), "ada")
	n := trials(t, 5_000)
	long := "/auth/idp/login?return_to=/" + strings.Repeat("l", 600) // too long for the state
	for i := range n {
		target := "/auth/idp/login?return_to=/x"
		if i%10 == 0 {
			target = long
		}
		if resp := k.serve(attacker.request(http.MethodGet, target, nil)); resp.StatusCode != http.StatusSeeOther {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	if n := len(k.shelf.of("aside")); n == 0 || n > 4096 {
		t.Errorf("%d return paths aside, want a few", n)
	}
	if n := len(k.shelf.of("session")) + len(k.shelf.of("redemption")); n != 0 {
		t.Errorf("%d rows, want none", n)
	}
	victim.lands(good, "/gated/v", ada)
}

// Whoever starts a sign-in can say no to it themselves, and no provider has heard of it: what is kept of
// that is within the share and the number of guests, and keeps nobody out.
func TestAttack_C37_denied(t *testing.T) { // CVE-2026-67437, CVE-2026-55512
	const budget = 20
	few := []func(*kit, *middleware.Config){guests(budget), longWindow(budget), func(_ *kit, c *middleware.Config) { c.Logger = silent }}
	rows := map[string]func(t *testing.T) *arena{
		"memory": func(t *testing.T) *arena { return newArena(t, false, few...) },
		"sealed": func(t *testing.T) *arena { return newArena(t, true, few...) },
		"redis":  func(t *testing.T) *arena { return newArenaOn(t, realRedis(t), true, few...) },
		"bytes": func(t *testing.T) *arena {
			return newArenaOn(t, &sessionstore.Memory{MaxBytes: 64 << 10, MaxGuestBytes: 2 << 10}, true, few[2])
		},
	}
	for name, arena := range rows {
		t.Run(name, func(t *testing.T) {
			k := arena(t)
			victim, attacker := k.browser(), k.browser()
			good := victim.approve(victim.start("plain", "/gated/v"), "ada")
			for range 300 {
				no := "/auth/plain/callback?error=access_denied&iss=https://plain.example&state=" + state(t, attacker.start("plain", "/"))
				for range 2 { // and loads it again
					if resp := attacker.back(no); resp.StatusCode != http.StatusForbidden {
						t.Fatalf("status %d, want 403", resp.StatusCode)
					}
				}
			}
			if n := len(k.shelf.of("redemption")); n == 0 || n > budget/2 {
				t.Errorf("%d redemptions are kept, want 1 to %d", n, budget/2)
			}
			victim.lands(good, "/gated/v", ada)
			if k.redeems() != 1 {
				t.Errorf("%d token requests, want 1", k.redeems())
			}
		})
	}
}

func TestAttack_C38_swapped(t *testing.T) { // RFC 9700, section 4.7.1: app data in the state
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		one := b.approve(b.start(provider, "/gated/1"), "ada")
		two := b.approve(b.start(provider, "/gated/2"), "ada")
		s1, s2 := state(t, one), state(t, two)
		for _, at := range []int{8, 24, 60} { // seed of one, content of the other; and so on
			q := query(t, one)
			q.Set("state", s1[:at]+s2[at:])
			k.rejects(b.callback("/auth/"+provider+"/callback?"+q.Encode()), "state")
		}
		// The whole state of the other one, with this one's code: PKCE and nonce belong to the state.
		q := query(t, one)
		q.Set("state", s2)
		ours(t, b.back("/auth/"+provider+"/callback?"+q.Encode()))
		b.is(nobody)
		b.lands(one, "/gated/1", ada)
	})
}

func TestAttack_C39_race(t *testing.T) { // CVE-2026-28789, CVE-2026-33544, CVE-2026-32242
	k := newArena(t, true, func(_ *kit, c *middleware.Config) { c.Logger = silent })
	people := map[string]string{"ada": ada, "grace": grace, "emmy": emmy, "evariste": "Évariste Galois"}
	var accounts []string
	for a := range people {
		accounts = append(accounts, a)
	}
	n := trials(t, 1_000)
	next := make(chan int)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for i := range next {
				account, provider := accounts[i%len(accounts)], []string{"idp", "plain"}[i%2]
				b := k.browser()
				to := b.open("/auth/" + provider + "/login?return_to=/39").Header.Get("Location")
				callback, err := k.provider(provider).Approve(t.Context(), b.idp, to, account)
				if err != nil {
					t.Error(err)
					continue
				}
				if resp := b.back(callback); resp.Header.Get("Location") != "/39" {
					t.Errorf("status %d: %s", resp.StatusCode, resp.Header.Get("Location"))
				}
				if got := b.whoami(); got != people[account] { // row 40
					t.Errorf("%s is taken for %q", account, got)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	if k.redeems() != n || len(k.shelf.of("session")) != n {
		t.Errorf("%d token requests, %d sessions, want %d", k.redeems(), len(k.shelf.of("session")), n)
	}
}

func TestAttack_C40_delayed(t *testing.T) { // CVE-2026-33544, CVE-2026-32242
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		// The first who comes is answered last.
		first, second := make(chan struct{}), make(chan struct{})
		k.provider(provider).Set(func(b *providertest.Behavior) {
			b.Token = providertest.First(1, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
				close(first)
				<-second
				next(w, r)
			})
		})
		a, g := k.browser(), k.browser()
		ca, cg := a.approve(a.start(provider, "/a"), "ada"), g.approve(g.start(provider, "/g"), "grace")
		done := make(chan *http.Response)
		go func() { done <- a.back(ca) }()
		<-first
		g.lands(cg, "/g", grace)
		close(second)
		if got := k.location(<-done); got != "/a" {
			t.Errorf("landed at %q", got)
		}
		a.is(ada)
		g.is(grace)
	})
}

func TestAttack_C41_cookies(t *testing.T) { // ASVS 3.3.5
	k := newArena(t, true)
	b := k.browser()
	var pending []string
	for i := range 16 {
		pending = append(pending, b.start("idp", fmt.Sprintf("/page/%d", i)))
		if i < 6 {
			b.open(fmt.Sprintf("/gated/%d", i)) // a gate leaves a note in the cookie
		}
	}
	check := func() {
		t.Helper()
		total := 0
		for name, value := range b.cookies() {
			total += len(name) + len(value) + 3
		}
		if len(b.cookies()) != 2 || total > 512 {
			t.Errorf("%d cookies of %d bytes: %v", len(b.cookies()), total, b.cookies())
		}
	}
	check()
	for i, to := range pending {
		b.lands(b.approve(to, "ada"), fmt.Sprintf("/page/%d", i), ada)
	}
	check()
	// What piles up by other means goes with the next start, and does no harm meanwhile.
	for i := range 20 {
		b.setCookie(fmt.Sprintf("__Host-rl-bind-old%05d", i), strings.Repeat("A", 43)+".a")
	}
	b.signIn("idp", "ada", "/")
	if n := len(b.bindings()); n > 4 {
		t.Errorf("%d binding cookies, want at most 4", n)
	}
	// First tabs that started at once.
	tabs := k.browser()
	r1, r2 := tabs.request(http.MethodGet, "/auth/idp/login?return_to=/1", nil), tabs.request(http.MethodGet, "/auth/idp/login?return_to=/2", nil)
	a1, a2 := tabs.do(r1), tabs.do(r2)
	tabs.lands(tabs.approve(k.location(a1), "ada"), "/1", ada)
	tabs.lands(tabs.approve(k.location(a2), "ada"), "/2", ada)
}
