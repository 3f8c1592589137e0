package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// What a login URL asks for it asks of the provider that it was made for. Elsewhere it starts nothing, and the person
// is told where to go on.
func TestLoginURL_anotherProvider(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.gate("/gated", middleware.Need{Provider: "idp", Scopes: []string{"videos.delete-all"}})
		urlOf := func(b *browser, n middleware.Need) (to string) {
			k.within(b, func(ctx context.Context) {
				var err error
				if to, err = middleware.LoginURL(ctx, n, "/x"); err != nil {
					t.Error(err)
				}
			})
			return to
		}
		signedIn := k.browser()
		signedIn.signIn("idp", "ada", "/")
		signedIn.link("plain", "", "grace")
		rows := []struct {
			name string
			need string // of a URL that was made for idp
		}{
			{"LoginURL", urlOf(k.browser(), middleware.Need{Provider: "idp", Scopes: []string{"videos.delete-all"}})},
			{"LoginURL of somebody signed in, with the provider of the sign-in", urlOf(signedIn, middleware.Need{Scopes: []string{"videos.delete-all"}})},
			{"the button of a refusal", func() string {
				b := k.browser()
				page := text(b.back(b.deny(k.location(b.open("/gated")), "ada")))
				_, to, _ := strings.Cut(page, `href="/auth/idp/login?`)
				to, _, _ = strings.Cut(to, `"`)
				return "/auth/idp/login?" + strings.ReplaceAll(to, "&amp;", "&")
			}()},
		}
		for _, row := range rows {
			need := query(t, row.need).Get("need")
			if need == "" {
				t.Fatalf("%s: no need in %s", row.name, row.need)
			}
			there := "/auth/plain/login?" + url.Values{"need": {need}, "return_to": {"/x"}}.Encode()
			for who, resp := range map[string]*http.Response{
				"a visitor":            k.browser().open(there),
				"somebody signed in":   signedIn.open(there),
				"a form that connects": signedIn.post(there, url.Values{"purpose": {"link"}}),
			} {
				k.rejected(resp, "parameter")
				if body := text(resp); resp.StatusCode != http.StatusBadRequest || strings.Contains(body, "need=") || !strings.Contains(body, `class="button`) {
					t.Errorf("%s, %s: status %d: %s", row.name, who, resp.StatusCode, body)
				}
			}
			if page := text(k.browser().open("/auth/login?need=" + need)); strings.Contains(page, "need=") {
				t.Errorf("%s: the list of providers passes it on to each: %s", row.name, page)
			}
			auth := k.location(k.browser().open("/auth/idp/login?need=" + need))
			if got := query(t, auth).Get("scope"); !strings.Contains(got, "videos.delete-all") {
				t.Errorf("%s: the provider that it is for is asked for %q", row.name, got)
			}
		}
		// One that was made for whichever the person chooses.
		chosen := query(t, urlOf(k.browser(), middleware.Need{Scopes: []string{"upload"}})).Get("need")
		for _, name := range []string{"idp", "plain"} {
			if got := query(t, k.location(k.browser().open("/auth/"+name+"/login?need="+chosen))).Get("scope"); !strings.Contains(got, "upload") {
				t.Errorf("%s is asked for %q", name, got)
			}
		}
		if page := text(k.browser().open("/auth/login?need=" + chosen)); !strings.Contains(page, "need=") {
			t.Errorf("the list of providers loses it: %s", page)
		}
	})
}
