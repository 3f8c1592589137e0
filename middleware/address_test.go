package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// sealedNeed is another one each time.
var sealedNeed = regexp.MustCompile(`need=[^"&]*`)

// A page of ours does not stay at an address with a code in it: it loads itself again at one that has the
// answer sealed, and a reload there does what a reload of the callback would.
func TestCallback_address(t *testing.T) {
	rows := []struct {
		name   string
		make   func(k *kit, b *browser) string // a callback that is refused
		status int
		mend   func(k *kit, b *browser) // and what lets it through
		lands  string                   // then
		once   bool                     // somebody is signed in: they see it once
	}{
		{"another browser's", func(k *kit, b *browser) string {
			o := k.browser()
			return o.approve(o.start("plain", "/page"), "ada")
		}, 400, nil, "", false},
		{"denied", func(k *kit, b *browser) string { return b.deny(b.start("plain", "/page"), "ada") }, 403, nil, "", false},
		{"a code that is spent", func(k *kit, b *browser) string {
			callback := b.approve(b.start("plain", "/page"), "ada")
			return strings.Replace(callback, "code=", "code=x", 1)
		}, 502, nil, "", false},
		{"a parameter twice", func(k *kit, b *browser) string {
			return b.approve(b.start("plain", "/page"), "ada") + "&code=twice-and-more"
		}, 400, nil, "", false},
		{"another provider's", func(k *kit, b *browser) string {
			return strings.Replace(b.approve(b.start("plain", "/page"), "ada"), "/plain/", "/idp/", 1)
		}, 400, nil, "", false},
		{"no access", func(k *kit, b *browser) string {
			k.auth.SetOnLogin(func(context.Context, *middleware.Login) error { return middleware.Refuse("no") })
			return b.approve(b.start("plain", "/page"), "ada")
		}, 403, nil, "", false},
		{"the app's own problem", func(k *kit, b *browser) string {
			k.auth.SetOnLogin(func(context.Context, *middleware.Login) error {
				return &middleware.Problem{Status: 451, Title: "Not here", Reason: "geo", LoginURL: "/ask"}
			})
			return b.approve(b.start("plain", "/page"), "ada")
		}, 451, nil, "", false},
		{"an account that is somebody else's", func(k *kit, b *browser) string {
			k.browser().signIn("plain", "grace", "/")
			b.signIn("idp", "ada", "/")
			return b.approve(k.location(b.post("/auth/plain/login?purpose=link", nil)), "grace")
		}, 409, nil, "", true},
		{"signed in since, by other means", func(k *kit, b *browser) string { return b.deny(b.start("plain", "/page"), "ada") }, 403,
			func(k *kit, b *browser) { b.signIn("plain", "grace", "/") }, "/page", false},
		{"the server is about to stop", func(k *kit, b *browser) string {
			callback := b.approve(b.start("plain", "/page"), "ada")
			if err := k.auth.Close(t.Context()); err != nil {
				t.Error(err)
			}
			return callback
		}, 503, func(k *kit, b *browser) { k.auth.Reopen() }, "/page", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				callback := row.make(k, b)
				mark := len(k.log.String())
				resp := b.back(callback)
				if resp.StatusCode != row.status {
					t.Fatalf("status %d, want %d: %s", resp.StatusCode, row.status, text(resp))
				}
				to, ok := strings.CutPrefix(resp.Header.Get("Refresh"), "0;url=")
				if u, err := url.Parse(to); !ok || err != nil || u.Host != "" || u.Query().Has("code") || u.Query().Has("state") {
					t.Fatalf("the page goes on to %q", to)
				}
				for name, vs := range query(t, callback) {
					if name != "iss" && name != "error" && strings.Contains(to, vs[0]) {
						t.Errorf("%s is in %q", name, to)
					}
				}
				redeems := k.redeems()
				for load := range 2 {
					again := b.open(to)
					if row.once && load > 0 { // Back
						if got := k.location(again); got != "/" {
							t.Errorf("loaded once more: at %q", got)
						}
						continue
					}
					if again.StatusCode != row.status || sealedNeed.ReplaceAllString(text(again), "") != sealedNeed.ReplaceAllString(text(resp), "") {
						t.Errorf("loaded again: status %d, want %d: %s", again.StatusCode, row.status, text(again))
					}
					if got := again.Header.Get("Refresh"); got != "" {
						t.Errorf("it goes on to %q", got)
					}
				}
				if got := k.redeems() - redeems; got != 0 {
					t.Errorf("%d token requests more", got)
				}
				if got := strings.Count(k.log.String()[mark:], "returnleg: refused"); got != 1 {
					t.Errorf("%d lines about it in the log, want one", got)
				}
				if row.mend == nil {
					return
				}
				row.mend(k, b)
				if got := k.location(b.open(to)); got != row.lands {
					t.Errorf("landed at %q, want %q", got, row.lands)
				}
			})
		})
	}
}

// A script is told why, and loads nothing again.
func TestCallback_addressOfFetch(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	resp := b.fetch(k.browser().approve(b.start("plain", "/"), "ada") + "&state=twice")
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Refresh") != "" {
		t.Errorf("status %d, Refresh %q", resp.StatusCode, resp.Header.Get("Refresh"))
	}
}

// What travels sealed is one provider's, and nobody else makes it.
func TestCallback_addressIsSealed(t *testing.T) {
	k := newKit(t)
	k.plain.Set(func(b *providertest.Behavior) {})
	b := k.browser()
	to, _ := strings.CutPrefix(b.back(b.deny(b.start("plain", "/"), "ada")).Header.Get("Refresh"), "0;url=")
	k.rejected(b.open(strings.Replace(to, "/plain/", "/idp/", 1)), "provider_path")
	k.rejected(b.open(to[:len(to)-2]+"AA"), "state")
}

// A no to somebody who is signed in has no code: its page stays where it is, and loaded again, by Back say, it
// leads on to where they were.
func TestCallback_noWhileSignedIn(t *testing.T) {
	rows := []struct {
		name, landing string
		auth          func(k *kit, b *browser) string
	}{
		{"one more connection", "/", func(k *kit, b *browser) string {
			return k.location(b.post("/auth/plain/login?purpose=link", nil))
		}},
		{"more scopes", "/page", func(k *kit, b *browser) string {
			to := ""
			k.within(b, func(ctx context.Context) {
				to, _ = middleware.LoginURL(ctx, middleware.Need{Scopes: []string{"more"}}, "/page")
			})
			return k.location(b.open(to))
		}},
		{"somebody else", "/page", func(_ *kit, b *browser) string { return b.start("plain", "/page") }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				b.signIn("idp", "ada", "/")
				callback := b.deny(row.auth(k, b), "ada")
				resp := b.back(callback)
				if got := resp.Header.Get("Refresh"); resp.StatusCode != http.StatusForbidden || got != "" || strings.Contains(callback, "code=") {
					t.Errorf("status %d, goes on to %q", resp.StatusCode, got)
				}
				for range 2 {
					if got := k.location(b.back(callback)); got != row.landing {
						t.Errorf("loaded again: at %q, want %q", got, row.landing)
					}
				}
			})
		})
	}
}
