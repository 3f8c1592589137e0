package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// joined signs ada in, who links grace's account under this label, and returns ada's id.
func (b *browser) joined(label string) (user string) {
	b.signIn("idp", "ada", "/")
	user = b.userID()
	b.link("plain", label, "grace")
	return user
}

// apart signs grace in, who has to be somebody of her own.
func (b *browser) apart(user string) {
	b.k.t.Helper()
	b.signIn("plain", "grace", "/")
	if got := b.userID(); got == user || got == "" {
		b.k.t.Errorf("grace signs in as %q", got)
	}
}

// Whoever is signed in by an account elsewhere is so as its person. Once it is disconnected it may be
// somebody's own: those sessions end with it, and none of them is out of reach of SignOutUser.
func TestDisconnect_elsewhere(t *testing.T) {
	for name, leave := range map[string]func(b *browser) *http.Response{
		"disconnected": func(b *browser) *http.Response {
			return b.post("/auth/plain/disconnect", url.Values{"label": {"work"}})
		},
		"another account in its place": func(b *browser) *http.Response { return b.link("plain", "work", "emmy") },
	} {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b, elsewhere := k.browser(), k.browser()
				user := b.joined("work")
				elsewhere.signIn("plain", "grace", "/")
				if got := elsewhere.userID(); got != user {
					t.Fatalf("a linked account signs in as %q, want %q", got, user)
				}
				k.location(leave(b))
				if got := elsewhere.userID(); got != "" {
					t.Errorf("elsewhere still signed in as %q", got)
				}
				b.is(ada)
				elsewhere.apart(user)
			})
		})
	}
}

// A sign-in that has found out whose account it is, and then loses it, ends nowhere.
func TestDisconnect_duringSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b, elsewhere := k.browser(), k.browser()
		user := b.joined("")
		callback := elsewhere.approve(elsewhere.start("plain", "/"), "grace")
		k.onLogin(func(loginContext) error {
			k.location(b.post("/auth/plain/disconnect", nil))
			return nil
		})
		if resp := elsewhere.back(callback); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", resp.StatusCode)
		}
		if got := elsewhere.userID(); got != "" {
			t.Errorf("signed in as %q", got)
		}
		k.auth.SetOnLogin(nil)
		elsewhere.apart(user)
	})
}

// One that ends while the account is being freed does not keep it.
func TestDisconnect_afterSignIn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b, elsewhere := k.browser(), k.browser()
		user := b.joined("")
		callback := elsewhere.approve(elsewhere.start("plain", "/"), "grace")
		w := watch(k)
		var began atomic.Bool
		w.on(func(op string, key sessionstore.Key) error {
			if op == "update" && key.Kind == "account" && began.CompareAndSwap(false, true) {
				k.location(elsewhere.back(callback))
			}
			return nil
		})
		k.location(b.post("/auth/plain/disconnect", nil))
		w.on(nil)
		if got := elsewhere.userID(); got != "" || !began.Load() {
			t.Errorf("still signed in as %q", got)
		}
		elsewhere.apart(user)
	})
}

// A sign-in that is held up after it has written the account, while that account becomes another person's
// or nobody's, ends nowhere: its session would be one that no sign-out of anybody finds.
func TestDisconnect_whileHeldUp(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b, elsewhere := k.browser(), k.browser()
		b.joined("")
		callback := elsewhere.approve(elsewhere.start("plain", "/"), "grace")
		w := watch(k)
		var account, began atomic.Bool
		w.on(func(op string, key sessionstore.Key) error {
			switch {
			case op == "update" && key.Kind == "account":
				account.Store(true)
			case op == "update" && key.Kind == "session" && account.Load() && began.CompareAndSwap(false, true):
				k.location(b.post("/auth/plain/disconnect", nil))
			}
			return nil
		})
		resp := elsewhere.back(callback)
		w.on(nil)
		if resp.StatusCode != http.StatusServiceUnavailable || !began.Load() {
			t.Errorf("status %d, want 503", resp.StatusCode)
		}
		if got := elsewhere.userID(); got != "" {
			t.Errorf("signed in as %q", got)
		}
	})
}

// One account under two labels, both disconnected at once: the one that is later frees it.
func TestDisconnect_both(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		user := b.joined("one")
		b.link("plain", "two", "grace")
		w := watch(k)
		var began atomic.Bool
		w.on(func(op string, key sessionstore.Key) error {
			if op == "update" && key.Kind == "session" && began.CompareAndSwap(false, true) {
				k.location(b.post("/auth/plain/disconnect", url.Values{"label": {"two"}}))
			}
			return nil
		})
		k.location(b.post("/auth/plain/disconnect", url.Values{"label": {"one"}}))
		w.on(nil)
		if got, want := b.connections(), "idp: Ada Lovelace false; "; got != want {
			t.Errorf("connections %s, want %s", got, want)
		}
		k.browser().apart(user)
	})
}

// Two accounts connected under one label at once: the one that is later has the place, and the other is
// disconnected as if it had been there for long.
func TestLink_twoAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("idp", "ada", "/")
		user := b.userID()
		leave := func(account string) string {
			auth := k.location(b.post("/auth/plain/login", url.Values{"purpose": {"link"}, "label": {"work"}, "return_to": {"/linked"}}))
			return k.browser().approve(auth, account)
		}
		late, early := leave("grace"), leave("emmy")
		w := watch(k)
		var began atomic.Bool
		w.on(func(op string, key sessionstore.Key) error {
			if op == "update" && key.Kind == "session" && began.CompareAndSwap(false, true) {
				k.location(b.back(early))
			}
			return nil
		})
		k.location(b.back(late))
		w.on(nil)
		if got, want := b.connections(), "idp: Ada Lovelace false; plain:work Grace Hopper false; "; got != want {
			t.Errorf("connections %s, want %s", got, want)
		}
		for account, same := range map[string]bool{"grace": true, "emmy": false} {
			other := k.browser()
			other.signIn("plain", account, "/")
			if got := other.userID() == user; got != same {
				t.Errorf("%s signs in as that person: %v", account, got)
			}
		}
		if err := k.auth.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if k.plain.Ledger().Revoked == 0 {
			t.Error("the token that nobody uses any more was not revoked")
		}
	})
}

// clumsy is a provider of the app's own, with a mistake in it.
type clumsy struct{ *providers.OAuth2 }

func (clumsy) Revoke(context.Context, *providers.Token) error { panic("not yet written") }

// What goes wrong in the background takes nobody else along.
func TestDisconnect_revokePanics(t *testing.T) {
	k := newKit(t, func(k *kit, c *middleware.Config) {
		c.Providers = []providers.Provider{clumsy{k.plain.OAuth2("plain")}}
	})
	b := k.browser()
	b.signIn("plain", "ada", "/")
	k.location(b.post("/auth/plain/disconnect", nil))
	if err := k.auth.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if b.is(ada); !strings.Contains(k.log.String(), "revocation panicked") {
		t.Errorf("the log does not say so:\n%s", k.log)
	}
}

// Whoever disconnects an account stays signed in, although a sign-in by it once began in the same session.
func TestDisconnect_stays(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, unlogged, change, func(_ *kit, c *middleware.Config) {
			c.OnLogin = func(_ context.Context, l *middleware.Login) error { l.Account.ID = "ada"; return nil }
		})
		notes(k)
		w, b := watch(k), k.browser()
		b.put("cart", "pears")
		callback := b.approve(b.start("plain", "/"), "grace")
		w.on(func(op string, key sessionstore.Key) error {
			if op == "update" && key.Kind == "session" {
				return sessionstore.ErrUnavailable
			}
			return nil
		})
		if got := b.back(callback).StatusCode; got < 500 {
			t.Fatalf("status %d of a sign-in that could not be saved", got)
		}
		w.on(nil)
		b.signIn("idp", "ada", "/")
		b.link("plain", "", "grace")
		k.location(b.post("/auth/plain/disconnect", nil))
		b.is(ada)
	})
}

// What is revoked is what the session held in the end: the token may have been renewed since the request
// that disconnects it began.
func TestDisconnect_renewed(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.within(b, func(ctx context.Context) {
			k.within(b, func(ctx context.Context) {
				if _, err := middleware.Refresh(ctx, ""); err != nil {
					t.Fatal(err)
				}
			})
			if err := middleware.Disconnect(ctx, ""); err != nil {
				t.Fatal(err)
			}
		})
		if err := k.auth.Close(t.Context()); err != nil { // the revocation is under way
			t.Fatal(err)
		}
		l := k.plain.Ledger()
		var revoked []string
		for _, r := range l.Of("revoke") {
			revoked = append(revoked, r.Form.Get("token"))
		}
		if newest := l.Refresh[len(l.Refresh)-1].Token; len(l.Refresh) != 2 || !slices.Contains(revoked, newest) {
			t.Errorf("%d tokens were revoked, and not the newest of %d", len(revoked), len(l.Refresh))
		}
	})
}
