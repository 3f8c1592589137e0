package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// limbo is a kit whose app takes a form, and a browser whose cookie was replaced, which never got the new one.
func limbo(t *testing.T, lose string, change ...func(*kit, *middleware.Config)) (*kit, *browser) {
	k := newKit(t, change...)
	password(k)
	k.handle("GET /form", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "form of %q", k.auth.Sessions().GetString(r.Context(), "cart"))
	})
	k.gate("/strong", middleware.Need{Provider: "idp", ACR: []string{"gold"}})
	b := k.browser()
	b.put("cart", "book")
	switch lose {
	case "sign-in":
		k.location(k.serve(b.callback(b.approve(b.start("idp", "/"), "ada"))))
	case "RenewToken":
		k.serve(b.request(http.MethodGet, "/renew", nil))
	case "RenewToken twice":
		old := b.session()
		b.open("/renew")
		b.open("/renew")
		b.setCookie("__Host-rl", old)
	case "step-up":
		b.signIn("idp", "ada", "/")
		k.location(k.serve(b.callback(b.approve(k.location(b.open("/strong")), "ada"))))
	}
	return k, b
}

var losses = []string{"sign-in", "RenewToken", "RenewToken twice", "step-up"}

// send posts a form from /form.
func (b *browser) send(target string, form url.Values) *http.Response {
	r := b.request(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", appURL)
	r.Header.Set("Referer", appURL+"/form")
	return b.do(r)
}

// What a request with a replaced cookie changes is refused, and a page that changes nothing of note is served.
func TestReplaced_write(t *testing.T) {
	for _, lose := range losses {
		t.Run(lose, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k, b := limbo(t, lose, change)
				var saved error
				k.handle("/page", func(w http.ResponseWriter, r *http.Request) {
					saved = middleware.SavePage(r.Context(), "half")
					fmt.Fprint(w, "charged")
				})
				k.handle("/refuse", func(w http.ResponseWriter, r *http.Request) {
					k.auth.Sessions().Put(r.Context(), "a", "1")
					http.Error(w, "no such thing", http.StatusNotFound)
				})
				k.handle("/ask", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
					return middleware.SavePage(r.Context(), "half")
				}).ServeHTTP)
				k.handle("/take", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
					_, ok, err := middleware.Take(r.Context(), "cart")
					if ok || !errors.Is(err, middleware.ErrNotSaved) {
						t.Errorf("Take: %t, %v, want ErrNotSaved", ok, err)
					}
					return err
				}).ServeHTTP)
				k.handle("/save", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
					k.auth.Sessions().Put(r.Context(), "a", "1")
					return middleware.Save(r.Context())
				}).ServeHTTP)
				b.is(nobody)

				for target, want := range map[string]string{"/put?key=a&value=1": "", "/page": "charged", "/get?key=a": "", "/form": `form of ""`} {
					resp := k.serve(b.request(http.MethodGet, target, nil))
					if got := text(resp); resp.StatusCode != http.StatusOK || got != want || len(resp.Cookies()) != 0 {
						t.Errorf("GET %s: %d %q, cookies %v", target, resp.StatusCode, got, resp.Cookies())
					}
				}
				for _, target := range []string{"/put?key=a&value=1", "/page", "/ask", "/take", "/save", "/password?user=x"} {
					resp := b.send(target, nil)
					page := text(resp)
					if resp.StatusCode != http.StatusConflict || !strings.Contains(page, "not saved") || strings.Contains(page, "charged") ||
						strings.Contains(strings.ToLower(page), "nothing was") || !strings.Contains(page, `href="/form"`) || !strings.Contains(page, "not_saved") {
						t.Errorf("POST %s: status %d: %s", target, resp.StatusCode, page)
					}
					k.rejected(resp, "not_saved")
					if strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "__Host-rl=") {
						t.Errorf("POST %s sets %v", target, resp.Cookies())
					}
				}
				if !errors.Is(saved, middleware.ErrNotSaved) {
					t.Errorf("SavePage: %v, want ErrNotSaved", saved)
				}
				if resp := b.send("/refuse", nil); resp.StatusCode != http.StatusNotFound {
					t.Errorf("an answer that reports a failure is replaced by %d", resp.StatusCode)
				}
				if strings.Contains(k.log.String(), "late_write") {
					t.Errorf("the app is blamed: %s", k.log)
				}
			})
		})
	}
}

// To a script it is a problem document, which says where the form is.
func TestReplaced_script(t *testing.T) {
	k, b := limbo(t, "sign-in")
	r := with(b.request(http.MethodPost, "/put?key=a&value=1", nil), map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"})
	resp := k.serve(r)
	for _, want := range []string{`"reason":"not_saved"`, `"status":409`, `"back_url":"/put?key=a`} {
		if got := text(resp); !strings.Contains(got, want) {
			t.Errorf("%s: want %s", got, want)
		}
	}
}

// An address that leaves the site is none to go back to.
func TestReplaced_referer(t *testing.T) {
	_, b := limbo(t, "sign-in")
	for referer, want := range map[string]string{
		"": "/put", "https://evil.example/form": "/put", appURL + "/auth/idp/callback?code=x": "/put", appURL + "/form?a=b": "/form?a=b", "/form": "/form",
	} {
		r := b.request(http.MethodPost, "/put", strings.NewReader("key=a&value=1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Referer", referer)
		if page := text(b.do(r)); !strings.Contains(page, `href="`+want+`"`) {
			t.Errorf("Referer %q: want a link to %s: %s", referer, want, page)
		}
	}
}

var refresh = regexp.MustCompile(`^0;\s*url=(.*)$`)

// load opens a page as a browser does, which follows redirects and pages that load themselves again.
func (b *browser) load(target string) *http.Response {
	b.k.t.Helper()
	meta := regexp.MustCompile(`http-equiv=refresh content="0(?:;url=([^"]*))?"`)
	for range 8 {
		resp := b.open(target)
		if to := refresh.FindStringSubmatch(resp.Header.Get("Refresh")); to != nil {
			target = to[1]
		} else if resp.StatusCode == http.StatusSeeOther {
			target = resp.Header.Get("Location")
		} else if to := meta.FindStringSubmatch(text(resp)); to != nil {
			if to[1] != "" {
				target = strings.ReplaceAll(to[1], "&amp;", "&")
			}
		} else {
			return resp
		}
	}
	b.k.t.Fatalf("%s loads itself for ever", target)
	return nil
}

// The browser gets out of it by one click on the page that says so, or by any page load, and has a fresh
// session of nobody then, in which everything is kept.
func TestReplaced_out(t *testing.T) {
	ways := map[string]func(b *browser){
		"a click":     func(b *browser) { b.send("/put", url.Values{"key": {"a"}, "value": {"0"}}); b.open("/form") },
		"a page load": func(b *browser) { b.load("/form") },
		"the address": func(b *browser) { b.load("/auth/fresh?return_to=/form") },
	}
	for _, lose := range losses {
		for how, out := range ways {
			t.Run(lose+": "+how, func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					_, b := limbo(t, lose, change)
					was := b.session()
					out(b)
					if b.session() == was || b.session()[:22] == was[:22] {
						t.Fatal("the cookie is of the session from before")
					}
					b.is(nobody)
					if got := text(b.load("/form")); got != `form of ""` {
						t.Errorf("the page is %q", got)
					}
					resp := b.send("/put", url.Values{"key": {"a"}, "value": {"1"}})
					if got := b.get("a"); resp.StatusCode != http.StatusOK || got != "1" {
						t.Errorf("status %d, a is %q", resp.StatusCode, got)
					}
					if n := len(b.cookies()) - len(b.bindings()); n != 1 {
						t.Errorf("%d cookies: %v", n, b.cookies())
					}
					b.signIn("idp", "ada", "/")
					b.is(ada)
					if got := b.get("a"); got != "1" {
						t.Errorf("after the sign-in a is %q", got)
					}
				})
			})
		}
	}
}

// The first load changes no cookie: the answer with the new one may be on its way. Nor does a second one
// that shows it by then, nor what is no page load in a tab.
func TestReplaced_race(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		k.handle("GET /form", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "form of %q", k.auth.Sessions().GetString(r.Context(), "cart"))
		})
		b := k.browser()
		b.put("cart", "book")
		signedIn := k.serve(b.callback(b.approve(b.start("idp", "/"), "ada")))
		late := k.serve(b.request(http.MethodGet, "/form", nil))
		refused := k.serve(b.request(http.MethodPost, "/put?key=a&value=1", nil))
		again := k.serve(b.request(http.MethodGet, "/auth/fresh?return_to=/form", nil))
		b.keep(signedIn)
		for _, resp := range []*http.Response{late, refused, again} {
			b.keep(resp)
		}
		b.is(ada)
		b.load(refresh.FindStringSubmatch(late.Header.Get("Refresh"))[1])
		b.load("/auth/fresh?return_to=/form&again=1")
		b.is(ada)
		if got := text(b.load("/form")); got != `form of "book"` {
			t.Errorf("the page is %q", got)
		}
		_, b = limbo(t, "sign-in", change)
		was := b.session()
		b.send("/put", url.Values{"key": {"a"}, "value": {"0"}})
		b.fetch("/form")
		b.do(with(b.request(http.MethodGet, "/form", nil), map[string]string{"Sec-Purpose": "prefetch"}))
		b.do(with(b.request(http.MethodGet, "/form", nil), map[string]string{"Sec-Fetch-Dest": "iframe"}))
		b.send("/put", url.Values{"key": {"a"}, "value": {"0"}})
		b.do(b.request(http.MethodHead, "/form", nil))
		if b.session() != was {
			t.Error("what is no page load in a tab changes the cookie")
		}
	})
}

// A browser that keeps no cookies any more, but shows an old one, does not load a page for ever.
func TestReplaced_frozen(t *testing.T) {
	k, b := limbo(t, "sign-in")
	frozen := k.browser()
	frozen.setCookie("__Host-rl", b.session())
	for _, target := range []string{"/form", "/auth/fresh?return_to=/form", "/auth/fresh"} {
		for range 6 {
			resp := k.serve(frozen.request(http.MethodGet, target, nil))
			to := refresh.FindStringSubmatch(resp.Header.Get("Refresh"))
			meta := regexp.MustCompile(`content="0;url=([^"]*)"`).FindStringSubmatch(text(resp))
			switch {
			case to != nil:
				target = to[1]
			case resp.StatusCode == http.StatusSeeOther:
				target = resp.Header.Get("Location")
			case meta != nil:
				target = strings.ReplaceAll(meta[1], "&amp;", "&")
			default:
				target = ""
			}
			if target == "" || target == "/" {
				break
			}
		}
		if target != "" && target != "/" {
			t.Errorf("it is sent to %s for ever", target)
		}
	}
}

// A page that does not look at the session, or is none that may load itself again, stays as it is.
func TestReplaced_otherPages(t *testing.T) {
	_, b := limbo(t, "sign-in")
	rows := map[string]http.HandlerFunc{
		"/plain": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") },
		"/picture": func(w http.ResponseWriter, r *http.Request) {
			_ = b.k.auth.Sessions().Keys(r.Context())
			w.Header().Set("Content-Type", "image/png")
		},
		"/download": func(w http.ResponseWriter, r *http.Request) {
			_ = b.k.auth.Sessions().Keys(r.Context())
			w.Header().Set("Content-Disposition", "attachment")
		},
		"/missing": func(w http.ResponseWriter, r *http.Request) {
			_ = b.k.auth.Sessions().Keys(r.Context())
			http.NotFound(w, r)
		},
		"/refreshes": func(w http.ResponseWriter, r *http.Request) {
			_ = b.k.auth.Sessions().Keys(r.Context())
			w.Header().Set("Refresh", "60")
		},
	}
	for path, h := range rows {
		b.k.handle(path, h)
		if got := b.open(path).Header.Get("Refresh"); got != "" && got != "60" {
			t.Errorf("%s: Refresh %q", path, got)
		}
	}
	resp := b.open("/form")
	if got := resp.Header.Get("Cache-Control"); got != "no-store" || resp.Header.Get("Refresh") == "" {
		t.Errorf("%v", resp.Header)
	}
}

// A session that was ended while a handler worked: its change is refused, and where the request itself
// signed out it is not.
func TestEnded_write(t *testing.T) {
	rows := []struct {
		name, method, path string
		status             int
	}{
		{"a change", "POST", "/slow", 409},
		{"a page state", "POST", "/slow?page=1", 409},
		{"a page", "GET", "/slow", 200},
		{"it has signed out itself", "POST", "/slow?out=1", 200},
		{"an answer that reports a failure", "POST", "/slow?fail=1", 500},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				b := k.browser()
				k.handle("/slow", func(w http.ResponseWriter, r *http.Request) {
					if r.FormValue("page") != "" {
						if err := middleware.SavePage(r.Context(), "half"); err != nil {
							t.Error(err)
						}
					} else {
						k.auth.Sessions().Put(r.Context(), "a", "1")
					}
					b.post("/auth/logout", nil)
					if r.FormValue("out") != "" {
						_ = middleware.SignOut(r.Context())
					}
					if r.FormValue("fail") != "" {
						w.WriteHeader(http.StatusInternalServerError)
					}
					fmt.Fprint(w, "done")
				})
				b.signIn("plain", "ada", "/")
				resp := k.serve(b.request(row.method, row.path, nil))
				if page := text(resp); resp.StatusCode != row.status || row.status == 409 && (!strings.Contains(page, "not saved") || strings.Contains(page, "done")) {
					t.Errorf("status %d: %s", resp.StatusCode, page)
				}
				if strings.Contains(k.log.String(), "late_write") {
					t.Errorf("the app is blamed: %s", k.log)
				}
				b.is(nobody)
			})
		})
	}
}

// A stream is told by Save, and the log does not blame the app for what it was told.
func TestEnded_stream(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		b := k.browser()
		var saved error
		k.handle("/stream", func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			b.post("/auth/logout", nil)
			k.auth.Sessions().Put(r.Context(), "a", "1")
			saved = middleware.Save(r.Context())
		})
		b.signIn("plain", "ada", "/")
		k.serve(b.request(http.MethodGet, "/stream", nil))
		if !errors.Is(saved, middleware.ErrNotSaved) || strings.Contains(k.log.String(), "late_write") || !strings.Contains(k.log.String(), "session_gone") {
			t.Errorf("Save: %v, log: %s", saved, k.log)
		}
	})
}

// A path without sessions keeps nothing: a request that asks for a change hears so.
func TestSessionFree_write(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) {
		c.SessionFree = func(r *http.Request) bool { return r.URL.Path != "/get" }
	})
	notes(k)
	b := k.browser()
	for method, status := range map[string]int{"GET": 200, "POST": 500} {
		if resp := b.do(b.request(method, "/put?key=a&value=1", nil)); resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", method, resp.StatusCode, status)
		}
	}
	if strings.Contains(k.log.String(), "late_write") {
		t.Errorf("log: %s", k.log)
	}
}

// The two first requests of a browser that was given a session at a start: a sign-in comes between them. The
// second one had a right to it when it came.
func TestReplaced_unborn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		b := k.browser()
		callback := b.approve(b.start("plain", "/"), "ada")
		k.handle("/slow", func(_ http.ResponseWriter, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "a", "1")
			b.lands(callback, "/", ada)
		})
		if resp := k.serve(b.request(http.MethodPost, "/slow", nil)); resp.StatusCode != http.StatusOK || b.get("a") != "1" {
			t.Errorf("status %d, a is %q", resp.StatusCode, b.get("a"))
		}
		b.is(ada)
	})
}
