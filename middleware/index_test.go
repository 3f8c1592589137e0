package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// asUser makes everybody's Account.ID their subject in the app's own words.
func asUser(_ *kit, c *middleware.Config) {
	c.OnLogin = func(_ context.Context, l *middleware.Login) error {
		l.Account.ID = "user of " + l.Account.Identity.Name
		return nil
	}
	c.Device = func(r *http.Request) string { return r.Header.Get("User-Agent") }
}

const adaUser = "user of Ada Lovelace"

func TestSessionsOf(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, asUser)
		var here []middleware.Session
		k.handle("/devices", func(w http.ResponseWriter, r *http.Request) {
			var err error
			if here, err = k.auth.SessionsOf(r.Context(), adaUser); err != nil {
				t.Error(err)
			}
		})
		phone, desk, other := k.browser(), k.browser(), k.browser()
		phone.header.Set("User-Agent", "phone")
		desk.header.Set("User-Agent", "desk")
		phone.signIn("idp", "ada", "/")
		desk.signIn("idp", "ada", "/")
		other.signIn("idp", "grace", "/")

		desk.open("/devices")
		if len(here) != 2 {
			t.Fatalf("got %d sessions, want 2: %+v", len(here), here)
		}
		for _, s := range here {
			if s.Provider != "idp" || s.Created.IsZero() || s.Expires.Before(time.Now()) || s.Current != (s.Device == "desk") {
				t.Errorf("session %+v", s)
			}
		}
		all, err := k.auth.SessionsOf(t.Context(), adaUser)
		if err != nil || len(all) != 2 || all[0].Current || all[1].Current {
			t.Errorf("outside of a request: %+v, %v", all, err)
		}
		for _, user := range []string{"", "nobody", adaUser + " "} {
			if got, err := k.auth.SessionsOf(t.Context(), user); err != nil || len(got) != 0 {
				t.Errorf("SessionsOf(%q): %+v, %v", user, got, err)
			}
		}

		// One that ends is not listed any more.
		k.location(phone.post("/auth/logout", nil))
		if all, _ := k.auth.SessionsOf(t.Context(), adaUser); len(all) != 1 || all[0].Device != "desk" {
			t.Errorf("after a sign-out: %+v", all)
		}
		// Another person's session cannot be ended in somebody's name.
		graces, err := k.auth.SessionsOf(t.Context(), "user of Grace Hopper")
		if err != nil || len(graces) != 1 {
			t.Fatalf("got %+v, %v", graces, err)
		}
		for _, id := range []string{graces[0].ID, "", "nothing"} {
			if err := k.auth.EndSession(t.Context(), adaUser, id); err != nil {
				t.Error(err)
			}
		}
		if got := other.whoami(); got != "Grace Hopper" {
			t.Errorf("grace is %s", got)
		}
		if err := k.auth.EndSession(t.Context(), adaUser, all[0].ID); err != nil {
			t.Error(err)
		}
		if err := k.auth.EndSession(t.Context(), adaUser, all[1].ID); err != nil {
			t.Error(err)
		}
		if got := desk.whoami(); got != "nobody" {
			t.Errorf("desk is %s", got)
		}
	})
}

func TestSignOutUser(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, asUser)
		k.handle("/only-here", func(w http.ResponseWriter, r *http.Request) {
			if err := middleware.SignOutOthers(r.Context()); err != nil {
				fmt.Fprint(w, err)
			}
		})
		var browsers []*browser
		for range 4 {
			b := k.browser()
			b.signIn("idp", "ada", "/")
			browsers = append(browsers, b)
		}
		grace := k.browser()
		grace.signIn("plain", "grace", "/")

		if got := text(browsers[2].open("/only-here")); got != "" {
			t.Error(got)
		}
		for i, b := range browsers {
			want := "nobody"
			if i == 2 {
				want = "Ada Lovelace"
			}
			if got := b.whoami(); got != want {
				t.Errorf("browser %d: %s, want %s", i, got, want)
			}
		}
		if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
			t.Fatal(err)
		}
		if got := browsers[2].whoami(); got != "nobody" {
			t.Errorf("after SignOutUser: %s", got)
		}
		if got := grace.whoami(); got != "Grace Hopper" {
			t.Errorf("grace is %s", got)
		}
		if got := text(k.browser().open("/only-here")); got != middleware.ErrSignedOut.Error() {
			t.Errorf("SignOutOthers of nobody: %s", got)
		}
		browsers[0].signIn("idp", "ada", "/") // nothing stands in the way of the next one
		if all, err := k.auth.SessionsOf(t.Context(), adaUser); err != nil || len(all) != 1 {
			t.Errorf("got %+v, %v", all, err)
		}
	})
}

// between runs f before the n-th change of a record of kind.
type between struct {
	sessionstore.Store
	mu   sync.Mutex
	kind string
	f    func()
}

func (b *between) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	b.mu.Lock()
	f := b.f
	if k.Kind != b.kind {
		f = nil
	}
	if f != nil {
		b.f = nil
	}
	b.mu.Unlock()
	if f != nil {
		f()
	}
	return b.Store.Update(ctx, k, c)
}

// A sign-out of everything that comes between the steps of a sign-in ends that, too: whether the
// session was there before, or is made by it.
func TestSignOutUser_duringSignIn(t *testing.T) {
	rows := []struct {
		name, kind string
		visitor    bool // has a session already, in which nobody is signed in
	}{
		{"before it is listed", "account", false},
		{"before it is listed at the provider", "index", false},
		{"before the session is made", "session", false},
		{"before the session is changed", "session", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				store := &between{kind: row.kind}
				k := newKit(t, change, asUser, func(_ *kit, c *middleware.Config) {
					store.Store = c.Store
					c.Store = store
					if c.Keys == nil {
						c.Keys = sessionstore.NewKeyring()
					}
				})
				k.handle("/put", func(_ http.ResponseWriter, r *http.Request) { k.auth.Sessions().Put(r.Context(), "v", "kept") })
				k.browser().signIn("idp", "ada", "/") // makes the person known
				b := k.browser()
				if row.visitor {
					b.open("/put")
				}
				callback := b.approve(b.start("idp", "/"), "ada")
				var err error
				store.f = func() { err = k.auth.SignOutUser(t.Context(), adaUser) }
				resp := b.back(callback)
				if err != nil {
					t.Fatal(err)
				}
				all, err := k.auth.SessionsOf(t.Context(), adaUser)
				if err != nil {
					t.Fatal(err)
				}
				if got := b.whoami(); resp.StatusCode != http.StatusConflict || got != "nobody" || len(all) != 0 {
					t.Errorf("status %d, signed in as %s, %d sessions; want 409, nobody and none", resp.StatusCode, got, len(all))
				}
				// Nothing that it left behind stands in the way of the next one.
				b.signIn("idp", "ada", "/")
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("signed in again as %s", got)
				}
			})
		})
	}
}

// A process that dies between index and session leaves an entry that nobody sees and that goes.
func TestSessionsOf_entryWithoutSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failing{Store: &sessionstore.Memory{}}
		k := newKit(t, asUser, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, sessionstore.NewKeyring() })
		k.browser().signIn("idp", "ada", "/")
		b := k.browser()
		callback := b.approve(b.start("idp", "/"), "ada")
		store.kind.Store("session")
		if resp := b.back(callback); resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("status %d, want 503", resp.StatusCode)
		}
		store.kind.Store("")
		if all, err := k.auth.SessionsOf(t.Context(), adaUser); err != nil || len(all) != 1 {
			t.Errorf("got %+v, %v, want one session", all, err)
		}
		time.Sleep(26 * time.Hour) // of the bubble's clock
		c := k.browser()
		c.signIn("idp", "ada", "/")
		if all, err := k.auth.SessionsOf(t.Context(), adaUser); err != nil || len(all) != 1 {
			t.Errorf("a day later: %+v, %v, want one session", all, err)
		}
	})
}

// failing is a store that cannot change records of a kind.
type failing struct {
	sessionstore.Store
	kind atomic.Value // a string; the kit tries some changes again in the background
}

func (f *failing) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if k.Kind == f.kind.Load() {
		return fmt.Errorf("store is broken")
	}
	return f.Store.Update(ctx, k, c)
}

// An app may give an account to another of its users, at a sign-in. The one who had it before is not
// shown the sessions of the one who has it now, and cannot end them.
func TestSessionsOf_accountGivenAway(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		user := "before"
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.OnLogin = func(_ context.Context, l *middleware.Login) error { l.Account.ID = user; return nil }
		})
		old, now := k.browser(), k.browser()
		old.signIn("idp", "ada", "/")
		user = "after"
		now.signIn("idp", "ada", "/")
		ids := map[string]string{}
		for _, user := range []string{"before", "after"} {
			all, err := k.auth.SessionsOf(t.Context(), user)
			if err != nil || len(all) != 1 {
				t.Fatalf("sessions of %s: %d, %v, want 1", user, len(all), err)
			}
			ids[user] = all[0].ID
		}
		if err := k.auth.EndSession(t.Context(), "before", ids["after"]); err != nil {
			t.Error(err)
		}
		if got := now.whoami(); got != "Ada Lovelace" {
			t.Errorf("after somebody else ended it: %q", got)
		}
		if err := k.auth.SignOutUser(t.Context(), "before"); err != nil {
			t.Error(err)
		}
		if got := old.whoami() + ", " + now.whoami(); got != "nobody, Ada Lovelace" {
			t.Errorf("after its user was signed out everywhere: %s, want nobody, Ada Lovelace", got)
		}
	})
}

// One person does not pile up sessions without end: the oldest makes room.
func TestSessionsOf_bound(t *testing.T) {
	k := newKit(t, asUser)
	first := k.browser()
	first.signIn("plain", "ada", "/")
	for range 1000 {
		k.browser().signIn("plain", "ada", "/")
	}
	all, err := k.auth.SessionsOf(t.Context(), adaUser)
	if err != nil || len(all) != 1000 {
		t.Errorf("%d sessions, %v, want 1000", len(all), err)
	}
	if got := first.whoami(); got != "nobody" {
		t.Errorf("the first one is %s", got)
	}
}
