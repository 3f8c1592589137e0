package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// stays loads a page as often as it asks for that, where it asks for it, and returns the answer that does not, how
// often it was loaded, and the longest time that the tab was empty.
func (b *browser) stays(target string) (resp *http.Response, loads int, longest time.Duration) {
	for {
		began := time.Now()
		resp = b.do(b.callback(target))
		loads++
		longest = max(longest, time.Since(began))
		if resp.StatusCode != http.StatusAccepted {
			return resp, loads, longest
		}
		if body := text(resp); resp.Header.Get("Refresh") == "" || !strings.Contains(body, "goes on by itself") {
			b.k.t.Errorf("Refresh %q; body: %s", resp.Header.Get("Refresh"), body)
		}
		if body := text(resp); strings.Count(body, "href=") != 1 || !strings.Contains(body, `href="">Go on<`) {
			b.k.t.Errorf("the page has a way elsewhere: %s", body)
		}
		if len(resp.Cookies()) > 0 || resp.Header.Get("Cache-Control") != "no-store" {
			b.k.t.Errorf("header %v", resp.Header)
		}
		target = pendingAt(resp, target)
		if query(b.k.t, target).Has("code") {
			b.k.t.Error("the page stays at an address with a code in it")
		}
	}
}

// A callback that is loaded again while the provider takes its time shows a page, and lands in the end.
func TestCallback_pending(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			b := k.browser()
			callback := b.approve(b.start("idp", "/whoami"), "ada")
			k.idp.Set(func(b *providertest.Behavior) { b.Token = providertest.Linger(8 * time.Second) })
			first := b.callback(callback)
			done := make(chan struct{})
			go func() { defer close(done); k.serve(first) }() // the answer comes too late for its tab
			synctest.Wait()
			resp, loads, longest := b.stays(callback)
			<-done
			if got := k.location(resp); got != "/whoami" || b.whoami() != "Ada Lovelace" {
				t.Errorf("landed at %q as %s", got, b.whoami())
			}
			if loads < 2 || longest > 4*time.Second {
				t.Errorf("%d loads, the longest took %v", loads, longest)
			}
			if n := k.redeems(); n != 1 {
				t.Errorf("%d token requests, want 1", n)
			}
		})
	})
}

// A person whose provider takes its time, or whose app does, gets a page after three seconds, and in the end lands: one
// request redeems the code, and it goes on when its own tab has left.
func TestCallback_slow(t *testing.T) {
	rows := []struct {
		name string
		slow func(k *kit) // for eight seconds
	}{
		{"the token endpoint", func(k *kit) {
			k.idp.Set(func(b *providertest.Behavior) { b.Token = providertest.Linger(8 * time.Second) })
		}},
		{"OnLogin", func(k *kit) {
			k.auth.SetOnLogin(func(context.Context, *middleware.Login) error {
				time.Sleep(8 * time.Second)
				return nil
			})
		}},
		{"OnLogin of two tabs of a new person", func(k *kit) {
			k.auth.SetOnLogin(func(context.Context, *middleware.Login) error {
				time.Sleep(8 * time.Second)
				return nil
			})
			go func() {
				b := k.browser()
				b.back(b.approve(b.start("idp", "/"), "ada"))
			}()
			synctest.Wait()
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					b := k.browser()
					callback := b.approve(b.start("idp", "/whoami"), "ada")
					row.slow(k)
					redeems := k.redeems()
					resp, loads, longest := b.stays(callback)
					if got := k.location(resp); got != "/whoami" || b.whoami() != "Ada Lovelace" {
						t.Errorf("landed at %q as %s", got, b.whoami())
					}
					if loads < 2 || longest > 4*time.Second {
						t.Errorf("%d loads, the longest took %v", loads, longest)
					}
					if n := k.redeems() - redeems; n != 1 {
						t.Errorf("%d token requests, want 1", n)
					}
					synctest.Wait()
				})
			})
		})
	}
}

// What OnLogin does when its request has been answered is the sign-in's: a no is told, the log says why, a panic is an
// error of the log, and none of them signs anybody in.
func TestCallback_slowFailure(t *testing.T) {
	rows := []struct {
		name    string
		onLogin func() error
		status  int
		log     string
	}{
		{"a no", func() error { return middleware.Refuse("") }, 403, "reason=refused_by_app"},
		{"a no with a cause", func() error { return fmt.Errorf("not on the list: %w", middleware.Refuse("")) }, 403, "not on the list"},
		{"a fault", func() error { return errors.New("no such table") }, 500, "no such table"},
		{"a panic", func() error { panic("of the app") }, 503, "sign-in panicked"},
		{"the end of its goroutine", func() error { runtime.Goexit(); return nil }, 503, "reason=interrupted"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					k.auth.SetOnLogin(func(context.Context, *middleware.Login) error {
						time.Sleep(8 * time.Second)
						return row.onLogin()
					})
					b := k.browser()
					resp, _, longest := b.stays(b.approve(b.start("idp", "/"), "ada"))
					if resp.StatusCode != row.status || longest > 4*time.Second || b.whoami() != "nobody" {
						t.Errorf("status %d after %v, want %d: %s", resp.StatusCode, longest, row.status, text(resp))
					}
					synctest.Wait()
					if !strings.Contains(k.log.String(), row.log) {
						t.Errorf("the log does not say %q", row.log)
					}
					if got := k.idp.Count("revoke"); got == 0 {
						t.Error("the token was not revoked")
					}
				})
			})
		})
	}
}

// What another tab of the browser writes while a sign-in takes its time is in the session that it ends in.
func TestCallback_slowWrite(t *testing.T) {
	rows := []struct {
		name          string
		guest, writes bool // there is a guest's session before; OnLogin writes into it, too
	}{
		{"nothing is stored before", false, false},
		{"and OnLogin writes", false, true},
		{"a guest's session is there", true, false},
		{"a guest's session, and OnLogin writes", true, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					notes(k)
					k.onLogin(func(c loginContext) error {
						time.Sleep(8 * time.Second)
						if row.writes {
							k.auth.Sessions().Put(c.ctx, "seen", "yes")
						}
						return nil
					})
					b := k.browser()
					if row.guest {
						b.put("before", "it")
					}
					callback := b.approve(b.start("idp", "/whoami"), "ada")
					resp := b.do(b.callback(callback))
					b.put("cart", "book")
					k.location(b.back(pendingAt(resp, callback)))
					if b.whoami() != ada || b.get("cart") != "book" || (b.get("before") == "it") != row.guest || (b.get("seen") == "yes") != row.writes {
						t.Errorf("%s has cart %q, before %q, seen %q", b.whoami(), b.get("cart"), b.get("before"), b.get("seen"))
					}
				})
			})
		})
	}
}

// dying is a store that loses every change after the first of a kind: as if its process had died.
type dying struct {
	sessionstore.Store
	kind string
	n    atomic.Int64
}

func (d *dying) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if k.Kind == d.kind && d.n.Add(1) > 1 {
		return fmt.Errorf("gone: %w", sessionstore.ErrUnavailable)
	}
	return d.Store.Update(ctx, k, c)
}

// F1: after a process was killed in the middle, a reload shows a page at once that ends in the offer to
// start again, as soon as nobody can be at it any more.
func TestCallback_killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &dying{Store: &sessionstore.Memory{}, kind: "redemption"}
		k := newKit(t, func(_ *kit, c *middleware.Config) {
			c.Store, c.Keys = store, sessionstore.NewKeyring()
			c.OnLogin = func(context.Context, *middleware.Login) error { return errors.New("no") }
		})
		b := k.browser()
		callback := b.approve(b.start("idp", "/whoami"), "ada")
		b.back(callback)
		// What is no page load has nobody who would load it again, and waits.
		r := b.callback(callback)
		r.Header.Set("Sec-Fetch-Dest", "empty")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		fetched := make(chan *http.Response)
		go func() { fetched <- k.serve(r) }()
		began := time.Now()
		resp, loads, longest := b.stays(callback)
		took := time.Since(began)
		if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text(resp), "start again") {
			t.Errorf("status %d, body: %s", resp.StatusCode, text(resp))
		}
		if loads < 5 || longest > 4*time.Second || took > 45*time.Second {
			t.Errorf("%d loads in %v, the longest took %v", loads, took, longest)
		}
		if got := <-fetched; got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("fetch: status %d, want 503", got.StatusCode)
		}
		if n := k.redeems(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
	})
}
