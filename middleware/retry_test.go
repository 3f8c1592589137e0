package middleware_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// moody is a provider that now and then does not answer.
type moody struct {
	providers.Provider
	down atomic.Bool
}

func (m *moody) Begin(ctx context.Context, f *providers.Flow) (string, error) {
	if m.down.Load() {
		return "", fmt.Errorf("moody: %w", providers.ErrUnavailable)
	}
	return m.Provider.Begin(ctx, f)
}

// newMoody returns a kit whose "plain" is moody, and which answers /url with a URL that signs in with it,
// or steps up, and carries a page state, and /back with that.
func newMoody(t *testing.T, change func(*kit, *middleware.Config)) (*kit, *moody) {
	var m *moody
	k := newKit(t, change, func(k *kit, c *middleware.Config) {
		m = &moody{Provider: k.plain.OAuth2("plain")}
		c.Providers = []providers.Provider{k.idp.OIDC("idp"), m}
	})
	k.handle("/url", func(w http.ResponseWriter, r *http.Request) {
		if err := middleware.SavePage(r.Context(), "a draft"); err != nil {
			t.Error(err)
		}
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "plain", Scopes: r.URL.Query()["scope"]}, "/back")
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, to)
	})
	k.handle("/back", func(w http.ResponseWriter, r *http.Request) {
		var draft string
		_ = middleware.Returned(r.Context(), &draft)
		fmt.Fprint(w, draft)
	})
	return k, m
}

// goOn does what the page's first way on says.
func (b *browser) goOn(resp *http.Response) *http.Response {
	b.k.t.Helper()
	page := text(resp)
	if m := regexp.MustCompile(`<form method="post" action="([^"]*)"`).FindStringSubmatch(page); m != nil {
		return b.post(html.UnescapeString(m[1]), url.Values{})
	}
	m := regexp.MustCompile(`<a class="button" href="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		b.k.t.Fatalf("no way on: %s", page)
	}
	return b.open(html.UnescapeString(m[1]))
}

// Who tries again what could not be started does the same again: nobody is signed in as somebody else
// who wanted to connect an account, and what was filled in comes back.
func TestStart_again(t *testing.T) {
	signedIn := func(b *browser) { b.signIn("idp", "ada", "/") }
	linked := func(b *browser) { signedIn(b); b.link("plain", "", "grace") }
	form := func(more url.Values) func(*browser) *http.Response {
		return func(b *browser) *http.Response {
			v := url.Values{"purpose": {"link"}, "return_to": {"/back"}}
			for name, vs := range more {
				v[name] = vs
			}
			return b.post("/auth/plain/login", v)
		}
	}
	fromElsewhere := func(b *browser) *http.Response {
		return b.back(text(b.open("/url")))
	}
	rows := []struct {
		name       string
		before     func(b *browser)
		start      func(b *browser) *http.Response
		down       bool
		person     string // who is signed in afterwards
		draft      string
		connection string
	}{
		{"connect", signedIn, form(nil), true, ada, "", "plain"},
		{"connect with a label", signedIn, form(url.Values{"label": {"work"}}), true, ada, "", "plain:work"},
		{"move, too late", signedIn, form(url.Values{"move": {"x"}}), false, ada, "", "plain"},
		{"step up what is connected", linked, func(b *browser) *http.Response { return b.open(text(b.open("/url?scope=videos&scope=upload"))) }, true, ada, "a draft", "plain upload"},
		{"sign in", func(*browser) {}, func(b *browser) *http.Response { return b.open(text(b.open("/url"))) }, true, grace, "a draft", "plain"},
		{"sign in for more", func(*browser) {}, func(b *browser) *http.Response { return b.open(text(b.open("/url?scope=upload"))) }, true, grace, "a draft", "plain upload"},
		{"sign in instead", func(b *browser) { b.signIn("idp", "grace", "/") }, fromElsewhere, false, grace, "", "plain"}, // a new session: the draft was the other person's
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k, m := newMoody(t, change)
				b := k.browser()
				row.before(b)
				m.down.Store(row.down)
				resp := row.start(b)
				if row.down && resp.StatusCode != http.StatusServiceUnavailable || resp.StatusCode < 400 {
					t.Fatalf("status %d: %s", resp.StatusCode, text(resp))
				}
				m.down.Store(false)
				to := k.location(b.back(k.browser().approve(k.location(b.goOn(resp)), "grace")))
				if !strings.HasPrefix(to, "/back") {
					t.Errorf("landed at %q", to)
				}
				if got := text(b.open(to)); got != row.draft {
					t.Errorf("draft %q, want %q", got, row.draft)
				}
				b.is(row.person)
				var got []string
				for _, c := range b.status()["connections"].([]any) {
					c := c.(map[string]any)
					name := c["provider"].(string)
					if c["label"] != nil {
						name += ":" + c["label"].(string)
					}
					for _, scope := range c["scopes"].([]any) {
						if scope == "upload" {
							name += " upload"
						}
					}
					got = append(got, name)
				}
				if !strings.HasSuffix(strings.Join(got, ","), row.connection) {
					t.Errorf("connected with %q, want %q", got, row.connection)
				}
			})
		})
	}
}

// A link of which nobody can say any more what it was for leads back to its page, and not to a sign-in in
// place of the one that there is.
func TestStart_needTooOld(t *testing.T) {
	k, _ := newMoody(t, func(*kit, *middleware.Config) {})
	b := k.browser()
	rows := []struct {
		name, provider string
		signedIn, post bool
		again          bool
	}{
		{"nobody is signed in", "plain", false, false, true},
		{"the provider of the sign-in", "idp", true, false, true},
		{"another provider", "plain", true, false, false},
		{"another provider, to connect it", "plain", true, true, false},
		{"the provider of the sign-in, to connect an account", "idp", true, true, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if row.signedIn {
				b.signIn("idp", "ada", "/")
			}
			target := "/auth/" + row.provider + "/login?return_to=/back&need=x"
			resp := b.open(target)
			if row.post {
				resp = b.post(target, url.Values{"purpose": {"link"}})
			}
			k.rejected(resp, "parameter")
			page := text(resp)
			if got := strings.Contains(page, "/auth/"+row.provider+"/login"); got != row.again {
				t.Errorf("a way to start again: %v, want %v: %s", got, row.again, page)
			}
			if !row.again && !strings.Contains(page, `href="/back"`) {
				t.Errorf("no way back: %s", page)
			}
		})
	}
}

// Who tries a step-up again that came to nothing at the provider steps up the same connection of the same
// session once more, and signs nobody in instead.
func TestStepUp_again(t *testing.T) {
	work := middleware.Need{Provider: "plain", Label: "work"}
	more := work
	more.Scopes = []string{"upload"}
	rows := []struct {
		name   string
		need   middleware.Need
		ended  string // whose connection has ended
		person string // who comes back in the end
		inside bool
	}{
		{"for more", more, "", "grace", true},
		{"of what has ended", work, "grace", "grace", true},
		{"of the sign-in, which has ended", middleware.Need{Provider: "idp"}, "ada", "ada", true},
		{"by another person", middleware.Need{Provider: "idp"}, "ada", "emmy", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.gate("/gated", row.need)
				b := k.browser()
				b.signIn("idp", "ada", "/")
				b.link("plain", "work", "grace")
				if row.ended != "" {
					b.end(row.need.Provider, row.need.Label, row.ended)
				}
				page := b.back(k.browser().deny(k.location(b.open("/gated")), row.person))
				b.back(k.browser().approve(k.location(b.goOn(page)), row.person))
				b.is(ada)
				k.within(b, func(ctx context.Context) {
					if err := middleware.Check(ctx, row.need); (err == nil) != row.inside {
						t.Errorf("inside: %v, want %v", err, row.inside)
					}
				})
			})
		})
	}
}
