package middleware_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// FAULTS F36: a store of the app's panics in the first, second, … of the operations that somebody needs.
// At most their request fails: nobody else's, nothing stays locked, and the session is what it was or
// what it was to become.
func TestPanic_store(t *testing.T) {
	renew := func(b *browser) {
		b.k.within(b, func(ctx context.Context) { _, _ = middleware.Refresh(ctx, "") })
	}
	rows := []struct {
		name string
		turn func(b *browser)
		goes bool // the person may be signed out by it
	}{
		{"a page", func(b *browser) { b.whoami() }, false},
		{"a write", func(b *browser) { b.put("color", "blue") }, false},
		{"a value that is taken", func(b *browser) {
			b.k.within(b, func(ctx context.Context) { _, _, _ = middleware.Take(ctx, "coupon") })
		}, false},
		{"a renewed token", renew, false},
		{"a token that takes its time", func(b *browser) { // so that the mark has to be kept meanwhile
			b.k.plain.Set(slowRefresh(5 * time.Second))
			renew(b)
		}, false},
		{"a connection that has ended", func(b *browser) {
			b.k.plain.EndGrants("ada")
			renew(b)
		}, false},
		{"a sign-in that goes on", func(b *browser) { b.back(b.approve(b.start("plain", "/"), "ada")) }, false},
		{"a link", func(b *browser) { b.link("idp", "work", "grace") }, false},
		{"a connection that is cut", func(b *browser) { b.post("/auth/plain/disconnect", nil) }, false},
		{"a sign-out", func(b *browser) { b.post("/auth/logout", nil) }, true},
		{"a sign-out of everything", func(b *browser) {
			id := b.userID()
			_ = b.k.auth.SignOutUser(b.k.t.Context(), id)
		}, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				for n := 1; ; n++ {
					reached := false
					synctest.Test(t, func(t *testing.T) { reached = panicAt(t, n, row.turn, row.goes, change) })
					if !reached {
						break
					}
				}
			})
		})
	}
}

// panicAt lets the n-th operation of turn panic, and reports whether there is one.
func panicAt(t *testing.T, n int, turn func(b *browser), goes bool, change func(*kit, *middleware.Config)) bool {
	k := newKit(t, change)
	notes(k)
	b, other := k.browser(), k.browser()
	b.signIn("plain", "ada", "/")
	b.put("cart", "full")
	b.put("coupon", "SPRING")
	other.signIn("idp", "emmy", "/")
	time.Sleep(time.Minute)
	w, ops := watch(k), atomic.Int64{}
	w.on(func(string, sessionstore.Key) error {
		if ops.Add(1) == int64(n) {
			panic("in the store")
		}
		return nil
	})
	_ = caught(func() { turn(b) })
	w.on(nil)
	other.is(emmy)
	if who := b.whoami(); who != ada && (!goes || who != nobody) {
		t.Errorf("operation %d: the app sees %q", n, who)
	} else if who == ada && b.get("cart") != "full" {
		t.Errorf("operation %d: the cart is %q", n, b.get("cart"))
	}
	_ = caught(func() { turn(b) }) // again: nothing keeps it waiting for good
	if got := b.open("/whoami"); got.StatusCode != http.StatusOK {
		t.Errorf("operation %d: status %d", n, got.StatusCode)
	}
	b.signIn("plain", "ada", "/")
	if got := k.token(b, "plain"); got.err != nil {
		t.Errorf("operation %d: %v", n, got.err)
	}
	if err := k.auth.Close(t.Context()); err != nil {
		t.Errorf("operation %d: %v", n, err)
	}
	k.refreshes(k.plain) // none of them with a token that had been renewed
	return ops.Load() >= int64(n)
}
