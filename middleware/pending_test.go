package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// stays loads a page as often as it asks for that, and returns the answer that does not, how often it
// was loaded, and the longest time that the tab was empty.
func (b *browser) stays(target string) (resp *http.Response, loads int, longest time.Duration) {
	for {
		began := time.Now()
		resp = b.back(target)
		loads++
		longest = max(longest, time.Since(began))
		again, err := strconv.Atoi(resp.Header.Get("Refresh"))
		if err != nil {
			return resp, loads, longest
		}
		if body := text(resp); resp.StatusCode != http.StatusAccepted || !strings.Contains(body, "goes on by itself") {
			b.k.t.Errorf("status %d and Refresh; body: %s", resp.StatusCode, body)
		}
		if len(resp.Cookies()) > 0 || resp.Header.Get("Cache-Control") != "no-store" {
			b.k.t.Errorf("header %v", resp.Header)
		}
		time.Sleep(time.Duration(again) * time.Second)
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
