package middleware_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
)

// What three engines were measured to send, and what follows from it at each place that reads it: C is
// Chromium, F Firefox, W WebKit. "via worker" is a service worker of the app that answers navigations by
// fetch(event.request).
func TestNavigation(t *testing.T) {
	const none = "-" // the header is not there
	rows := []struct {
		name                              string
		site, mode, dest, origin, referer string
		page                              bool // is the load of a page: it may be sent to the provider
		posts                             bool // a POST is taken for one of our own pages
		looks                             bool // Strict, no session cookie: a gate looks for it by one more load
		starts                            bool // a link to sign in replaces who is signed in without a question
	}{
		{"CFW typed, bookmarked", "none", "navigate", "document", none, none, true, true, true, true},
		{"FW typed, and a provider answers silently", "none", "navigate", "document", none, none, true, true, true, true},
		{"W reload of the callback", "none", "navigate", "document", none, none, true, true, true, true},
		{"CFW link on our page", "same-origin", "navigate", "document", none, appURL + "/p", true, true, false, true},
		{"CFW link on our page, no referrer", "same-origin", "navigate", "document", none, none, true, true, false, true},
		{"CFW link on another site", "cross-site", "navigate", "document", none, "https://other.example/", true, false, true, false},
		{"CFW back from the provider's page", "cross-site", "navigate", "document", none, none, true, false, true, false},
		{"CFW link on a sibling subdomain", "same-site", "navigate", "document", none, "https://www.app.example/", true, false, false, false},
		{"C via worker, typed", "none", "navigate", "empty", none, none, true, true, true, true},
		{"C via worker, from the provider", "cross-site", "navigate", "empty", none, none, true, false, true, false},
		{"W via worker, from the provider", "same-origin", "navigate", "empty", none, none, true, true, true, false},
		{"W via worker, from another site", "same-origin", "navigate", "empty", none, "https://other.example/", true, true, true, false},
		{"CW via worker, link on our page", "same-origin", "navigate", "empty", none, appURL + "/p", true, true, true, false},
		{"W via worker, typed", "same-origin", "navigate", "empty", none, appURL + "/sw.js", true, true, true, false},
		{"W via worker, link without a referrer on another site", "same-origin", "navigate", "empty", none, appURL + "/sw.js", true, true, true, false},
		{"W via worker, form without a referrer on another site", "same-origin", "navigate", "empty", appURL, appURL + "/sw.js", true, true, true, false},
		{"CW via worker, another name that begins alike", "same-origin", "navigate", "empty", none, appURL + ".evil.example/p", true, true, true, false},
		{"F via worker, typed", "same-origin", "same-origin", "empty", none, none, true, true, true, false},
		{"F via worker, from the provider", "same-origin", "same-origin", "empty", none, "https://idp.example/", true, true, true, false},
		{"F via worker, link on our page", "same-origin", "same-origin", "empty", none, appURL + "/p", true, true, true, false},
		{"F via worker, form of our page", "same-origin", "same-origin", "empty", appURL, appURL + "/p", true, true, true, false},
		{"F via worker, form without a referrer on another site", "same-origin", "same-origin", "empty", "null", none, true, false, true, false},
		{"a worker that leaves the destination out", "same-origin", "navigate", none, "null", none, true, false, true, false},

		{"CF form of our page", "same-origin", "navigate", "document", appURL, appURL + "/p", true, true, false, true},
		{"W form of our page in a new tab", "cross-site", "navigate", "document", appURL, appURL + "/p", true, true, true, false},
		{"W form of our page in a new tab, no referrer", "cross-site", "navigate", "document", "null", none, true, false, true, false},
		{"CF form of our page, no referrer", "same-origin", "navigate", "document", "null", none, true, true, false, true},
		{"CW via worker, form of our page", "same-origin", "navigate", "empty", appURL, appURL + "/p", true, true, true, false},
		{"W via worker, sandboxed frame of another site", "same-origin", "navigate", "empty", "null", none, true, false, true, false},
		{"W via worker, form of another site", "same-origin", "navigate", "empty", "https://other.example", none, true, false, true, false},
		{"CFW sandboxed frame", "cross-site", "navigate", "document", "null", none, true, false, true, false},
		{"CFW form of another site", "cross-site", "navigate", "document", "https://other.example", none, true, false, true, false},
		{"CFW form of a sibling", "same-site", "navigate", "document", "https://www.app.example", none, true, false, false, false},

		{"frame", "same-origin", "navigate", "iframe", none, none, false, true, false, false},
		{"frame of a frameset", "same-origin", "navigate", "frame", none, none, false, true, false, false},
		{"object", "same-origin", "navigate", "object", none, none, false, true, false, false},
		{"embed", "same-origin", "navigate", "embed", none, none, false, true, false, false},
		{"fenced frame", "cross-site", "navigate", "fencedframe", none, none, false, false, false, false},
		{"a frame as an old Chromium says it", "same-origin", "nested-navigate", "iframe", none, none, false, true, false, false},
		{"a destination to come", "same-origin", "navigate", "hologram", none, none, true, true, false, true},
		{"fetch", "same-origin", "cors", "empty", none, none, false, true, false, false},
		{"fetch of another origin", "cross-site", "cors", "empty", "https://other.example", none, false, false, false, false},
		{"fetch without CORS", "cross-site", "no-cors", "empty", "null", none, false, false, false, false},
		{"image", "same-origin", "no-cors", "image", none, none, false, true, false, false},
		{"script that says document", "same-origin", "cors", "document", none, none, false, true, false, false},

		{"no Fetch Metadata", none, none, none, none, none, true, true, false, true},
		{"no Fetch Metadata, from our page", none, none, none, none, appURL + "/p", true, true, false, true},
		{"no Fetch Metadata, from another site", none, none, none, none, "https://other.example/", true, true, false, false},
		{"no Fetch Metadata, form of ours", none, none, none, appURL, none, true, true, false, true},
		{"no Fetch Metadata, sandboxed", none, none, none, "null", none, true, false, false, true},
		{"a proxy that leaves the mode out", "none", none, "document", none, none, true, true, true, true},
		{"a proxy that leaves the mode out, fetch", "same-origin", none, "empty", none, none, false, true, false, false},
	}
	lax := newKit(t)
	lax.gate("/gated", middleware.Need{Provider: "idp"})
	strict := newKit(t, strictCookies)
	strict.gate("/gated", middleware.Need{Provider: "idp"})
	b := lax.browser()
	b.signIn("idp", "ada", "/")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			header := map[string]string{
				"Sec-Fetch-Site": row.site, "Sec-Fetch-Mode": row.mode, "Sec-Fetch-Dest": row.dest, "Origin": row.origin, "Referer": row.referer,
			}
			for name, v := range header {
				if v == none {
					header[name] = ""
				}
			}
			sent := func(k *kit, b *browser, method, target string) *http.Response {
				return k.serve(with(b.request(method, target, nil), header))
			}
			if resp := sent(lax, lax.browser(), "GET", "/gated"); (resp.StatusCode == http.StatusSeeOther) != row.page {
				t.Errorf("a page load: status %d, want %v", resp.StatusCode, row.page)
			}
			if resp := sent(lax, lax.browser(), "POST", "/auth/logout"); (resp.StatusCode == http.StatusSeeOther) != row.posts {
				t.Errorf("POST: status %d, want it taken %v", resp.StatusCode, row.posts)
			}
			looks := strings.Contains(text(sent(strict, strict.browser(), "GET", "/gated")), "http-equiv=refresh")
			if looks != row.looks {
				t.Errorf("Strict: looks again %v, want %v", looks, row.looks)
			}
			if resp := sent(lax, b, "GET", "/auth/idp/login"); (resp.StatusCode == http.StatusSeeOther) != row.starts {
				t.Errorf("signed in, GET /auth/idp/login: status %d, want a start %v", resp.StatusCode, row.starts)
			}
		})
	}
}

func strictCookies(_ *kit, c *middleware.Config) {
	c.Sessions = scs.New()
	c.Sessions.Cookie.SameSite = http.SameSiteStrictMode
}

// A form of our own page starts whatever WebKit calls it; a link on a sibling subdomain asks first.
func TestSwitch_whoAsks(t *testing.T) {
	rows := []struct {
		name, method, site, origin string
		asks                       bool
	}{
		{"link on our page", "GET", "same-origin", "", false},
		{"typed", "GET", "none", "", false},
		{"link on a sibling", "GET", "same-site", "", true},
		{"link on another site", "GET", "cross-site", "", true},
		{"our form in a new tab, WebKit", "POST", "cross-site", appURL, false},
		{"our form", "POST", "same-origin", appURL, false},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		for _, provider := range []string{"idp", "plain"} { // her own, and another
			for _, row := range rows {
				b := k.browser()
				b.signIn("idp", "ada", "/")
				r := with(b.request(row.method, "/auth/"+provider+"/login?return_to=/x", nil), map[string]string{"Sec-Fetch-Site": row.site, "Origin": row.origin})
				resp := b.do(r)
				if asks := resp.StatusCode == http.StatusForbidden; asks != row.asks {
					t.Errorf("%s, %s: status %d, want a question %v", provider, row.name, resp.StatusCode, row.asks)
				}
				if !row.asks {
					continue
				}
				k.rejected(resp, "switch")
				if b.whoami() != ada {
					t.Errorf("%s, %s: signed in as %s", provider, row.name, b.whoami())
				}
				// The page is ours, and so is its button.
				if page := text(resp); !strings.Contains(page, `href="/auth/`+provider+`/login?return_to=%2Fx"`) || !strings.Contains(page, `name="referrer" content="strict-origin"`) {
					t.Errorf("%s, %s: %s", provider, row.name, page)
				}
			}
		}
	})
}

// In WebKit a service worker makes another site's link and form look like ours. The cookies tell: the form has
// none, and the link no Strict one.
func TestSwitch_worker(t *testing.T) {
	for engine, worker := range map[string]map[string]string{
		"WebKit":  {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Origin": appURL, "Referer": appURL + "/sw.js"},
		"Firefox": {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin", "Origin": appURL},
	} {
		t.Run(engine, func(t *testing.T) { passOn(t, worker) })
	}
}

func passOn(t *testing.T, worker map[string]string) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for i, config := range []func(*kit, *middleware.Config){func(*kit, *middleware.Config) {}, strictCookies} {
			k := newKit(t, change, config)
			b := &tab{browser: k.browser(), worker: true, lax: i == 0}
			k.location(b.open(b.approve(b.start("idp", "/"), "ada")))
			session := b.session()
			// The form starts nothing, gives no cookie, and has nobody signed out.
			r := with(b.request("POST", "/auth/plain/login?return_to=/x", nil), worker)
			r.Header.Del("Cookie")
			resp := b.do(r)
			to := k.location(resp)
			if to != "/auth/plain/login?return_to=%2Fx" || len(resp.Cookies()) > 0 {
				t.Fatalf("sent to %q, cookies %v", to, resp.Cookies())
			}
			r = with(b.request("POST", "/auth/logout", nil), worker)
			r.Header.Del("Cookie")
			if resp := b.do(r); len(resp.Cookies()) > 0 {
				t.Errorf("sign-out without a session sets cookies: %v", resp.Cookies())
			}
			// The link, or where the form was sent, asks; the button on that page is ours.
			resp, _ = b.load(t, to, "")
			k.rejected(resp, "switch")
			if b.session() != session || b.whoami() != ada {
				t.Errorf("signed in as %s", b.whoami())
			}
			if got := k.location(b.do(with(b.request("GET", to, nil), worker))); !strings.HasPrefix(got, "https://plain.example/") {
				t.Errorf("the button leads to %q", got)
			}
			// A form of ours: somebody signed in shows it by the cookie; a newcomer goes by one redirect more.
			if got := k.location(b.do(with(b.request("POST", "/auth/plain/login", nil), worker))); !strings.HasPrefix(got, "https://plain.example/") {
				t.Errorf("a form of ours leads to %q", got)
			}
			newcomer := &tab{browser: k.browser(), worker: true, lax: i == 0}
			to = k.location(newcomer.do(with(newcomer.request("POST", "/auth/plain/login", nil), worker)))
			if to != "/auth/plain/login?return_to=%2F" {
				t.Errorf("a newcomer is sent to %q", to) // and would not come back to the worker's script
			}
			resp, _ = newcomer.load(t, to, "")
			if got := k.location(resp); !strings.HasPrefix(got, "https://plain.example/") {
				t.Errorf("a newcomer is sent to %q", got)
			}
		}
	})
}

// What asks for more of the same person needs no question: nobody else can come back.
func TestSwitch_stepUp(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		var to string
		k.within(b, func(ctx context.Context) {
			to, _ = middleware.LoginURL(ctx, middleware.Need{Provider: "plain", Scopes: []string{"upload"}}, "/x")
		})
		for _, site := range []string{"cross-site", "same-site"} {
			for _, who := range []string{"grace", "ada"} {
				b.idp.Jar = k.browser().idp.Jar // the provider asks who they are
				start := k.location(b.do(with(b.request("GET", to, nil), map[string]string{"Sec-Fetch-Site": site})))
				resp := b.back(b.approve(start, who))
				if who == "ada" {
					if got := k.location(resp); got != "/x" {
						t.Errorf("%s: landed at %s", site, got)
					}
				} else {
					k.rejected(resp, "identity")
				}
				if got := b.whoami(); got != ada {
					t.Errorf("%s: %s came back, signed in as %s", site, who, got)
				}
			}
		}
	})
}
