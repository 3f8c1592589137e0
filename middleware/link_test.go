package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Invariant 2: a link that fails after redeeming leaves the session as it was and the account whose it
// was, whatever the store refuses, and revokes what was issued.
func TestLink_failed(t *testing.T) {
	rows := []struct {
		name string
		kind string // of the record whose change fails
		nth  int64  // of its changes
		move bool   // the account is somebody else's, who has confirmed it
	}{
		{"a new account, the session", "session", 1, false},
		{"a new account, its account", "account", 2, false}, // the first holds it
		{"a new account, its person", "person", 1, false},
		{"a moved account, the session", "session", 1, true},
		{"a moved account, its account", "account", 1, true},
		{"a moved account, its new person", "person", 1, true},
		{"a moved account, its former person", "person", 2, true},
		{"a moved account, its sessions", "account", 2, true}, // the first gives it another owner
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				theirs, b := k.browser(), k.browser()
				if row.move {
					theirs.signIn("idp", "grace", "/")
				}
				hers := theirs.userID()
				b.signIn("plain", "ada", "/")
				user := b.userID()
				b.is(ada)
				action := "/auth/idp/login?purpose=link&return_to=/linked"
				if row.move {
					m := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(text(b.link("idp", "", "grace")))
					action = strings.ReplaceAll(m[1], "&amp;", "&")
				}
				callback := k.browser().approve(k.location(b.post(action, url.Values{"purpose": {"link"}})), "grace")
				before := b.connections()
				w := watch(k)
				var n atomic.Int64
				w.on(func(op string, key sessionstore.Key) error {
					if op == "update" && key.Kind == row.kind && n.Add(1) == row.nth {
						return errors.New("read only")
					}
					return nil
				})
				resp := b.back(callback)
				w.on(nil)
				if resp.StatusCode != http.StatusServiceUnavailable || n.Load() < row.nth {
					t.Fatalf("status %d after %d changes; log:\n%s", resp.StatusCode, n.Load(), k.log)
				}
				if got := b.connections(); got != before {
					t.Errorf("connections %s, before %s", got, before)
				}
				if b.is(ada); b.userID() != user {
					t.Error("somebody else is signed in")
				}
				other := k.browser()
				other.signIn("idp", "grace", "/")
				if got := other.userID(); got == user || row.move && got != hers {
					t.Errorf("the account signs in as %q", got)
				}
				if err := k.auth.Close(t.Context()); err != nil {
					t.Error(err)
				}
				revoked := 2 // an access and a refresh token: nobody else's
				if row.move {
					revoked = 4 // the first link was refused because the account is taken
				}
				if got := k.idp.Ledger().Revoked; got != revoked {
					t.Errorf("%d tokens revoked, want %d", got, revoked)
				}
			})
		})
	}
}

// A label that is connected again, with another account: the former one is disconnected, over there as
// well, and nobody waits for that.
func TestLink_replaced(t *testing.T) {
	for _, fault := range []providertest.Fault{nil, providertest.Hang} {
		t.Run(fmt.Sprint("revocation hangs: ", fault != nil), func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					b := k.browser()
					b.signIn("idp", "ada", "/")
					user := b.userID()
					b.link("plain", "work", "grace")
					b.link("plain", "work", "grace") // the same: nothing is taken back
					synctest.Wait()
					if k.plain.Ledger().Revoked != 0 {
						t.Error("the token of the same account was revoked")
					}
					k.plain.Set(func(b *providertest.Behavior) { b.Revoke = fault })
					began := time.Now()
					if got := k.location(b.link("plain", "work", "emmy")); got != "/linked" || time.Since(began) != 0 {
						t.Errorf("landed at %q after %v", got, time.Since(began))
					}
					if got, want := b.connections(), "idp: Ada Lovelace false; plain:work Emmy Noether false; "; got != want {
						t.Errorf("connections %s, want %s", got, want)
					}
					synctest.Wait()
					if got := k.plain.Ledger().Revoked > 0; got != (fault == nil) {
						t.Errorf("revoked: %v", got)
					}
					for account, same := range map[string]bool{"grace": false, "emmy": true} {
						other := k.browser()
						other.signIn("plain", account, "/")
						if got := other.userID() == user; got != same {
							t.Errorf("%s signs in as that person: %v", account, got)
						}
					}
					if err := k.auth.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		})
	}
}

// A connection that is replaced or cut when it is in the session and its account has not changed hands yet:
// nobody is left with an account that they are not connected with.
func TestLink_overtaken(t *testing.T) {
	rows := []struct {
		name   string
		meet   func(b *browser)
		move   bool   // the account was somebody else's, who has confirmed it
		cs     string // the connections in the end, besides that of the sign-in
		linked bool
	}{
		{"replaced", func(b *browser) { b.link("plain", "work", "emmy") }, false, "plain:work Emmy Noether false; ", false},
		{"cut", func(b *browser) { b.post("/auth/plain/disconnect", url.Values{"label": {"work"}}) }, false, "", false},
		{"moved and replaced", func(b *browser) { b.link("plain", "work", "emmy") }, true, "plain:work Emmy Noether false; ", false},
		{"signed out", func(b *browser) { b.post("/auth/logout", nil) }, false, "", true}, // as a moment later
		{"left alone", func(*browser) {}, false, "plain:work Grace Hopper false; ", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				if row.move {
					k.browser().signIn("plain", "grace", "/")
				}
				b.signIn("idp", "ada", "/")
				user := b.userID()
				action := "/auth/plain/login?label=work&return_to=/linked"
				if row.move {
					m := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(text(b.link("plain", "work", "grace")))
					action = strings.ReplaceAll(m[1], "&amp;", "&")
				}
				callback := k.browser().approve(k.location(b.post(action, url.Values{"purpose": {"link"}})), "grace")
				w, met := watch(k), false
				w.on(func(op string, key sessionstore.Key) error {
					if op == "update" && key.Kind == "person" && !met {
						met = true
						row.meet(b)
					}
					return nil
				})
				if got := k.location(b.back(callback)); got != "/linked" || !met {
					t.Errorf("landed at %q", got)
				}
				w.on(nil)
				b.signIn("idp", "ada", "/")
				if got, want := b.connections(), "idp: Ada Lovelace false; "+row.cs; got != want {
					t.Errorf("connections %s, want %s", got, want)
				}
				for account, linked := range map[string]bool{"grace": row.linked, "emmy": strings.Contains(row.cs, "Emmy")} {
					other := k.browser()
					other.signIn("plain", account, "/")
					if got := other.userID() == user; got != linked {
						t.Errorf("%s signs in as that person: %v, want %v", account, got, linked)
					}
				}
			})
		})
	}
}

// A second account at one provider: the person is asked which, or they come back as who they are there. The
// same one again needs no question.
func TestLink_whichAccount(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	b.signIn("idp", "ada", "/")
	prompt := func(label string) string {
		return query(t, k.location(b.post("/auth/plain/login", url.Values{"purpose": {"link"}, "label": {label}}))).Get("prompt")
	}
	if got := prompt("work"); got != "" {
		t.Errorf("the first account: prompt %q", got)
	}
	b.link("plain", "work", "grace")
	for label, want := range map[string]string{"work": "", "home": "select_account", "": "select_account"} {
		if got := prompt(label); got != want {
			t.Errorf("label %q: prompt %q, want %q", label, got, want)
		}
	}
}

// What one account granted is not kept when another takes its place, although it granted less.
func TestLink_replacedByLess(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("idp", "ada", "/")
		need := middleware.Need{Provider: "plain", Label: "work", Scopes: []string{"upload"}}
		connection := func() (tok *providers.Token) {
			k.within(b, func(ctx context.Context) {
				var err error
				if tok, err = middleware.Token(middleware.WithConnection(ctx, "work"), "plain"); err != nil {
					t.Error(err)
				}
			})
			return tok
		}
		var to string
		k.within(b, func(ctx context.Context) { to, _ = middleware.LoginURL(ctx, need, "/") })
		k.location(b.back(k.browser().approve(k.location(b.post(to, url.Values{"purpose": {"link"}})), "grace")))
		was := connection()
		b.link("plain", "work", "emmy")
		now := connection()
		if !slices.Contains(was.Scopes, "upload") || slices.Contains(now.Scopes, "upload") || now.Access == was.Access || now.Refresh == was.Refresh {
			t.Errorf("scopes %q, then %q; the same token: %v", was.Scopes, now.Scopes, now.Access == was.Access)
		}
	})
}

// An account that stays connected under another label stays the person's.
func TestLink_replacedOfTwo(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	b.signIn("idp", "ada", "/")
	user := b.userID()
	b.link("plain", "work", "grace")
	b.link("plain", "home", "grace")
	b.link("plain", "work", "emmy")
	other := k.browser()
	other.signIn("plain", "grace", "/")
	if got := other.userID(); got != user {
		t.Errorf("signs in as %q, want %q", got, user)
	}
}

// The connection without a label, at the provider of the sign-in, is that of who is signed in.
func TestLink_inPlaceOfTheSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.rejected(b.link("plain", "", "emmy"), "identity")
		b.post("/auth/plain/disconnect", nil)
		k.rejected(b.link("plain", "", "emmy"), "identity")
		if got := b.connections(); got != "" {
			t.Errorf("connections %s", got)
		}
		if got := k.location(b.link("plain", "", "ada")); got != "/linked" {
			t.Errorf("landed at %q", got)
		}
		if got := b.me("", ""); !strings.Contains(got, ada) {
			t.Errorf("the API says %s", got)
		}
	})
}

// A session has room for 16 connections with a label. One more is refused before anything is redeemed.
func TestLink_room(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("idp", "ada", "/")
		form := func(label string) url.Values {
			return url.Values{"purpose": {"link"}, "label": {label}, "return_to": {"/linked"}}
		}
		for i := range 15 {
			k.location(b.link("plain", fmt.Sprint("n", i), "grace"))
		}
		early := k.browser().approve(k.location(b.post("/auth/plain/login", form("early"))), "grace")
		k.location(b.link("plain", "n15", "grace"))
		redeems := k.redeems()
		for name, resp := range map[string]*http.Response{"at the start": b.post("/auth/plain/login", form("late")), "on the way back": b.back(early)} {
			if body := text(resp); resp.StatusCode != http.StatusConflict || !strings.Contains(body, "connections_full") || !strings.Contains(body, `href="/linked"`) {
				t.Errorf("%s: status %d: %s", name, resp.StatusCode, body)
			}
		}
		if k.redeems() != redeems {
			t.Error("a code was redeemed")
		}
		k.location(b.link("plain", "n3", "grace")) // one that is there
		k.location(b.link("plain", "", "grace"))   // and one without a label
		k.location(b.post("/auth/plain/disconnect", url.Values{"label": {"n3"}}))
		if got := k.location(b.link("plain", "late", "grace")); got != "/linked" {
			t.Errorf("once there is room: landed at %q", got)
		}
	})
}

// What was linked is found by its session at the provider, as a logout that starts there names it; and a
// logout that comes in between leaves no connection behind.
func TestLink_providerSession(t *testing.T) {
	k := newArena(t, true)
	b := k.browser()
	b.signIn("plain", "ada", "/")
	sid, _, _ := strings.Cut(b.session(), ".")
	listed := func(kind string) (keys []sessionstore.Key) {
		for key, rec := range k.shelf.rows() {
			if _, ok := rec.Field(sid); ok && key.Kind == kind {
				keys = append(keys, key)
			}
		}
		return keys
	}
	before := listed("account")
	w := watch(k.kit)
	ended := false
	w.on(func(op string, key sessionstore.Key) error {
		if op == "update" && key.Kind == "session" && !ended {
			ended = true
			if err := k.shelf.Delete(t.Context(), listed("index")...); err != nil { // what such a logout does
				t.Error(err)
			}
		}
		return nil
	})
	k.rejected(b.link("idp", "", "grace"), "session_changed")
	w.on(nil)
	if got := b.connections(); strings.Contains(got, "idp") || !ended {
		t.Errorf("connections %s", got)
	}
	b.is(ada)
	k.location(b.link("idp", "", "grace"))
	if got := len(listed("index")); got == 0 || len(before) == 0 {
		t.Errorf("listed %d times after a link", got)
	}
}
