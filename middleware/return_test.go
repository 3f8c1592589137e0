package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// A path that a handler has at hand, decoded as r.URL.Path is, comes back by every way in.
func TestReturnTo_raw(t *testing.T) {
	rows := []struct{ in, want string }{
		{"/my videos", "/my%20videos"},
		{"/über/größe", "/%C3%BCber/gr%C3%B6%C3%9Fe"},
		{"/日本?q=ä b#ü", "/%E6%97%A5%E6%9C%AC?q=%C3%A4%20b#%C3%BC"},
		{"/a%20b?c=%2F#d", "/a%20b?c=%2F#d"},
		{"https://app.example/ä", "/%C3%A4"},
	}
	doors := []struct {
		name string
		open func(k *kit, b *browser, address string) string
	}{
		{"return_to", func(k *kit, b *browser, address string) string {
			return k.location(b.back(b.approve(b.start("plain", address), "ada")))
		}},
		{"LoginURL", func(k *kit, b *browser, address string) string {
			var to string
			k.within(b, func(ctx context.Context) {
				var err error
				if to, err = middleware.LoginURL(ctx, middleware.Need{Provider: "plain"}, address); err != nil {
					k.t.Error(err)
				}
			})
			return k.location(b.back(b.approve(k.location(b.open(to)), "ada")))
		}},
		{"the chooser", func(k *kit, b *browser, address string) string {
			page := text(b.open("/auth/login?" + url.Values{"return_to": {address}}.Encode()))
			_, to, _ := strings.Cut(page, `href="/auth/plain/login?`)
			to, _, _ = strings.Cut(to, `"`)
			return k.location(b.back(b.approve(k.location(b.open("/auth/plain/login?"+strings.ReplaceAll(to, "&amp;", "&"))), "ada")))
		}},
		{"sign-out", func(k *kit, b *browser, address string) string {
			return k.location(b.post("/auth/logout", url.Values{"return_to": {address}}))
		}},
		{"disconnect", func(k *kit, b *browser, address string) string {
			b.signIn("plain", "ada", "/")
			return k.location(b.post("/auth/idp/disconnect", url.Values{"return_to": {address}}))
		}},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.t = t
		for _, door := range doors {
			for _, row := range rows {
				if got := door.open(k, k.browser(), row.in); got != row.want {
					t.Errorf("%s: %q came back as %q, want %q", door.name, row.in, got, row.want)
				}
			}
		}
	})
}

// A gate comes back to what was asked for, as it was sent: browsers leave a backslash in a query as it is, and
// other clients leave more.
func TestReturnTo_gate(t *testing.T) {
	k := newKit(t)
	k.gate("/gated/", middleware.Need{Provider: "plain"})
	rows := []struct{ in, want string }{
		{`/gated/?q=a\b`, `/gated/?q=a%5Cb`},
		{`/gated/?q=\\evil.example&r=\`, `/gated/?q=%5C%5Cevil.example&r=%5C`},
		{"/gated/?q=ü", "/gated/?q=%C3%BC"},
		{"/gated/%C3%BC?q=%C3%BC", "/gated/%C3%BC?q=%C3%BC"},
	}
	for _, row := range rows {
		b := k.browser()
		r := b.request(http.MethodGet, "/gated/", nil)
		u, err := url.ParseRequestURI(row.in)
		if err != nil {
			t.Fatal(err)
		}
		r.URL, r.RequestURI = u, row.in
		if got := k.location(b.back(b.approve(k.location(b.do(r)), "ada"))); got != row.want {
			t.Errorf("%q came back as %q, want %q", row.in, got, row.want)
		}
	}
}

// What cannot be come back to is an error to the handler that asks, and no start page that nobody expects.
func TestLoginURL_returnTo(t *testing.T) {
	k := newKit(t)
	k.within(k.browser(), func(ctx context.Context) {
		for _, address := range []string{
			"//evil.example", `/\evil.example`, "https://evil.example/", "/a\tb", "/a\r\nb", "/a\x00", "/a\x7f", `/a\b`, "a/b", "?a=b", "/100%", "/a/../b",
			"/auth/logout", "/auth/ä", "javascript:alert(1)", " /a", "/" + strings.Repeat("ä", 8<<10),
		} {
			if to, err := middleware.LoginURL(ctx, middleware.Need{Provider: "plain"}, address); !errors.Is(err, middleware.ErrReturnTo) || to != "" {
				t.Errorf("%q: %q, %v, want ErrReturnTo", address, to, err)
			}
		}
		for _, address := range []string{"", "/", "/a b"} { // "" is the page that the link is on
			if to, err := middleware.LoginURL(ctx, middleware.Need{Provider: "plain"}, address); err != nil || to == "" {
				t.Errorf("%q: %q, %v", address, to, err)
			}
		}
	})
}

// Home is written like any other address of the app.
func TestHome_raw(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.Home = "/über uns" })
	b := k.browser()
	if got := k.location(b.post("/auth/logout", nil)); got != "/%C3%BCber%20uns" {
		t.Errorf("sent to %q", got)
	}
}
