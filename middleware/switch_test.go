package middleware_test

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
)

// A link on another site does not replace who is signed in, however fast the other provider answers:
// the person goes on from a page of ours, or not.
func TestSwitch(t *testing.T) {
	k := newKit(t)
	k.plain.SignInAs("grace")
	b := k.browser()
	b.signIn("idp", "ada", "/")
	fromElsewhere := func(target string) *http.Response {
		r := b.request(http.MethodGet, target, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		return b.do(r)
	}
	resp := fromElsewhere("/auth/plain/login?return_to=/x")
	page := text(resp)
	k.rejected(resp, "switch")
	if b.whoami() != "Ada Lovelace" || !strings.Contains(page, `href="/auth/plain/login?return_to=%2Fx"`) {
		t.Errorf("signed in as %s, page: %s", b.whoami(), page)
	}
	k.rejected(fromElsewhere("/auth/idp/login"), "switch") // her own provider may know somebody else by now
	k.location(b.open("/auth/plain/login?return_to=/x"))

	// Nobody is signed in: nothing to replace.
	b = k.browser()
	k.location(fromElsewhere("/auth/plain/login"))
}

// A Strict cookie is not there at first, and the page that fetches it is one of ours: it was another
// site's link all the same.
func TestSwitch_strict(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) {
		c.Sessions = scs.New()
		c.Sessions.Cookie.SameSite = http.SameSiteStrictMode
	})
	b := k.browser()
	k.location(b.open(b.approve(b.start("idp", "/"), "ada")))
	fromElsewhere := func(target string) *http.Response {
		session := b.session()
		b.setCookie("__Host-rl", "")
		resp := b.back(target)
		if session != "" {
			b.setCookie("__Host-rl", session)
		}
		m := regexp.MustCompile(`content="0;url=([^"]*)"`).FindStringSubmatch(text(resp))
		if resp.StatusCode != http.StatusOK || m == nil {
			t.Fatalf("status %d: %s", resp.StatusCode, text(resp))
		}
		return b.open(html.UnescapeString(m[1]))
	}
	resp := fromElsewhere(`/auth/plain/login?return_to=/x%3Fa%3D%22%3E%26b&x="><script>`)
	page := text(resp)
	k.rejected(resp, "switch")
	if b.whoami() != ada || !strings.Contains(page, `href="/auth/plain/login?return_to=%2Fx%3Fa%3D%2522%253E%26b"`) || strings.Contains(page, "<script") {
		t.Errorf("signed in as %s, page: %s", b.whoami(), page)
	}
	k.location(b.open("/auth/plain/login?return_to=/x"))   // the button
	k.rejected(fromElsewhere("/auth/idp/login"), "switch") // her own provider
	b = k.browser()
	k.location(fromElsewhere("/auth/plain/login"))
}
