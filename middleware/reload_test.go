package middleware_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// tab loads what an engine loads in a browser whose session cookie is Strict: the second load of a page
// that loads itself again is from our own origin.
type tab struct {
	*browser
	worker bool // a service worker passes navigations on, as WebKit does it
	lax    bool // the session cookie comes along
}

// load opens target as a navigation of that site that Strict cookies do not come along with, and goes on
// as the browser would until there is something else than a page that loads itself again.
func (b *tab) load(t *testing.T, target, site string) (resp *http.Response, loads int) {
	t.Helper()
	withheld := true
	for loads = 1; loads < 5; loads++ {
		r := b.request(http.MethodGet, target, nil)
		r.Header.Set("Sec-Fetch-Site", site)
		if b.worker {
			r.Header.Set("Sec-Fetch-Dest", "empty")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		if withheld {
			lax := r.Cookies()
			r.Header.Del("Cookie")
			for _, c := range lax {
				if (c.Name != "__Host-rl" || b.lax) && c.Name != "__Host-rl-own" {
					r.AddCookie(c)
				}
			}
		}
		resp = b.do(r)
		page := text(resp)
		_, rest, refresh := strings.Cut(page, `http-equiv=refresh content="0`)
		if !refresh {
			return resp, loads
		}
		if strings.Contains(page, "code") {
			t.Errorf("the page names the code: %s", page)
		}
		if to, ok := strings.CutPrefix(rest, ";url="); ok {
			to, _, _ = strings.Cut(to, `"`)
			target = strings.ReplaceAll(to, "&amp;", "&")
		}
		withheld, site = false, "same-origin"
	}
	t.Fatalf("%s loads itself without end", target)
	return nil, 0
}

// Under Strict, whoever comes through another site is found out by one more load, whatever the engine calls it.
func TestReload(t *testing.T) {
	rows := []struct {
		name, site string
		worker     bool
	}{
		{"C from another site", "cross-site", false},
		{"FW typed, a silent provider", "none", false},
		{"W via worker", "same-origin", true},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				k := newKit(t, change, strictCookies)
				k.gate("/gated", middleware.Need{})
				k.gate("/of", middleware.Need{Provider: "plain"})
				b := &tab{browser: k.browser(), worker: row.worker}
				// Nobody yet: the gate looks once, and goes to the provider.
				resp, loads := b.load(t, "/of?a=b", row.site)
				callback := b.approve(k.location(resp), "ada")
				if loads != 2 {
					t.Errorf("the gate took %d loads, want 2", loads)
				}
				resp, loads = b.load(t, callback, row.site)
				if got := k.location(resp); got != "/of?a=b" || loads != 2 {
					t.Errorf("landed at %q after %d loads", got, loads)
				}
				// Signed in: a link leads through the gate, twice in a row, and nobody is signed out.
				session := b.session()
				for range 2 {
					if resp, _ = b.load(t, "/gated", row.site); text(resp) != "inside" {
						t.Errorf("status %d: %s", resp.StatusCode, text(resp))
					}
				}
				if resp, _ = b.load(t, "/auth/logout", row.site); !strings.Contains(text(resp), "Sign out?") {
					t.Errorf("status %d: %s", resp.StatusCode, text(resp))
				}
				if resp, _ = b.load(t, "/auth/plain/login", row.site); resp.StatusCode != http.StatusForbidden {
					t.Errorf("a link to sign in: status %d, want the question", resp.StatusCode)
				}
				// A reload of the callback lands once more.
				if resp, _ = b.load(t, callback, row.site); k.location(resp) != "/of?a=b" {
					t.Errorf("reload: landed at %q", resp.Header.Get("Location"))
				}
				if b.session() != session || b.whoami() != ada {
					t.Errorf("signed in as %s", b.whoami())
				}
				for name := range b.cookies() {
					if strings.Contains(name, "-reload-") {
						t.Errorf("cookie %s is left", name)
					}
				}
			})
		}
	})
}

// The second load cannot be claimed: what says that it is one, and shows no Strict cookie, starts nothing.
func TestReload_claimed(t *testing.T) {
	k := newKit(t, strictCookies)
	k.gate("/gated", middleware.Need{Provider: "idp"})
	k.gate("/other", middleware.Need{})
	victim := &tab{browser: k.browser(), worker: true}
	resp, _ := victim.load(t, "/gated", "same-origin")
	k.location(victim.do(victim.request("GET", victim.approve(k.location(resp), "ada"), nil)))
	session := victim.session()
	for _, target := range []string{"/auth/plain/login?return_to=/x", "/auth/plain/login?elsewhere=1&return_to=%2Fx", "/auth/idp/login", "/gated", "/other"} {
		for range 3 { // of several tabs at once
			r := victim.request("GET", target, nil)
			r.Header.Set("Sec-Fetch-Dest", "empty")
			r.Header.Del("Cookie")
			for name, value := range victim.cookies() {
				if name != "__Host-rl" && name != "__Host-rl-own" { // Lax
					r.AddCookie(&http.Cookie{Name: name, Value: value})
				}
			}
			resp := victim.do(r)
			for _, c := range resp.Cookies() {
				if c.Name == "__Host-rl-own" && c.SameSite != http.SameSiteStrictMode {
					t.Errorf("%s: %s", target, c)
				}
			}
			if resp.StatusCode == http.StatusSeeOther || victim.session() != session {
				t.Errorf("%s: status %d, the session is the same: %v", target, resp.StatusCode, victim.session() == session)
			}
		}
	}
	if victim.whoami() != ada {
		t.Errorf("signed in as %s", victim.whoami())
	}
}

// A browser that goes on calling it a typed address looks once, and so does one that has lost its session on
// the way back from the provider.
func TestReload_once(t *testing.T) {
	k := newKit(t, strictCookies)
	k.gate("/gated", middleware.Need{Provider: "idp"})
	b := k.browser()
	looks := func(target, site string) bool {
		t.Helper()
		r := b.request("GET", target, nil)
		r.Header.Set("Sec-Fetch-Site", site)
		return strings.Contains(text(b.do(r)), "http-equiv=refresh")
	}
	for _, target := range []string{"/auth/logout", "/gated"} { // the gate starts, and gives a session
		if !looks(target, "none") || looks(target, "none") {
			t.Errorf("%s: want one more load, and then no other", target)
		}
	}
	callback := b.approve(b.start("idp", "/"), "ada")
	for _, site := range []string{"none", "same-origin"} {
		b.setCookie("__Host-rl", "")
		if !looks(callback, site) || looks(callback, site) {
			t.Errorf("the callback, %s: want one more load, and then no other", site)
		}
	}
	if b.whoami() != ada { // what was lost is given anew
		t.Errorf("signed in as %s", b.whoami())
	}
}

// A browser without cookies does not load itself for ever.
func TestReload_noCookies(t *testing.T) {
	k := newKit(t, strictCookies)
	k.gate("/gated", middleware.Need{Provider: "idp"})
	for _, target := range []string{"/gated", "/auth/idp/login", "/auth/logout", "/auth/idp/callback?" + url.Values{"code": {"x"}, "state": {"y"}}.Encode()} {
		for _, site := range []string{"cross-site", "none", "same-site"} {
			b := &tab{browser: k.browser()}
			b.jar = noCookies{}
			b.load(t, target, site)
		}
	}
}

type noCookies struct{}

func (noCookies) SetCookies(*url.URL, []*http.Cookie) {}
func (noCookies) Cookies(*url.URL) []*http.Cookie     { return nil }
