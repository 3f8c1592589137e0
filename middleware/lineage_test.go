package middleware_test

import (
	"context"
	"errors"
	"net/http/cookiejar"
	"net/url"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// sameID signs ada in with the provider "plain", calls then, ends that session from a copy of its cookies, and
// signs her in again by a cookie from before the first sign-in: it has the same id, and is another session.
func (k *kit) sameID(then func(b *browser, again func() *browser)) {
	k.t.Helper()
	b := k.browser()
	auth := b.start("plain", "/")
	before := b.clone()
	b.back(b.approve(auth, "ada"))
	b.is(ada)
	id := k.sessionID(b)
	then(b, func() *browser {
		b.clone().post("/auth/logout", nil)
		before.signIn("plain", "ada", "/")
		if got := k.sessionID(before); got != id {
			k.t.Fatalf("the second session has another id than the first: the scene is not what it should be")
		}
		return before
	})
}

// clone returns a browser with the cookies that b has now.
func (b *browser) clone() *browser {
	c := b.k.browser()
	u, err := url.Parse(appURL)
	if err != nil {
		b.k.t.Fatal(err)
	}
	c.jar, err = cookiejar.New(nil)
	if err != nil {
		b.k.t.Fatal(err)
	}
	c.jar.SetCookies(u, b.jar.Cookies(u))
	return c
}

func (k *kit) sessionID(b *browser) (id string) {
	k.within(b, func(ctx context.Context) { id = k.auth.Sessions().Token(ctx) })
	return id
}

// An id may come back: what was kept of the session before is nothing to the one that has it now.
func TestClient_idComesBack(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.sameID(func(b *browser, again func() *browser) {
			c := k.clientOf(b, "plain")
			again()
			before := k.plain.Ledger().Count("api")
			if resp, err := c.Get("/me"); !errors.Is(err, middleware.ErrSignedOut) {
				t.Errorf("got %v, %v, want %v", resp, err, middleware.ErrSignedOut)
			}
			if got := k.plain.Ledger().Count("api"); got != before {
				t.Errorf("the API was asked %d times", got-before)
			}
		})
	})
}

// A request that began before does not cut a connection of the session that has the id now.
func TestDisconnect_idComesBack(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.sameID(func(b *browser, again func() *browser) {
			var now *browser
			k.within(b, func(ctx context.Context) {
				now = again()
				if err := middleware.Disconnect(ctx, "plain"); !errors.Is(err, middleware.ErrSignedOut) {
					t.Errorf("got %v, want %v", err, middleware.ErrSignedOut)
				}
			})
			now.is(ada)
			k.within(now, func(ctx context.Context) {
				if _, err := middleware.Token(ctx, "plain"); err != nil {
					t.Errorf("the present session's connection: %v", err)
				}
			})
		})
	})
}
