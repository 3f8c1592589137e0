package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// gate adds a page to k that needs n.
func (k *kit) gate(path string, n middleware.Need) {
	k.mux.Handle(path, k.auth.Require(n)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "inside") })))
}

// Who is sent to the provider, and who is told that they would have to go there.
func TestRequire_decisions(t *testing.T) {
	const (
		away = "303 to the provider"
		page = "a page with a button"
		doc  = "a problem document"
	)
	h := func(pairs ...string) map[string]string {
		m := map[string]string{"Sec-Fetch-Dest": "", "Sec-Fetch-Mode": "", "Sec-Fetch-Site": "", "Accept": ""}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	rows := []struct {
		name, method string
		header       map[string]string
		want         string
	}{
		{"page load", "GET", h("Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "none"), away},
		{"page load from another site", "GET", h("Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site"), away},
		{"old browser", "GET", h("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), away},
		{"via a service worker", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate", "Accept", "text/html,*/*;q=0.8"), away},
		{"via a service worker that leaves Accept out", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate"), away},
		{"via a service worker, Firefox", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "same-origin", "Accept", "text/html,*/*;q=0.8"), away},
		{"a script that stays in its origin", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "same-origin", "Accept", "*/*"), doc},
		{"a script that takes anything, HTML too", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "same-origin", "Accept", "application/json, text/html"), doc},
		{"no browser that says navigate", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "navigate", "Accept", "application/json"), doc},
		{"HEAD", "HEAD", h("Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"), page},
		{"form", "POST", h("Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate"), page},
		{"form of an old browser", "POST", h("Accept", "text/html"), page},
		{"prefetch", "GET", h("Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Purpose", "prefetch"), page},
		{"prerender", "GET", h("Sec-Fetch-Dest", "document", "Sec-Fetch-Mode", "navigate", "Sec-Purpose", "prefetch;prerender"), page},
		{"prefetch of an old browser", "GET", h("Accept", "text/html", "Purpose", "prefetch"), page},
		{"prefetch of an old Firefox", "GET", h("Accept", "text/html", "X-Moz", "prefetch"), page},
		{"fetch", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors", "Accept", "*/*"), doc},
		{"fetch that likes HTML", "GET", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors", "Accept", "text/html"), doc},
		{"frame", "GET", h("Sec-Fetch-Dest", "iframe", "Sec-Fetch-Mode", "navigate", "Accept", "text/html"), doc},
		{"object", "GET", h("Sec-Fetch-Dest", "object", "Sec-Fetch-Mode", "navigate", "Accept", "text/html"), doc},
		{"image", "GET", h("Sec-Fetch-Dest", "image", "Sec-Fetch-Mode", "no-cors"), doc},
		{"event stream", "GET", h("Sec-Fetch-Dest", "empty", "Accept", "text/event-stream"), doc},
		{"WebSocket", "GET", h("Sec-Fetch-Dest", "websocket", "Sec-Fetch-Mode", "websocket", "Upgrade", "websocket"), doc},
		{"WebSocket of an old browser", "GET", h("Upgrade", "websocket", "Accept", "text/html"), doc},
		{"no browser", "GET", h("Accept", "application/json"), doc},
		{"no browser, no header at all", "GET", h(), doc},
		{"DELETE by a script", "DELETE", h("Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"), doc},
	}
	states := []struct {
		name   string
		need   middleware.Need
		signIn bool
		status int // of a page; a document always has 401
		reason string
		auto   bool
	}{
		{"nobody", middleware.Need{Provider: "plain"}, false, 401, "signed_out", true},
		{"without a scope", middleware.Need{Scopes: []string{"upload"}}, true, 403, "need_unmet", true},
		{"without a provider", middleware.Need{Provider: "idp"}, true, 403, "need_unmet", false},
	}
	for _, state := range states {
		for _, row := range rows {
			t.Run(state.name+": "+row.name, func(t *testing.T) {
				k := newKit(t)
				k.gate("/gated", state.need)
				b := k.browser()
				if state.signIn {
					b.signIn("plain", "ada", "/")
					b.whoami() // the new cookie has been seen: nothing is left to write about it
				}
				w := watch(k)
				cookies := len(b.cookies())
				resp := b.do(with(b.request(row.method, "/gated?q=1", nil), row.header))
				body := text(resp)
				if strings.Contains(body, "inside") {
					t.Fatal("the gate opened")
				}
				if resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(strings.Join(resp.Header["Vary"], ","), "Cookie") {
					t.Errorf("Cache-Control %q, Vary %q", resp.Header.Get("Cache-Control"), resp.Header["Vary"])
				}
				want := row.want
				if want == away && !state.auto {
					want = page
				}
				if want == away {
					if got := k.location(resp); !strings.HasPrefix(got, "https://plain.example/") {
						t.Errorf("sent to %q", got)
					}
					return
				}
				status := state.status
				if want == doc {
					status = http.StatusUnauthorized
				}
				if resp.StatusCode != status || len(b.cookies()) != cookies || w.writes("") != 0 {
					t.Errorf("status %d, want %d; %d cookies, %d before; %d writes", resp.StatusCode, status, len(b.cookies()), cookies, w.writes(""))
				}
				if got := resp.Header.Get("WWW-Authenticate"); (got != "") != (status == 401) {
					t.Errorf("WWW-Authenticate %q", got)
				}
				if want == page {
					if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") || row.method != "HEAD" && !strings.Contains(body, "/login?") {
						t.Errorf("%s: %s", resp.Header.Get("Content-Type"), body)
					}
					return
				}
				var p struct {
					Type, Title, Detail, Reason string
					Status                      int
					LoginURL                    string `json:"login_url"`
					LoginPost                   bool   `json:"login_post"`
				}
				if err := json.Unmarshal([]byte(body), &p); err != nil {
					t.Fatalf("%v: %s", err, body)
				}
				if resp.Header.Get("Content-Type") != "application/problem+json" || p.Type != "about:blank" || p.Title == "" || p.Detail == "" || p.Reason != state.reason || p.Status != status {
					t.Errorf("%s: %s", resp.Header.Get("Content-Type"), body)
				}
				if p.LoginPost != !state.auto {
					t.Errorf("login_post %v", p.LoginPost)
				}
				// The URL in it is one that works.
				next := b.open(p.LoginURL)
				if p.LoginPost {
					next = b.post(p.LoginURL, url.Values{"purpose": {"link"}})
				}
				provider := k.browser().approve(k.location(next), "ada")
				if got := k.location(b.back(provider)); got != "/gated?q=1" {
					t.Errorf("its sign-in lands at %q", got)
				}
				if got := text(b.open("/gated?q=1")); got != "inside" {
					t.Errorf("and then: %s", got)
				}
			})
		}
	}
}

// With several providers to choose from, the gate leaves the choice to the person.
func TestRequire_chooser(t *testing.T) {
	k := newKit(t, func(k *kit, c *middleware.Config) { c.Providers = append(c.Providers, k.idp.OAuth2("acme-sso")) })
	k.gate("/gated", middleware.Need{})
	b := k.browser()
	to := k.location(b.open("/gated?q=1"))
	if want := "/auth/login?return_to=%2Fgated%3Fq%3D1"; to != want {
		t.Fatalf("sent to %q, want %q", to, want)
	}
	body := text(b.open(to))
	for _, want := range []string{"/auth/idp/login?return_to=%2Fgated%3Fq%3D1", "/auth/plain/login?return_to=%2Fgated%3Fq%3D1", "Continue with Acme sso"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not on the page: %s", want, body)
		}
	}
	b.signIn("idp", "ada", "/gated?q=1")
	if got := text(b.open("/gated?q=1")); got != "inside" {
		t.Error(got)
	}
}

// A part of the app that sees shortened paths: who comes back is where the browser was, and the gate knows
// it by that address.
func TestRequire_stripPrefix(t *testing.T) {
	k := newKit(t)
	gated := k.auth.Require(middleware.Need{Provider: "plain"})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "inside ", r.URL.Path)
	}))
	k.mux.Handle("/one/", http.StripPrefix("/one", gated))
	k.mux.Handle("/two/", http.StripPrefix("/two", gated))
	b := k.browser()
	k.location(b.open("/two/page")) // and left there
	to := k.location(b.back(b.approve(k.location(b.open("/one/page?a=1")), "ada")))
	if want := "/one/page?a=1"; to != want {
		t.Fatalf("landed at %q, want %q", to, want)
	}
	if got := text(b.open(to)); got != "inside /page" {
		t.Error(got)
	}
	for range 2 { // it has let the person through
		b.setCookie("__Host-rl", "")
		k.location(b.open("/one/page"))
	}
	k.rejected(b.open("/one/page"), "sign_in_loop")
}

// What a handler has saved of a page comes back also where Answer sends the person away, with one provider
// to choose or with several, from a form or from a link.
func TestAnswer_page(t *testing.T) {
	rows := []struct {
		name, method string
		need         middleware.Need
	}{
		{"the load of a page, one provider", http.MethodGet, middleware.Need{Provider: "plain"}},
		{"the load of a page, any provider", http.MethodGet, middleware.Need{}},
		{"a form, one provider", http.MethodPost, middleware.Need{Provider: "plain"}},
		{"a form, any provider", http.MethodPost, middleware.Need{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.handle("/form", func(w http.ResponseWriter, r *http.Request) {
					var draft string
					if err := middleware.Check(r.Context(), row.need); err != nil {
						if err := middleware.SavePage(r.Context(), "a draft"); err != nil {
							t.Error(err)
						}
						middleware.Answer(w, r, err)
						return
					}
					if err := middleware.Returned(r.Context(), &draft); err != nil {
						t.Error(err)
					}
					fmt.Fprint(w, draft)
				})
				b := k.browser()
				resp := b.open("/form")
				if row.method == http.MethodPost {
					resp = b.post("/form", url.Values{})
				}
				for range 2 { // by way of the page with a button, and of the one to choose on
					if resp.StatusCode == http.StatusSeeOther && strings.HasPrefix(resp.Header.Get("Location"), "/") {
						resp = b.open(resp.Header.Get("Location"))
					}
					if m := regexp.MustCompile(`href="(/auth/(?:plain/)?login[^"]*)"`).FindStringSubmatch(text(resp)); m != nil {
						resp = b.open(html.UnescapeString(m[1]))
					}
				}
				if got := text(b.open(k.location(b.back(b.approve(k.location(resp), "ada"))))); got != "a draft" {
					t.Errorf("the page shows %q", got)
				}
			})
		})
	}
}

// A provider that says a person will prove who they are next year has seen them today.
func TestRequire_authTimeToCome(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			k.gate("/strong", middleware.Need{MaxAge: time.Minute})
			k.idp.Set(func(b *providertest.Behavior) {
				b.Claims = func(_ *providertest.Draft, c map[string]any) { c["auth_time"] = time.Now().AddDate(1, 0, 0).Unix() }
			})
			b := k.browser()
			b.signIn("idp", "ada", "/")
			if got := text(b.open("/strong")); got != "inside" {
				t.Error(got)
			}
			time.Sleep(2 * time.Minute)
			k.location(b.open("/strong"))
		})
	})
}

// At most one automatic start for a path within a minute: then a page with a button.
func TestRequire_loop(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			for _, path := range []string{"/gated", "/other"} {
				k.gate(path, middleware.Need{Provider: "plain"})
			}
			b := k.browser()
			for round := range 3 {
				callback := b.approve(k.location(b.open("/gated?a=1")), "ada")
				k.location(b.back(callback))
				b.setCookie("__Host-rl", "") // a browser that does not keep it
				resp := b.open("/gated?a=2")
				k.rejected(resp, "sign_in_loop")
				if body := text(resp); resp.StatusCode != http.StatusForbidden || !strings.Contains(body, `href="/auth/plain/login?return_to=%2Fgated%3Fa%3D2"`) {
					t.Fatalf("round %d: status %d: %s", round, resp.StatusCode, body)
				}
				time.Sleep(59 * time.Second)
				k.rejectedWith(b.open("/gated"), http.StatusForbidden)
				if round == 0 {
					k.location(b.open("/other")) // has a count of its own
				}
				time.Sleep(time.Second)
			}
		})
	})
}

// A step-up that came back unmet ends at a page with a button, however long the person took.
func TestRequire_unmet(t *testing.T) {
	rows := []struct {
		name string
		need middleware.Need
		set  func(b *providertest.Behavior)
		at   string // where it ends: "callback" or "gate"
	}{
		{"scope not granted", middleware.Need{Provider: "plain", Scopes: []string{"upload"}}, func(b *providertest.Behavior) { b.Fields = providertest.With("scope", "videos") }, "gate"},
		{"another class", middleware.Need{Provider: "idp", ACR: []string{"gold"}}, func(b *providertest.Behavior) { b.Claims = providertest.With("acr", "bronze") }, "callback"},
		{"no class", middleware.Need{Provider: "idp", ACR: []string{"gold"}}, func(b *providertest.Behavior) { b.Claims = providertest.Without("acr") }, "callback"},
		{"too long ago", middleware.Need{Provider: "idp", MaxAge: time.Nanosecond * 1e9}, func(b *providertest.Behavior) {
			b.Claims = func(d *providertest.Draft, c map[string]any) { c["auth_time"] = time.Now().Add(-time.Hour).Unix() }
		}, "callback"},
	}
	for _, row := range rows {
		for _, slow := range []time.Duration{0, 5 * time.Minute} {
			t.Run(fmt.Sprint(row.name, ", after ", slow), func(t *testing.T) {
				eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					synctest.Test(t, func(t *testing.T) {
						k := newKit(t, change)
						k.gate("/gated", row.need)
						b := k.browser()
						b.signIn(row.need.Provider, "ada", "/")
						time.Sleep(10 * time.Second)
						auth := k.location(b.open("/gated"))
						k.provider(row.need.Provider).Set(row.set)
						time.Sleep(slow)
						resp := b.back(k.browser().approve(auth, "ada"))
						if row.at == "gate" {
							resp = b.open(k.location(resp))
						}
						body := text(resp)
						if resp.StatusCode != http.StatusForbidden || !strings.Contains(body, `class="button" href="/auth/`+row.need.Provider+`/login?`) {
							t.Errorf("status %d: %s", resp.StatusCode, body)
						}
						if got := b.whoami(); got != "Ada Lovelace" {
							t.Errorf("signed in as %q", got)
						}
					})
				})
			})
		}
	}
}

// What a page needs, and what the provider is asked for.
func TestRequire_needs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.gate("/in", middleware.Need{})
		k.gate("/idp", middleware.Need{Provider: "idp"})
		k.gate("/scope", middleware.Need{Scopes: []string{"upload", "openid"}})
		k.gate("/acr", middleware.Need{ACR: []string{"gold", "silver"}})
		k.gate("/age", middleware.Need{MaxAge: 5 * time.Minute})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		steps := []struct {
			path  string
			wait  time.Duration
			param string // of the step-up; "": the page is shown
			want  string
		}{
			{"/in", 0, "", ""},
			{"/idp", 0, "", ""},
			{"/age", 5 * time.Minute, "", ""},
			{"/age", time.Second, "max_age", "300"},
			{"/age", 0, "", ""},
			{"/acr", 0, "acr_values", "gold silver"},
			{"/acr", 0, "", ""},
			{"/scope", 0, "scope", "openid profile email videos upload"}, // besides what was granted before
			{"/scope", 0, "", ""},
			{"/in", 0, "", ""},
		}
		for _, step := range steps {
			time.Sleep(step.wait)
			resp := b.open(step.path)
			if step.param == "" {
				if got := text(resp); got != "inside" {
					t.Fatalf("%s: status %d: %s", step.path, resp.StatusCode, got)
				}
				continue
			}
			auth := k.location(resp)
			u, err := url.Parse(auth)
			if err != nil {
				t.Fatal(err)
			}
			if got := u.Query().Get(step.param); got != step.want {
				t.Errorf("%s: %s=%q, want %q", step.path, step.param, got, step.want)
			}
			if got := k.location(b.back(k.browser().approve(auth, "ada"))); got != step.path {
				t.Errorf("%s: landed at %q", step.path, got)
			}
		}
	})
}

// A MaxAge of less than a second more is asked for in whole seconds, and never lost.
func TestLoginURL_maxAge(t *testing.T) {
	k := newKit(t)
	rows := []struct {
		age  time.Duration
		want string
	}{
		{5 * time.Minute, "300"},
		{5*time.Minute + time.Millisecond, "301"},
		{time.Millisecond, "1"},
		{0, ""},
	}
	for _, row := range rows {
		var to string
		k.within(k.browser(), func(ctx context.Context) {
			var err error
			if to, err = middleware.LoginURL(ctx, middleware.Need{Provider: "idp", MaxAge: row.age}, "/"); err != nil {
				t.Error(err)
			}
		})
		u, err := url.Parse(k.location(k.browser().open(to)))
		if got := u.Query().Get("max_age"); got != row.want || err != nil {
			t.Errorf("%v: max_age %q, %v, want %q", row.age, got, err, row.want)
		}
	}
}

// A token that has ended and cannot be renewed: typed errors, and a gate that signs in again.
func TestRequire_tokenEnded(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.Without("refresh_token") })
			k.gate("/gated", middleware.Need{Provider: "plain"})
			k.gate("/in", middleware.Need{})
			k.handle("/token", func(w http.ResponseWriter, r *http.Request) {
				_, terr := middleware.Token(r.Context(), "")
				resp, cerr := middleware.Client(r.Context(), "").Get("/me")
				if cerr == nil {
					_ = resp.Body.Close()
				}
				fmt.Fprint(w, errors.Is(terr, middleware.ErrReauthRequired), errors.Is(cerr, middleware.ErrReauthRequired))
			})
			b := k.browser()
			b.signIn("plain", "ada", "/")
			if got := text(b.open("/token")); got != "false false" {
				t.Errorf("at first: %s", got)
			}
			time.Sleep(time.Hour)
			if got := text(b.open("/token")); got != "true true" {
				t.Errorf("after an hour: %s", got)
			}
			if got := text(b.open("/in")); got != "inside" {
				t.Errorf("a page that needs no token: %s", got)
			}
			auth := k.location(b.open("/gated"))
			if got := k.location(b.back(k.browser().approve(auth, "ada"))); got != "/gated" {
				t.Errorf("landed at %q", got)
			}
			if got := text(b.open("/gated")) + text(b.open("/token")); got != "insidefalse false" {
				t.Errorf("and then: %s", got)
			}
		})
	})
}

// A gate outside of Handler, or of another Auth, is shut.
func TestRequire_withoutHandler(t *testing.T) {
	k, other := newKit(t), newKit(t)
	gated := k.auth.Require(middleware.Need{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the gate opened") }))
	b := k.browser()
	b.signIn("plain", "ada", "/")
	k.handler = gated
	if resp := b.open("/"); resp.StatusCode != http.StatusInternalServerError || !strings.Contains(k.log.String(), "reason=handler ") {
		t.Errorf("status %d, want 500 for a mistake of the app's: %s", resp.StatusCode, k.log)
	}
	k.handler = other.auth.Handler(gated)
	if resp := b.open("/"); resp.StatusCode < 500 {
		t.Errorf("of another: status %d", resp.StatusCode)
	}
	defer func() {
		if p := recover(); p == nil {
			t.Error("Require of an unknown provider does not panic")
		}
	}()
	k.auth.Require(middleware.Need{Provider: "unknown"})
}

// A gate on a path that is declared free of sessions opens for nobody, and starts nothing: the person may
// be signed in, whose cookie a start would replace, and would be sent away again once they are back.
func TestRequire_sessionFree(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.SessionFree = func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/free") }
		})
		k.gate("/free", middleware.Need{Provider: "idp"})
		k.handle("/free/answer", func(w http.ResponseWriter, r *http.Request) { middleware.Answer(w, r, middleware.ErrSignedOut) })
		b := k.browser()
		b.signIn("idp", "ada", "/")
		before := b.session()
		for _, path := range []string{"/free", "/free/answer"} {
			resp := b.open(path)
			if resp.StatusCode != http.StatusUnauthorized || len(resp.Cookies()) != 0 {
				t.Errorf("%s: status %d, cookies %v; want 401 and none", path, resp.StatusCode, resp.Cookies())
			}
		}
		if b.is(ada); b.session() != before {
			t.Error("the session cookie was replaced")
		}
	})
}
