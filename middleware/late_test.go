package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// awaited is a store that tells of each redemption that somebody asks for.
type awaited struct {
	sessionstore.Store
	asked chan struct{}
}

func (s awaited) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if k.Kind == "redemption" {
		select {
		case s.asked <- struct{}{}:
		default:
		}
	}
	return s.Store.Load(ctx, k)
}

// A request that waits for a sign-in has come before it ended, and what it knows of the session is from then. It brings
// the cookie all the same: the answer of the request that signed in may be lost, or have been a page that asks again.
func TestCallback_waits(t *testing.T) {
	stepUp := func(b *browser) string {
		b.signIn("idp", "ada", "/")
		return b.approve(b.k.location(b.open("/level")), "ada")
	}
	signIn := func(b *browser) string { return b.approve(b.start("idp", "/whoami"), "ada") }
	rows := []struct {
		name     string
		callback func(b *browser) string
	}{
		{"a first visit", signIn},
		{"an anonymous session", func(b *browser) string { b.put("cart", "full"); return signIn(b) }},
		{"signed in as somebody else", func(b *browser) string { b.signIn("plain", "grace", "/"); return signIn(b) }},
		{"signed in already", func(b *browser) string { b.signIn("idp", "ada", "/"); return signIn(b) }},
		{"a step-up", stepUp},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				k.gate("/level", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
				b := k.browser()
				callback := row.callback(b)
				store := awaited{k.auth.Store(), make(chan struct{})}
				k.auth.SetStore(store)
				begun, over := make(chan struct{}), make(chan struct{})
				k.idp.Set(func(b *providertest.Behavior) {
					b.ACR = "gold"
					b.Token = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
						close(begun)
						<-over
						next(w, r)
					}
				})
				first, ended, landed := b.callback(callback), make(chan struct{}), make(chan *http.Response)
				go func() { defer close(ended); k.serve(first) }() // its answer is lost
				<-begun
				go func() { landed <- b.back(callback) }()
				<-store.asked
				close(over)
				<-ended
				for resp := (*http.Response)(nil); resp == nil; {
					select {
					case <-store.asked:
					case resp = <-landed:
						if k.location(resp) == "" {
							t.Error("no location")
						}
					}
				}
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("signed in as %s", got)
				}
			})
		})
	}
}

// postBack posts the answer of a callback URL, as a provider's page does, and returns where that goes on.
func (b *browser) postBack(callback string) string {
	b.k.t.Helper()
	path, answer, _ := strings.Cut(callback, "?")
	r := b.request(http.MethodPost, path, strings.NewReader(answer))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://idp.example")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return b.k.location(b.do(r))
}

// A page that asks again does so for as long as the sign-in may take, at an address that lasts, and in the end the person is told
// what came of it, whatever the provider's answer came by and however much it says.
func TestCallback_pendingAddress(t *testing.T) {
	signIn := func(b *browser) string { return b.approve(b.start("idp", "/x"), "ada") }
	link := func(b *browser) string {
		b.k.browser().signIn("plain", "grace", "/")
		b.signIn("idp", "ada", "/")
		return b.approve(b.k.location(b.post("/auth/plain/login?purpose=link&return_to=/x", nil)), "grace")
	}
	rows := []struct {
		name     string
		callback func(b *browser) string
		post     bool
		rest     time.Duration // of the tab, before it asks for the last time
		status   int
	}{
		{"a sign-in", signIn, false, 0, 303},
		{"a tab that rests", signIn, false, time.Minute, 303},
		{"a form", signIn, true, 0, 303},
		{"a form, in a tab that rests", signIn, true, time.Minute, 303},
		{"a long answer", func(b *browser) string { return signIn(b) + "&session_state=" + strings.Repeat("x", 4000) }, false, 0, 303},
		{"a link to what is somebody else's", link, false, 0, 409},
		{"a link by a form", link, true, 0, 409},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, func(k *kit, c *middleware.Config) {
						if row.post {
							oidc, plain := k.idp.OIDC("idp"), k.plain.OAuth2("plain")
							oidc.ResponseMode, plain.ResponseMode = "form_post", "form_post"
							c.Providers = []providers.Provider{oidc, plain}
						}
					})
					b := k.browser()
					at := row.callback(b)
					if row.post {
						at = b.postBack(at)
					}
					slow := providertest.Linger(8 * time.Second)
					k.idp.Set(func(b *providertest.Behavior) { b.Token = slow })
					k.plain.Set(func(b *providertest.Behavior) { b.Token = slow })
					resp := b.do(b.callback(at))
					if resp.StatusCode != http.StatusAccepted {
						t.Fatalf("status %d, want 202", resp.StatusCode)
					}
					at = pendingAt(resp, at)
					b.open(at)
					time.Sleep(row.rest)
					for resp = b.open(at); resp.StatusCode == http.StatusAccepted; resp = b.open(at) {
						at = pendingAt(resp, at)
					}
					if resp.StatusCode != row.status || b.whoami() != "Ada Lovelace" {
						t.Errorf("status %d as %s, want %d: %s", resp.StatusCode, b.whoami(), row.status, text(resp))
					}
					if to := k.location(b.open(at)); to != "/x" { // Back
						t.Errorf("loaded once more: at %q", to)
					}
				})
			})
		})
	}
}

// The answer that takes a session over, and asks again because the sign-in takes its time, changes the cookie that the
// browser shows. The sign-in's follows all the same, and also when either answer is lost.
func TestCallback_former(t *testing.T) {
	for _, slow := range []time.Duration{0, 8 * time.Second} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprint(slow, ", first answer lost: ", lost), func(t *testing.T) {
				eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					f := newFormerApp(t)
					synctest.Test(t, func(t *testing.T) {
						k := newKit(t, change, f.with)
						notes(k)
						b := k.browser()
						callback := b.approve(b.start("idp", "/x"), "ada")
						b.brings(f.cart()) // which the start did not show: it was for another path
						k.idp.Set(func(b *providertest.Behavior) { b.Token = providertest.Linger(slow) })
						if lost {
							k.serve(b.callback(callback))
						}
						if to := k.location(b.back(callback)); to != "/x" || b.whoami() != "Ada Lovelace" || b.get("cart") != "3 apples" {
							t.Errorf("at %q as %s, cart %q", to, b.whoami(), b.get("cart"))
						}
					})
				})
			})
		}
	}
}

// What OnLogin does to the session before its request is answered, and goes on, comes with the sign-in, and not with the page that asks
// again: a cookie in that one would be another than the callback has shown.
func TestCallback_lateCookie(t *testing.T) {
	rows := []struct {
		name string
		does func(ctx context.Context, k *kit) error
		cart string
	}{
		{"puts", func(ctx context.Context, k *kit) error { k.auth.Sessions().Put(ctx, "cart", "full"); return nil }, "full"},
		{"renews", func(ctx context.Context, k *kit) error { return k.auth.Sessions().RenewToken(ctx) }, "old"},
		{"signs out", func(ctx context.Context, _ *kit) error { return middleware.SignOut(ctx) }, ""},
		{"destroys", func(ctx context.Context, k *kit) error { return k.auth.Sessions().Destroy(ctx) }, ""},
	}
	for _, row := range rows {
		for _, slow := range []time.Duration{0, 8 * time.Second} {
			t.Run(fmt.Sprint(row.name, " ", slow), func(t *testing.T) {
				eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					synctest.Test(t, func(t *testing.T) {
						k := newKit(t, change)
						notes(k)
						b := k.browser()
						b.put("cart", "old")
						callback := b.approve(b.start("idp", "/x"), "ada")
						k.auth.SetOnLogin(func(ctx context.Context, _ *middleware.Login) error {
							if err := row.does(ctx, k); err != nil {
								t.Error(err)
							}
							_ = middleware.Save(ctx)
							time.Sleep(slow)
							return nil
						})
						resp, _, _ := b.stays(callback)
						if to := k.location(resp); to != "/x" || b.whoami() != "Ada Lovelace" || b.get("cart") != row.cart {
							t.Errorf("at %q as %s, cart %q", to, b.whoami(), b.get("cart"))
						}
					})
				})
			})
		}
	}
}

// A goroutine of OnLogin that outlives it, and saves, does not write to the header while the answer goes out: that would end the
// process.
func TestCallback_keptContext(t *testing.T) {
	for _, dest := range []string{"document", "empty"} {
		t.Run(dest, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				var kept sync.WaitGroup
				k.auth.SetOnLogin(func(ctx context.Context, _ *middleware.Login) error {
					kept.Go(func() {
						for range 200 {
							_ = k.auth.Sessions().RenewToken(ctx)
							_ = middleware.Save(ctx)
						}
					})
					return nil
				})
				for range 10 {
					b := k.browser()
					b.put("cart", "full")
					r := b.callback(b.approve(b.start("idp", "/x"), "ada"))
					r.Header.Set("Sec-Fetch-Dest", dest)
					if dest == "empty" {
						r.Header.Set("Sec-Fetch-Mode", "cors")
					}
					k.location(b.do(r))
				}
				kept.Wait()
			})
		})
	}
}
