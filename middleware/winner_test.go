package middleware_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// Which session wins: P is the one that the callback shows, F the one in which the sign-in started.
func TestChoose(t *testing.T) {
	type side = middleware.Side
	type choice = middleware.Choice
	var (
		none    = side{Standing: "absent"}
		gone    = side{ID: "f", Standing: "absent"}
		unborn  = side{ID: "p", Standing: "unborn"}
		anon    = side{ID: "p", Standing: "current", Born: 1}
		anonPre = side{ID: "p", Standing: "previous", Born: 1}
		ada     = side{ID: "p", Standing: "current", Born: 1, User: "ada"}
		adaPre  = side{ID: "p", Standing: "previous", Born: 1, User: "ada"}
		adaOld  = side{ID: "p", Standing: "before", Born: 1, User: "ada"}
		grace   = side{ID: "p", Standing: "current", Born: 1, User: "grace"}
		stale   = side{ID: "p", Standing: "stale", Born: 1, User: "ada"}
		anonF   = side{ID: "f", Standing: "stale", Born: 2} // found by its id, no secret shown
		adaF    = side{ID: "f", Standing: "stale", Born: 2, User: "ada"}
		graceF  = side{ID: "f", Standing: "stale", Born: 2, User: "grace"}
	)
	rows := []struct {
		name string
		p, f side
		want choice
	}{
		{"P is this person, F is P", ada, ada, choice{"attach", "p", "secret-p", ""}},
		{"P is this person, F is anonymous", ada, anonF, choice{"attach", "p", "secret-p", ""}},
		{"P is this person, F is somebody else's", ada, graceF, choice{"attach", "p", "secret-p", ""}},
		{"P is this person, F is gone", ada, gone, choice{"attach", "p", "secret-p", ""}},
		{"P is this person by the previous secret", adaPre, gone, choice{"attach", "p", "secret-p", ""}},
		{"P became this person's a moment ago", adaOld, adaOld, choice{"attach", "p", "secret-p", ""}},
		{"P became this person's a moment ago, F is gone", adaOld, gone, choice{"attach", "p", "secret-p", ""}},
		{"P is somebody else, F is P", grace, grace, choice{"renew", "", "", "p"}},
		{"P is somebody else, F is anonymous", grace, anonF, choice{"renew", "", "", "p"}},
		{"P is somebody else, F is this person's", grace, adaF, choice{"renew", "", "", "p"}},
		{"P is somebody else, F is gone", grace, gone, choice{"renew", "", "", "p"}},
		{"P and F are one and anonymous", anon, anon, choice{"rebind", "p", "secret-p", ""}},
		{"P and F are one and anonymous, previous secret", anonPre, anonPre, choice{"rebind", "p", "secret-p", ""}},
		{"P is anonymous, F another that is", anon, anonF, choice{"rebind", "f", "hash hash-f", ""}},
		{"P has nothing stored, F is anonymous", unborn, anonF, choice{"rebind", "f", "hash hash-f", ""}},
		{"P is stale, F is anonymous", stale, anonF, choice{"rebind", "f", "hash hash-f", ""}},
		{"no P, F is anonymous", none, anonF, choice{"rebind", "f", "hash hash-f", ""}},
		{"P is anonymous, F is this person's", anon, adaF, choice{"rebind", "p", "secret-p", ""}},
		{"P is anonymous, F is somebody else's", anon, graceF, choice{"rebind", "p", "secret-p", ""}},
		{"P is anonymous, F is gone", anon, gone, choice{"rebind", "p", "secret-p", ""}},
		{"P has nothing stored, F is P", unborn, side{ID: "p", Standing: "absent"}, choice{"bear", "p", "secret-p", ""}},
		{"P has nothing stored, F is somebody else's", unborn, graceF, choice{"bear", "p", "secret-p", ""}},
		{"no P, F is gone", none, gone, choice{"renew", "", "", ""}},
		{"no P, F is this person's", none, adaF, choice{"renew", "", "", ""}},
		{"no P, F is somebody else's", none, graceF, choice{"renew", "", "", ""}},
		{"P is stale, F is P", stale, stale, choice{"renew", "", "", ""}},
		{"P became somebody else's a moment ago", side{ID: "p", Standing: "before", Born: 1, User: "grace"}, side{ID: "p", Standing: "stale", Born: 1, User: "grace"}, choice{"renew", "", "", ""}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := middleware.Choose(row.p, row.f, "ada"); got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

// notes adds an app to k whose pages write into the session and read it.
func notes(k *kit) {
	k.handle("/put", func(_ http.ResponseWriter, r *http.Request) {
		k.auth.Sessions().Put(r.Context(), r.FormValue("key"), r.FormValue("value"))
	})
	k.handle("/get", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, k.auth.Sessions().GetString(r.Context(), r.FormValue("key")))
	})
	k.handle("/session", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, k.auth.Sessions().Token(r.Context()))
	})
}

func (b *browser) put(key, value string) {
	b.open("/put?" + url.Values{"key": {key}, "value": {value}}.Encode())
}
func (b *browser) get(key string) string { return text(b.open("/get?key=" + key)) }

// The same through a whole sign-in: what of the two sessions is there afterwards.
func TestWinner(t *testing.T) {
	rows := []struct {
		name    string
		leave   func(b *browser) // before the sign-in starts: this makes F
		between func(b *browser) // before the callback: this makes P
		cart    string           // the value that ada sees
		same    string           // whose session id she has: "F", "P" or "new"
		records int
	}{
		{"rebind: anonymous all along", func(b *browser) { b.put("cart", "F") }, func(*browser) {}, "F", "F", 1},
		{"rebind: written between", func(*browser) {}, func(b *browser) { b.put("cart", "P") }, "P", "P", 1},
		{"F lives, P is lost", func(b *browser) { b.put("cart", "F") }, func(b *browser) { b.setCookie("__Host-rl", "") }, "F", "F", 1},
		{"F lives, P is another anonymous one", func(b *browser) { b.put("cart", "F") },
			func(b *browser) { b.setCookie("__Host-rl", ""); b.put("cart", "P") }, "F", "F", 2}, // P is left to expire
		{"F is gone, P is anonymous", func(b *browser) { b.signIn("plain", "grace", "/") },
			func(b *browser) { b.post("/auth/logout", nil); b.put("cart", "P") }, "P", "P", 1},
		{"F is gone, no P", func(b *browser) { b.signIn("plain", "grace", "/"); b.put("cart", "F") },
			func(b *browser) { b.post("/auth/logout", nil) }, "", "new", 1},
		{"P is this person already", func(b *browser) { b.signIn("plain", "ada", "/"); b.put("cart", "F") }, func(*browser) {}, "F", "F", 1},
		{"P became this person meanwhile", func(b *browser) { b.put("cart", "F") }, func(b *browser) { b.signIn("plain", "ada", "/") }, "F", "P", 1},
		{"P is somebody else: F too", func(b *browser) { b.signIn("plain", "grace", "/"); b.put("cart", "hers") }, func(*browser) {}, "", "new", 1},
		{"P became somebody else meanwhile", func(b *browser) { b.put("cart", "F") },
			func(b *browser) { b.signIn("plain", "grace", "/"); b.put("cart", "hers") }, "", "new", 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				w := watch(k)
				notes(k)
				b := k.browser()
				row.leave(b)
				left := text(b.open("/session"))
				auth := b.start("plain", "/page")
				if left == "-" {
					left = text(b.open("/session"))
				}
				row.between(b)
				shown := text(b.open("/session"))
				old := b.session()
				if got := k.location(b.back(b.approve(auth, "ada"))); got != "/page" {
					t.Errorf("landed at %q, want /page", got)
				}
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("signed in as %q", got)
				}
				if got := b.get("cart"); got != row.cart {
					t.Errorf("cart %q, want %q", got, row.cart)
				}
				now := text(b.open("/session"))
				if want := map[string]string{"F": left, "P": shown}[row.same]; row.same != "new" && now != want {
					t.Errorf("session %q, want %s's, %q", now, row.same, want)
				}
				if row.same == "new" && (now == left || now == shown) {
					t.Errorf("session %q, want a new one", now)
				}
				if got := w.records("session"); got != row.records {
					t.Errorf("%d sessions, want %d", got, row.records)
				}
				// Whoever kept the cookie from before is nobody.
				thief := k.browser()
				thief.setCookie("__Host-rl", old)
				if got := thief.whoami(); old != b.session() && got != "nobody" {
					t.Errorf("with the cookie from before: %q, want nobody", got)
				}
			})
		})
	}
}

// Link and step-up: P must be F with the same user, else the answer is refused before it is redeemed.
func TestWinner_stepUpAndLink(t *testing.T) {
	rows := []struct {
		name    string
		between func(b *browser)
		want    int
	}{
		{"the same session and user", func(*browser) {}, http.StatusSeeOther},
		{"signed out", func(b *browser) { b.post("/auth/logout", nil) }, http.StatusConflict},
		{"signed in as somebody else", func(b *browser) { b.signIn("plain", "grace", "/") }, http.StatusConflict},
		{"the same person in another session", func(b *browser) { b.post("/auth/logout", nil); b.signIn("plain", "ada", "/") }, http.StatusConflict},
		{"no session cookie", func(b *browser) { b.setCookie("__Host-rl", "") }, http.StatusConflict},
		{"another session cookie of ours", func(b *browser) {
			other := b.k.browser()
			other.signIn("plain", "ada", "/")
			b.setCookie("__Host-rl", other.session())
		}, http.StatusConflict},
	}
	starts := map[string]func(b *browser) string{
		"link": func(b *browser) string {
			return b.k.location(b.post("/auth/idp/login", url.Values{"purpose": {"link"}, "return_to": {"/linked"}}))
		},
		"step-up": func(b *browser) string { return b.k.location(b.open("/videos")) },
	}
	for kind, start := range starts {
		for _, row := range rows {
			t.Run(kind+": "+row.name, func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					k.mux.Handle("/videos", k.auth.Require(middleware.Need{Scopes: []string{"upload"}})(http.NotFoundHandler()))
					b := k.browser()
					b.signIn("plain", "ada", "/")
					callback := b.approve(start(b), "ada")
					row.between(b)
					who, before := b.whoami(), k.redeems()
					resp := b.back(callback)
					if resp.StatusCode != row.want {
						t.Fatalf("status %d, want %d; %s", resp.StatusCode, row.want, k.log)
					}
					if row.want == http.StatusSeeOther {
						return
					}
					k.rejected(resp, "session_changed")
					if got := k.redeems() - before; got != 0 {
						t.Errorf("%d token requests, want 0", got)
					}
					if got := b.whoami(); got != who {
						t.Errorf("signed in as %q, want %q as before", got, who)
					}
				})
			})
		}
	}
}

// A step-up that another person answers, and a link of an account that belongs to somebody else,
// leave everything as it was.
func TestWinner_anotherPersonComesBack(t *testing.T) {
	rows := []struct {
		name, account, reason string
		start                 func(b *browser) string
	}{
		{"step-up", "grace", "identity", func(b *browser) string { return b.k.location(b.open("/videos")) }},
		{"link", "grace", "identity_taken", func(b *browser) string {
			return b.k.location(b.post("/auth/idp/login", url.Values{"purpose": {"link"}}))
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.mux.Handle("/videos", k.auth.Require(middleware.Need{Scopes: []string{"upload"}})(http.NotFoundHandler()))
				k.browser().signIn("idp", "grace", "/") // she is known here
				b := k.browser()
				b.signIn("plain", "ada", "/")
				cookie := b.session()
				resp := b.back(b.approve(row.start(b), row.account))
				k.rejected(resp, row.reason)
				if got := b.whoami(); got != "Ada Lovelace" || b.session() != cookie {
					t.Errorf("signed in as %q, cookie changed: %v", got, b.session() != cookie)
				}
				if n := len(b.status()["connections"].([]any)); n != 1 {
					t.Errorf("%d connections, want 1", n)
				}
			})
		})
	}
}
