package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// out is a store that goes out in the middle of a sign-in, and comes back when it is told to.
type out struct {
	sessionstore.Store
	gone atomic.Bool
	safe atomic.Bool // it does not go out any more
	when func(op string, k sessionstore.Key, c *sessionstore.Change) (goes, made bool)
}

func (o *out) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if o.gone.Load() {
		return sessionstore.Record{}, fmt.Errorf("out: %w", sessionstore.ErrUnavailable)
	}
	return o.Store.Load(ctx, k)
}

func (o *out) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	made := false
	if o.when != nil && !o.safe.Load() && !o.gone.Load() {
		goes := false
		goes, made = o.when("update", k, &c)
		o.gone.Store(goes)
		if goes && made {
			_ = o.Store.Update(ctx, k, c)
		}
	}
	if o.gone.Load() {
		return fmt.Errorf("out: %w", sessionstore.ErrUnavailable)
	}
	return o.Store.Update(ctx, k, c)
}

func (o *out) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	if o.gone.Load() {
		return fmt.Errorf("out: %w", sessionstore.ErrUnavailable)
	}
	return o.Store.Delete(ctx, ks...)
}

// A store that is out when a sign-in has just been saved, or has just begun: when it is back, a reload
// says what became of it, and the person's next sign-in is not kept waiting for the end of what is dead.
func TestOutage_inSignIn(t *testing.T) {
	nth := func(kind string, n int, made bool) func() func(string, sessionstore.Key, *sessionstore.Change) (bool, bool) {
		return func() func(string, sessionstore.Key, *sessionstore.Change) (bool, bool) {
			seen := 0
			return func(_ string, k sessionstore.Key, _ *sessionstore.Change) (bool, bool) {
				if k.Kind == kind {
					seen++
				}
				return k.Kind == kind && seen == n, made
			}
		}
	}
	rows := []struct {
		name   string
		when   func() func(string, sessionstore.Key, *sessionstore.Change) (bool, bool)
		landed bool
	}{
		{"the claim, made", nth("redemption", 1, true), false},
		{"the hold of the account, made", nth("account", 1, true), false},
		{"the hold of the account, not made", nth("account", 1, false), false},
		{"the person", nth("person", 1, true), false},
		{"the account, made", nth("account", 2, true), false},
		{"the account, not made", nth("account", 2, false), false},
		{"the index", nth("index", 1, true), false},
		{"the session, made", nth("session", 1, true), false},
		{"the session, not made", nth("session", 1, false), false},
		{"the end of the redemption, made", nth("redemption", 2, true), true},
		{"the end of the redemption, not made", nth("redemption", 2, false), true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				callback := b.approve(b.start("idp", "/whoami"), "ada")
				store := &out{Store: k.auth.Store(), when: row.when()}
				k.auth.SetStore(store)
				resp := k.serve(b.callback(callback)) // its answer is lost
				if got := resp.StatusCode == http.StatusSeeOther; got != row.landed {
					t.Errorf("status %d; log:\n%s", resp.StatusCode, k.log)
				}
				store.safe.Store(true)
				store.gone.Store(false)
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second) // less than anything is held for
				defer cancel()
				for {
					resp = b.do(b.callback(callback).WithContext(ctx))
					if resp.StatusCode != http.StatusAccepted || ctx.Err() != nil {
						break
					}
				}
				if got := resp.StatusCode == http.StatusSeeOther; got != row.landed || resp.StatusCode == http.StatusAccepted {
					t.Errorf("a reload: status %d; log:\n%s", resp.StatusCode, k.log)
				}
				if got := b.whoami() == ada; got != row.landed {
					t.Errorf("signed in: %v", got)
				}
				other := k.browser()
				resp = other.do(other.callback(other.approve(other.start("idp", "/whoami"), "ada")).WithContext(ctx))
				if resp.StatusCode != http.StatusSeeOther || other.whoami() != ada || ctx.Err() != nil {
					t.Errorf("the next sign-in: status %d, %v; log:\n%s", resp.StatusCode, ctx.Err(), k.log)
				}
				if err := k.auth.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What a panic in OnLogin leaves behind is cleared away, although the store is out in that moment: the
// redemption is concluded, the token revoked, and the person can sign in.
func TestOutage_panicInOnLogin(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		store := &out{Store: k.auth.Store()}
		k.auth.SetStore(store)
		k.onLogin(func(loginContext) error { store.gone.Store(true); panic("of the app") })
		b := k.browser()
		callback := b.approve(b.start("idp", "/whoami"), "ada")
		if got := caught(func() { k.serve(b.callback(callback)) }); got != "of the app" {
			t.Errorf("panic %v", got)
		}
		k.onLogin(func(loginContext) error { return nil })
		store.gone.Store(false)
		began := time.Now()
		resp := b.patiently(callback)
		if took := time.Since(began); resp.StatusCode != http.StatusServiceUnavailable || took > 25*time.Second {
			t.Errorf("status %d after %v", resp.StatusCode, took)
		}
		b.signIn("idp", "ada", "/whoami")
		if err := k.auth.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := k.idp.Ledger().Revoked; got == 0 {
			t.Error("no token was revoked")
		}
	})
}
