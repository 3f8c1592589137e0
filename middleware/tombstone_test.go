package middleware_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// beforeSave returns a store in front of k's that runs f once, before a session is saved.
func beforeSave(k *kit, f func()) *between {
	store := &between{Store: k.auth.Store(), kind: "session", f: f}
	k.auth.SetStore(store)
	return store
}

// A process that is held up for longer than a tombstone lasts ends what it saves too late.
func TestSignOutUser_heldUp(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, asUser)
			k.browser().signIn("idp", "ada", "/")
			b := k.browser()
			callback := b.approve(b.start("idp", "/"), "ada")
			store := beforeSave(k, func() {
				if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * time.Hour) // of the bubble's clock
			})
			k.auth.SetStore(onTheWay{store})
			r := b.callback(callback)
			r.Header.Set("Sec-Fetch-Dest", "empty")
			r.Header.Set("Sec-Fetch-Mode", "cors")
			resp := b.do(r) // no page load: it waits for as long as that takes
			if got := b.whoami(); resp.StatusCode != http.StatusConflict || got != "nobody" {
				t.Errorf("status %d, signed in as %s, want 409 and nobody", resp.StatusCode, got)
			}
			if n := members(t, k); n != 0 {
				t.Errorf("%d sessions, want none", n)
			}
		})
	})
}

// onTheWay is a store behind a network: what was sent to it arrives, whoever has given up meanwhile. A
// session is sent in time.
type onTheWay struct{ sessionstore.Store }

func (o onTheWay) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if err := ctx.Err(); err != nil {
		return sessionstore.Record{}, err
	}
	return o.Store.Load(ctx, k)
}

func (o onTheWay) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.Store.Update(context.WithoutCancel(ctx), k, c)
}

func (o onTheWay) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return o.Store.Delete(ctx, ks...)
}

// members returns how many sessions Ada has.
func members(t *testing.T, k *kit) int {
	t.Helper()
	all, err := k.auth.SessionsOf(t.Context(), adaUser)
	if err != nil {
		t.Error(err)
	}
	return len(all)
}

// A sign-in that gives an account to another of the app's users, in a session that is still the one's
// before, does not outlive a sign-out of the new one.
func TestSignOutUser_accountGivenAwayMeanwhile(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		user := "before"
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.OnLogin = func(_ context.Context, l *middleware.Login) error { l.Account.ID = user; return nil }
		})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		user = "after"
		callback := b.approve(b.start("idp", "/"), "ada")
		beforeSave(k, func() {
			if err := k.auth.SignOutUser(t.Context(), "after"); err != nil {
				t.Error(err)
			}
		})
		resp := b.back(callback)
		if got := b.whoami(); resp.StatusCode != http.StatusConflict || got != "nobody" {
			t.Errorf("status %d, signed in as %s, want 409 and nobody", resp.StatusCode, got)
		}
	})
}

// A session that makes room for others before it was saved is one that can be found all the same.
func TestSessionsOf_boundMeanwhile(t *testing.T) {
	k := newKit(t, asUser)
	b := k.browser()
	callback := b.approve(b.start("plain", "/"), "ada")
	beforeSave(k, func() {
		for range 1000 {
			k.browser().signIn("plain", "ada", "/")
		}
	})
	if got := k.location(b.back(callback)); got != "/" || b.whoami() != "Ada Lovelace" || members(t, k) != 1000 {
		t.Errorf("landed at %q as %s, one of %d sessions", got, b.whoami(), members(t, k))
	}
	if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
		t.Error(err)
	}
	if got := b.whoami(); got != "nobody" {
		t.Errorf("after SignOutUser: %s", got)
	}
}

// A second sign-out that fails halfway takes nothing back from the first: the sign-in that was under way
// ends nowhere.
func TestSignOutUser_secondFails(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, asUser)
		k.browser().signIn("idp", "ada", "/")
		b := k.browser()
		callback := b.approve(b.start("idp", "/"), "ada")
		w := watch(k)
		beforeSave(k, func() {
			if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
				t.Error(err)
			}
			w.on(func(op string, key sessionstore.Key) error {
				if op == "update" && key.Kind == "session" {
					return sessionstore.ErrUnavailable
				}
				return nil
			})
			if err := k.auth.SignOutUser(t.Context(), adaUser); err == nil {
				t.Error("no error")
			}
			w.on(nil)
			before := w.records("session")
			if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil || w.records("session") != before {
				t.Errorf("a third one: %v, %d records, want %d", err, w.records("session"), before)
			}
		})
		resp := b.back(callback)
		if got := b.whoami(); resp.StatusCode != http.StatusConflict || got != "nobody" {
			t.Errorf("status %d, signed in as %s, want 409 and nobody", resp.StatusCode, got)
		}
	})
}
