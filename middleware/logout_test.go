package middleware_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
)

// Only who is signed in is asked whether to sign out; the others are told that nobody is.
func TestLogout_asks(t *testing.T) {
	const button, home = `<form method="post" action="/auth/logout">`, `<a class="button plain" href="/home">Start page</a>`
	rows := []struct {
		name string
		do   func(b *browser)
		asks bool
	}{
		{"signed in", func(b *browser) { b.signIn("idp", "ada", "/") }, true},
		{"no cookie", func(*browser) {}, false},
		{"a cookie of a start", func(b *browser) { b.start("idp", "/") }, false},
		{"somebody anonymous", func(b *browser) { b.put("cart", "full") }, false},
		{"signed out", func(b *browser) { b.signIn("idp", "ada", "/"); b.post("/auth/logout", nil) }, false},
		{"a cookie that opens nothing", func(b *browser) {
			b.signIn("idp", "ada", "/")
			sid, _, _ := strings.Cut(b.session(), ".")
			b.setCookie("__Host-rl", sid+"."+strings.Repeat("A", 43))
		}, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change, func(_ *kit, c *middleware.Config) { c.Home = "/home" })
				b := k.browser()
				row.do(b)
				w := watch(k)
				resp := b.open("/auth/logout")
				body := text(resp)
				if resp.StatusCode != http.StatusOK || len(resp.Cookies()) > 0 || w.writes("") > 0 {
					t.Errorf("status %d, cookies %v, %d writes", resp.StatusCode, resp.Cookies(), w.writes(""))
				}
				if got := strings.Contains(body, button) && strings.Contains(body, "Sign out?"); got != row.asks {
					t.Errorf("asks: %v, want %v: %s", got, row.asks, body)
				}
				if got := strings.Contains(body, home) && strings.Contains(body, "You are signed out"); got == row.asks {
					t.Errorf("says that nobody is signed in: %v: %s", got, body)
				}
				if row.asks {
					k.location(b.post("/auth/logout", nil))
					b.is(nobody)
				}
			})
		})
	}
}

// A link on another site, when the cookie is a Strict one and stays behind, does not make it look as if
// nobody were signed in.
func TestLogout_strict(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) {
		c.Sessions = manager(func(s *scs.SessionManager) { s.Cookie.SameSite = http.SameSiteStrictMode })
	})
	b := k.browser()
	r := b.request(http.MethodGet, "/auth/logout", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	resp := b.do(r)
	if got := text(resp); resp.StatusCode != http.StatusOK || !strings.Contains(got, "http-equiv=refresh") || strings.Contains(got, "signed out") {
		t.Errorf("status %d: %s", resp.StatusCode, got)
	}
	if got := text(b.open("/auth/logout")); !strings.Contains(got, "You are signed out") {
		t.Errorf("by ourselves: %s", got)
	}
}
