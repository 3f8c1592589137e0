package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// The names of cookies follow where the app is.
func TestCookie_names(t *testing.T) {
	rows := []struct{ name, base, prefix, set, want string }{
		{"default", "https://app.example", "", "", "__Host-rl"},
		{"default, named", "https://app.example", "/auth", "", "__Host-rl"},
		{"another prefix", "https://app.example", "/a/auth", "", "__Host-rl.a.auth"},
		{"a hyphen", "https://app.example", "/a-auth", "", "__Host-rl.a~auth"},
		{"what looks like a binding", "https://app.example", "/a-bind-AAAAAAAA", "", "__Host-rl.a~bind~AAAAAAAA"},
		{"a port", "https://app.example:8443", "", "", "__Host-rl-8443"},
		{"a port and another prefix", "https://app.example:8443", "/a", "", "__Host-rl.a-8443"},
		{"the port that https has", "https://app.example:443", "", "", "__Host-rl"},
		{"loopback", "http://127.0.0.1:8080", "", "", "rl-8080"},
		{"loopback without port", "http://localhost", "", "", "rl-80"},
		{"loopback, another prefix", "http://127.0.0.1:8080", "/b/auth", "", "rl.b.auth-8080"},
		{"set", "https://app.example", "/b/auth", "shop", "__Host-shop"},
		{"set, loopback", "http://127.0.0.1:8080", "", "shop", "shop-8080"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL, c.Prefix, c.CookieName = row.base, row.prefix, row.set })
			prefix := row.prefix
			if prefix == "" {
				prefix = "/auth"
			}
			var names []string
			for _, c := range k.browser().open(prefix + "/plain/login").Cookies() {
				names = append(names, c.Name)
			}
			slices.Sort(names)
			if len(names) != 2 || names[0] != row.want || !strings.HasPrefix(names[1], row.want+"-bind-") {
				t.Errorf("%q, want %s and its binding", names, row.want)
			}
		})
	}
	seen := map[string]bool{}
	for _, prefix := range []string{"/" + strings.Repeat("long/", 30) + "a", "/" + strings.Repeat("long/", 30) + "b"} {
		k := newKit(t, func(_ *kit, c *middleware.Config) { c.Prefix = prefix })
		for _, c := range k.browser().open(prefix + "/plain/login").Cookies() {
			if len(c.Name) > 48 || seen[c.Name] {
				t.Errorf("cookie %s", c.Name)
			}
			seen[c.Name] = true
		}
	}
	for _, bad := range []string{"a-bind-b", "__Host-a", "a b", "ä", "a;b", strings.Repeat("a", 33)} {
		if _, err := middleware.New(middleware.Config{BaseURL: appURL, CookieName: bad}); err == nil || !strings.Contains(err.Error(), "CookieName") {
			t.Errorf("CookieName %q: %v", bad, err)
		}
	}
}

// Two apps at one host, which a proxy tells apart by their path or port, do not touch each other's people.
func TestCookie_twoApps(t *testing.T) {
	rows := []struct {
		name          string
		first, second func(c *middleware.Config)
	}{
		{"by path", func(c *middleware.Config) { c.Prefix = "/a/auth" }, func(c *middleware.Config) { c.Prefix = "/b/auth" }},
		{"one at the root", func(c *middleware.Config) {}, func(c *middleware.Config) { c.Prefix = "/b/auth" }},
		{"by name", func(c *middleware.Config) {}, func(c *middleware.Config) { c.CookieName = "other" }},
		{"by port", func(c *middleware.Config) {}, func(c *middleware.Config) { c.BaseURL = appURL + ":8443" }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				app := func(f func(c *middleware.Config)) *kit {
					k := newKit(t, change, func(_ *kit, c *middleware.Config) {
						f(c)
						if _, ok := c.Store.(*sessionstore.Memory); ok {
							c.Store = &sessionstore.Memory{}
						}
					})
					k.mux.Handle("/gated", k.auth.Require(middleware.Need{Provider: "plain"})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
					k.handle("/bye", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
					return k
				}
				first, second := app(row.first), app(row.second)
				tab := first.browser()
				use := func(k *kit) { tab.k = k; tab.idp.Transport = k }
				people := map[*kit]string{first: "ada", second: "grace"}
				for range 3 {
					for _, k := range []*kit{first, second} {
						use(k)
						if resp := tab.open("/gated"); resp.StatusCode == http.StatusSeeOther {
							tab.open(k.location(tab.back(k.browser().approve(k.location(resp), people[k]))))
						}
					}
				}
				use(first)
				tab.is(ada)
				use(second)
				tab.is(grace)
				if n := first.redeems() + second.redeems(); n != 2 {
					t.Errorf("%d sign-ins, want one at each", n)
				}
				tab.open("/bye")
				tab.is(nobody)
				use(first)
				tab.is(ada)
				tab.open("/bye")
				tab.is(nobody)
			})
		})
	}
}

// On loopback the page that ends a loop names the cause that nobody would think of.
func TestCookie_hint(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = "http://127.0.0.1:8080" })
	k.gate("/gated", middleware.Need{Provider: "plain"})
	b := k.browser()
	var page string
	for range 2 {
		r := b.request(http.MethodGet, "http://127.0.0.1:8080/gated", nil)
		resp := k.serve(r)
		u, _ := url.Parse("http://127.0.0.1:8080/")
		b.jar.SetCookies(u, resp.Cookies())
		page = text(resp)
	}
	if !strings.Contains(page, "Another app at this host") || !strings.Contains(page, "CookieName") {
		t.Errorf("no hint: %s", page)
	}
}

// The tag of a page that was made for nobody stands for the browser as soon as that has a cookie of ours.
func TestPageTag_nobody(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.mux.Handle("/act", k.auth.CheckPageTag(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		tag := func(b *browser) (tag string) {
			k.within(b, func(ctx context.Context) { tag = middleware.PageTag(ctx) })
			return tag
		}
		act := func(b *browser, tag string) int { return b.post("/act", url.Values{"page_tag": {tag}}).StatusCode }
		x, y := k.browser(), k.browser()
		before := tag(x)
		if act(x, before) != http.StatusOK {
			t.Error("the page of a first visit is refused")
		}
		for _, b := range []*browser{x, y} {
			b.start("plain", "/")
			b.setCookie("__Host-rl", "") // a session cookie that has ended
		}
		own, other := tag(x), tag(y)
		if own == other || own == before {
			t.Errorf("tags %q, %q and %q", before, own, other)
		}
		if got := act(x, own); got != http.StatusOK {
			t.Errorf("the browser's own page: status %d", got)
		}
		if got := act(x, other); got != http.StatusConflict {
			t.Errorf("another browser's page: status %d, want 409", got)
		}
		x.signIn("plain", "ada", "/")
		for _, row := range []struct {
			name, tag string
			want      int
		}{{"of before the sign-in", own, 200}, {"of a first visit", before, 200}, {"of another browser", other, 409}, {"of now", tag(x), 200}} {
			if got := act(x, row.tag); got != row.want {
				t.Errorf("signed in, a page %s: status %d, want %d", row.name, got, row.want)
			}
		}
	})
}
