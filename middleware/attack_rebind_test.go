package middleware_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Group D of the attacks, cross-user rebind: two browsers, each with its own cookies. Invariants 1, 2
// and 5. BCP-update is draft-ietf-oauth-security-topics-update, the OAuth 2.0 Security Best Current
// Practice after RFC 9700.

// The ways in which a victim's browser may be when the attacker's URL arrives. Each returns how
// it goes on afterwards.
var victims = []struct {
	name     string
	signedIn bool
	prepare  func(v *browser, provider string) (after func())
}{
	{"fresh", false, func(v *browser, _ string) func() {
		return func() { v.is(nobody) }
	}},
	{"with a session", false, func(v *browser, _ string) func() {
		v.open("/put?key=cart&value=book")
		return func() {
			v.is(nobody)
			if got := text(v.open("/get?key=cart")); got != "book" {
				v.k.t.Errorf("the session has %q, want book", got)
			}
		}
	}},
	{"with a sign-in under way", false, func(v *browser, provider string) func() {
		own := v.start(provider, "/mine")
		return func() {
			v.is(nobody)
			v.lands(v.approve(own, "ada"), "/mine", ada)
		}
	}},
	{"signed in", true, func(v *browser, provider string) func() {
		v.signIn(provider, "ada", "/mine")
		return func() { v.is(ada) }
	}},
}

// turned fails the test unless the callback is refused in v, or ignored where somebody is signed in.
func (k *arena) turned(v *browser, callback string, signedIn bool, reason string) {
	k.t.Helper()
	if signedIn {
		k.ignores(v.callback(callback), reason)
		return
	}
	k.rejects(v.callback(callback), reason)
}

func eachVictim(t *testing.T, f func(t *testing.T, k *arena, provider string, attacker, victim *browser, signedIn bool)) {
	for _, row := range victims {
		t.Run(row.name, func(t *testing.T) {
			eachArena(t, func(t *testing.T, k *arena, provider string) {
				victim := k.browser()
				after := row.prepare(victim, provider)
				f(t, k, provider, k.browser(), victim, row.signedIn)
				after()
			})
		})
	}
}

func TestAttack_D_rebind(t *testing.T) {
	t.Run("42 attacker starts, victim finishes", func(t *testing.T) { // BCP-update, section 2.3; CVE-2026-33757
		eachVictim(t, func(t *testing.T, k *arena, provider string, attacker, victim *browser, signedIn bool) {
			bait := attacker.start(provider, "/gated/a")
			k.turned(victim, victim.approve(bait, "ada"), signedIn, "state")
			attacker.is(nobody)
			attacker.lands(attacker.approve(bait, "grace"), "/gated/a", grace)
		})
	})
	t.Run("43 attacker sends the start link", func(t *testing.T) { // BCP-update, section 2.3.1
		eachArena(t, func(t *testing.T, k *arena, provider string) {
			attacker, victim := k.browser(), k.browser()
			link := "/auth/" + provider + "/login?return_to=/gated/a"
			own := k.location(attacker.open(link))
			r := victim.request(http.MethodGet, link, nil)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			theirs := k.location(victim.do(r))
			if state(t, own) == state(t, theirs) {
				t.Fatal("two browsers have one state")
			}
			victim.lands(victim.approve(theirs, "ada"), "/gated/a", ada)
			attacker.is(nobody)
			k.rejects(attacker.callback(attacker.approve(theirs, "grace")), "state")
		})
	})
	t.Run("44 attacker finishes, victim gets the callback", func(t *testing.T) { // CVE-2025-68158, CVE-2026-41425; RFC 9700, section 4.7
		eachVictim(t, func(t *testing.T, k *arena, provider string, attacker, victim *browser, signedIn bool) {
			callback := attacker.approve(attacker.start(provider, "/gated/a"), "impostor")
			k.turned(victim, callback, signedIn, "state")
			attacker.lands(callback, "/gated/a", "Not Ada")
		})
	})
	t.Run("45 victim starts, attacker has the callback first", func(t *testing.T) { // RFC 9700, sections 4.2 and 4.3
		eachVictim(t, func(t *testing.T, k *arena, provider string, attacker, victim *browser, _ bool) {
			other := k.browser()
			callback := other.approve(other.start(provider, "/gated/a"), "emmy")
			k.rejects(attacker.callback(callback), "state")
			attacker.signIn(provider, "grace", "/")
			k.ignores(attacker.callback(callback), "state")
			attacker.is(grace)
			other.lands(callback, "/gated/a", emmy)
			_ = victim // whoever else is there stays as they are
		})
	})
	t.Run("46 code injection", func(t *testing.T) { // RFC 9700, section 4.5; OIDC Core, section 15.5.2
		rows := []struct {
			name, provider string
			ignorePKCE     bool
			event          string
		}{
			{"PKCE", "idp", false, "invalid_grant"},
			{"PKCE", "plain", false, "invalid_grant"},
			{"a provider that ignores PKCE", "idp", true, "nonce"}, // without nonce and PKCE nothing could tell
		}
		for _, row := range rows {
			t.Run(row.name+" "+row.provider, func(t *testing.T) {
				k := newArena(t, true)
				k.idp.Set(func(b *providertest.Behavior) { b.IgnorePKCE = row.ignorePKCE })
				attacker, victim := k.browser(), k.browser()
				victim.open("/put?key=cart&value=book")
				session := victim.session()
				stolen := query(t, attacker.approve(attacker.start(row.provider, "/a"), "impostor")).Get("code")
				callback := victim.approve(victim.start(row.provider, "/gated/v"), "ada")
				q := query(t, callback)
				own := q.Get("code")
				q.Set("code", stolen)
				resp := victim.back("/auth/" + row.provider + "/callback?" + q.Encode())
				if resp.StatusCode < 400 || k.redeems() != 1 {
					t.Errorf("status %d, %d token requests", resp.StatusCode, k.redeems())
				}
				if !strings.Contains(k.log.String(), row.event) {
					t.Errorf("the log does not mention %s:\n%s", row.event, k.log)
				}
				victim.is(nobody)
				if victim.session() != session {
					t.Error("the session cookie changed")
				}
				if err := k.auth.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if l := k.provider(row.provider).Ledger(); l.Issued > 0 && l.Revoked == 0 {
					t.Error("tokens were issued and not revoked")
				}
				// The code that it should have been is not sent to the same flow any more.
				q.Set("code", own)
				if victim.back("/auth/" + row.provider + "/callback?" + q.Encode()); k.redeems() != 1 {
					t.Errorf("%d token requests, want 1", k.redeems())
				}
			})
		}
	})
}

func TestAttack_D47_rows(t *testing.T) { // the attacker knows the state and reads the store
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		victim := k.browser()
		victim.open("/put?key=cart&value=book")
		victim.start(provider, "/first")
		victim.signIn(provider, "ada", "/second")
		other := k.browser() // anonymous, with a flow under way
		other.open("/put?key=cart&value=lamp")
		callback := other.approve(other.start(provider, "/gated/v"), "emmy")

		var loot []string
		for key, rec := range k.shelf.rows() {
			loot = append(loot, key.ID)
			for f := range rec.All() {
				loot = append(loot, f.Name, f.Value)
			}
		}
		ids, tried := k.shelf.of("session"), 0
		if len(ids) != 2 {
			t.Fatalf("%d sessions, want 2", len(ids))
		}
		for _, value := range append(loot, strings.Repeat("A", 43)) {
			for _, secret := range pieces(value) {
				for _, id := range ids {
					attacker := k.browser()
					attacker.setCookie("__Host-rl", id.ID+"."+secret)
					attacker.setCookie("__Host-rl-bind-AAAAAAAA", secret+".mhrm9k00")
					attacker.is(nobody)
					k.rejects(attacker.callback(callback), "state")
					tried++
				}
			}
		}
		if tried < 4 {
			t.Errorf("only %d tries", tried)
		}
		other.lands(callback, "/gated/v", emmy)
		victim.is(ada)
	})
}

// pieces returns what of value could be the secret of a cookie: runs of 43 characters, and 32 bytes
// as text.
func pieces(value string) []string {
	var found []string
	for i := 0; i+32 <= len(value); i++ {
		found = append(found, b64(value[i:i+32]))
		if i+43 <= len(value) && !strings.ContainsFunc(value[i:i+43], func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", r)
		}) {
			found = append(found, value[i:i+43])
		}
		if len(found) > 40 { // hashes stand at the front
			break
		}
	}
	return found
}

func TestAttack_D48_switched(t *testing.T) { // BCP-update, section 2.3.2; CVE-2025-12419
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		other := map[string]string{"idp": "plain", "plain": "idp"}[provider]
		rows := []struct {
			name   string
			depart func(b *browser) string
		}{
			{"link", func(b *browser) string {
				return k.location(b.post("/auth/"+other+"/login", url.Values{"purpose": {"link"}, "return_to": {"/gated/l"}}))
			}},
			{"step-up", func(b *browser) string { return k.location(b.open("/needs/" + provider)) }},
		}
		k.mux.Handle("/needs/"+provider, k.auth.Require(middleware.Need{Provider: provider, Scopes: []string{"more"}})(http.NotFoundHandler()))
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				b := k.browser()
				b.signIn(provider, "ada", "/")
				callback := b.approve(row.depart(b), "ada")
				b.signIn(provider, "grace", "/") // in another tab
				k.rejects(b.callback(callback), "session_changed")
				b.is(grace)
				if got := len(b.status()["connections"].([]any)); got != 1 {
					t.Errorf("%d connections, want 1", got)
				}
			})
		}
		t.Run("sign-in", func(t *testing.T) {
			b := k.browser()
			b.signIn(provider, "ada", "/")
			b.open("/put?key=secret&value=adas")
			before := b.session()
			callback := b.approve(b.start(provider, "/gated/s"), "ada")
			b.signIn(provider, "grace", "/")
			middle := b.session()
			gone := k.browser()
			gone.setCookie("__Host-rl", before)
			gone.is(nobody) // her session ended when somebody else took the browser over
			b.open("/put?key=secret&value=graces")
			b.lands(callback, "/gated/s", ada) // a session of her own: neither the one that ended, nor Grace's
			if got := b.session(); got == before || got == middle {
				t.Error("an old session cookie")
			}
			if got := text(b.open("/get?key=secret")); got != "" {
				t.Errorf("the session has %q, want nothing", got)
			}
		})
	})
}

func TestAttack_D49_linking(t *testing.T) { // CVE-2026-104627, CVE-2026-73419
	for _, seal := range []bool{false, true} {
		k := newArena(t, seal)
		attacker, victim := k.browser(), k.browser()
		attacker.signIn("idp", "impostor", "/")
		victim.signIn("idp", "ada", "/")
		link := url.Values{"purpose": {"link"}, "return_to": {"/"}}
		connections := func(b *browser) int { return len(b.status()["connections"].([]any)) }

		// The attacker's flow, finished by the victim.
		bait := k.location(attacker.post("/auth/plain/login", link))
		k.ignores(victim.callback(victim.approve(bait, "ada")), "state")
		// The victim's flow, finished in the attacker's browser, and with an answer that the attacker got.
		callback := victim.approve(k.location(victim.post("/auth/plain/login", link)), "ada")
		k.ignores(attacker.callback(callback), "state")
		q := query(t, callback)
		q.Set("code", query(t, attacker.approve(bait, "impostor")).Get("code"))
		victim.back("/auth/plain/callback?" + q.Encode())
		// Unsolicited.
		k.ignores(victim.callback("/auth/plain/callback?code=injected&state=made-up&iss=https://plain.example"), "state")
		// A page of another site posts the form, or links to it.
		r := victim.request(http.MethodPost, "/auth/plain/login", strings.NewReader(link.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		k.rejects(r, "cross_origin")
		// A link to the address of the form asks first, and then signs in and connects nothing.
		third := k.browser()
		third.signIn("idp", "emmy", "/")
		r = third.request(http.MethodGet, "/auth/plain/login?"+link.Encode(), nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		k.rejects(r, "switch")
		third.lands(third.approve(k.location(third.open("/auth/plain/login?"+link.Encode())), "emmy"), "/", emmy)
		for name, b := range map[string]*browser{"attacker": attacker, "victim": victim, "third": third} {
			if n := connections(b); n != 1 {
				t.Errorf("%s has %d connections, want 1", name, n)
			}
		}
		attacker.is("Not Ada")
		victim.is(ada)
		// An identity that belongs to somebody else does not change hands.
		other := k.browser()
		other.signIn("plain", "ada", "/")
		if resp := attacker.back(attacker.approve(k.location(attacker.post("/auth/plain/login", link)), "ada")); resp.StatusCode != http.StatusConflict {
			t.Errorf("status %d, want 409", resp.StatusCode)
		}
		if n := connections(attacker); n != 1 {
			t.Errorf("attacker has %d connections, want 1", n)
		}
	}
}

func TestAttack_D50_sameBrowser(t *testing.T) {
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		t.Run("50 new tab", func(t *testing.T) {
			b := k.browser()
			b.open("/put?key=cart&value=book")
			sid, _, _ := strings.Cut(b.session(), ".")
			callback := b.approve(b.start(provider, "/gated/n"), "ada")
			old := b.request(http.MethodGet, "/whoami", nil) // left the old tab before the new one was answered
			b.lands(callback, "/gated/n", ada)
			if got, _, _ := strings.Cut(b.session(), "."); got != sid {
				t.Error("another session than the one it started in")
			}
			if got := text(k.serve(old)); got != nobody {
				t.Errorf("the cookie from before the sign-in opens %q", got)
			}
			if got := text(b.open("/get?key=cart")); got != "book" {
				t.Errorf("the old tab finds %q, want book", got)
			}
		})
		rows := []struct {
			name string
			lose func(b *browser)
		}{
			{"51 session cookie gone", func(b *browser) { b.setCookie("__Host-rl", "") }},
			{"51 signed out meanwhile", func(b *browser) { b.post("/auth/logout", nil) }},
			{"51 record gone", func(b *browser) {
				for _, key := range k.shelf.of("session") {
					if strings.HasPrefix(b.session(), key.ID) {
						if err := k.shelf.Delete(t.Context(), key); err != nil {
							t.Error(err)
						}
					}
				}
			}},
			{"51 rotated meanwhile", func(b *browser) { b.open("/renew") }},
		}
		k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
			if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
				t.Error(err)
			}
		})
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				b := k.browser()
				b.open("/put?key=cart&value=book")
				callback := b.approve(b.start(provider, "/gated/n"), "grace")
				row.lose(b)
				b.lands(callback, "/gated/n", grace)
				// A link, which says whose it is, is refused instead.
				other := map[string]string{"idp": "plain", "plain": "idp"}[provider]
				to := k.location(b.post("/auth/"+other+"/login", url.Values{"purpose": {"link"}}))
				callback = b.approve(to, "grace")
				if row.name == "51 rotated meanwhile" {
					b.open("/renew")
					if got := k.location(b.back(callback)); got != "/" {
						t.Errorf("landed at %q", got)
					}
					return
				}
				row.lose(b)
				k.rejects(b.callback(callback), "session_changed")
				b.is(nobody)
			})
		}
		t.Run("52 another browser", func(t *testing.T) {
			b, private := k.browser(), k.browser()
			callback := b.approve(b.start(provider, "/gated/n"), "ada")
			r := private.callback(callback)
			k.rejects(r, "state")
			page := text(k.serve(private.callback(callback)))
			if !strings.Contains(page, "started in another browser") || !strings.Contains(page, "/auth/"+provider+"/login") {
				t.Errorf("the page does not say what to do:\n%s", page)
			}
			b.lands(callback, "/gated/n", ada)
		})
	})
}

func TestAttack_D57_anotherSubject(t *testing.T) { // OIDC Core, sections 3.1.2.1 and 12.2
	// The kit sends no prompt=none; a step-up is where somebody has to be who they were.
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		k.mux.Handle("/needs", k.auth.Require(middleware.Need{Provider: provider, Scopes: []string{"more"}})(http.NotFoundHandler()))
		b := k.browser()
		b.signIn(provider, "ada", "/")
		cookie, status := b.session(), text(b.fetch("/auth/status"))
		resp := b.back(b.approve(k.location(b.open("/needs")), "grace"))
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(k.log.String(), "reason=identity") {
			t.Errorf("status %d, want 403; log:\n%s", resp.StatusCode, k.log)
		}
		b.is(ada)
		if b.session() != cookie || text(b.fetch("/auth/status")) != status {
			t.Error("the session changed")
		}
		if err := k.auth.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if k.provider(provider).Ledger().Revoked == 0 {
			t.Error("the stranger's tokens were not revoked")
		}
	})
}

// Two people finish in one browser, and the answer of the first is lost. Her callback, opened again,
// must not take the place of whoever is signed in now.
func TestAttack_D48_reload(t *testing.T) {
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		b.open("/put?key=cart&value=book")
		first := b.approve(b.start(provider, "/first"), "ada")
		b.setCookie("__Host-rl", "")
		b.open("/put?key=cart&value=lamp")
		k.location(k.serve(b.callback(first))) // and the answer does not arrive
		b.signIn(provider, "grace", "/second")
		b.lands(first, "/first", grace)
	})
}
