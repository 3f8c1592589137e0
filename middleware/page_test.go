package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
)

// drafts adds an app to k that keeps what was typed while somebody signs in.
func drafts(k *kit) {
	k.handle("POST /leave", func(w http.ResponseWriter, r *http.Request) {
		for _, v := range r.PostForm["draft"] {
			if err := middleware.SavePage(r.Context(), v); err != nil {
				http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
				return
			}
		}
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "plain"}, r.PostFormValue("to"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	k.handle("/edit", func(w http.ResponseWriter, r *http.Request) {
		var draft string
		err := middleware.Returned(r.Context(), &draft)
		if errors.Is(err, middleware.ErrNoPage) {
			fmt.Fprint(w, "none")
			return
		}
		fmt.Fprint(w, draft)
	})
	k.handle("/clear", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, errors.Join(middleware.ClearPage(r.Context()), middleware.ClearPage(r.Context())))
	})
	leave := k.mux
	k.handler = k.auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		leave.ServeHTTP(w, r)
	}))
}

// leave saves drafts and returns the provider's URL.
func (b *browser) leave(draft ...string) string {
	b.k.t.Helper()
	return b.k.location(b.open(b.k.location(b.post("/leave", url.Values{"draft": draft, "to": {"/edit"}}))))
}

// landing finishes the sign-in that auth began, and returns where it lands.
func (b *browser) landing(auth, account string) string {
	b.k.t.Helper()
	return b.k.location(b.back(b.k.browser().approve(auth, account)))
}

// Two tabs never read each other's, whatever order they come back in.
func TestPage_tabs(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		drafts(k)
		b := k.browser()
		const tabs = 8
		var auths, landings [tabs]string
		for i := range tabs {
			auths[i] = b.leave(fmt.Sprint("draft ", i))
		}
		for i := tabs - 1; i >= 0; i-- {
			landings[i] = b.landing(auths[i], "ada")
		}
		for i, landing := range landings {
			if got, want := text(b.open(landing)), fmt.Sprint("draft ", i); got != want {
				t.Errorf("tab %d has %q, want %q", i, got, want)
			}
		}
		if got := text(b.open("/edit")); got != "none" {
			t.Errorf("a tab that did not leave has %q", got)
		}
		clearing := strings.Replace(landings[0], "/edit", "/clear", 1)
		if got := text(b.open(clearing)); got != "<nil>" {
			t.Errorf("ClearPage: %s", got)
		}
		if got := text(b.open(landings[0])); got != "none" {
			t.Errorf("cleared: %q", got)
		}
		if got := text(b.open(landings[1])); got != "draft 1" {
			t.Errorf("not cleared: %q", got)
		}
		if got := text(b.open(clearing)); !strings.Contains(got, middleware.ErrNoPage.Error()) {
			t.Errorf("ClearPage of nothing: %s", got)
		}
	})
}

func TestPage_limits(t *testing.T) {
	const quotes = 2 // of the JSON
	rows := []struct {
		name   string
		drafts []string
		status int
	}{
		{"16 KB", []string{strings.Repeat("x", 16<<10-quotes)}, 303},
		{"a byte more", []string{strings.Repeat("x", 16<<10-quotes+1)}, 413},
		{"escapes count", []string{strings.Repeat("<", 4<<10)}, 413},
		{"two in one request", []string{"a", "b"}, 303},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				drafts(k)
				b := k.browser()
				for i := range 12 { // more than are kept
					if i > 0 {
						_ = b.leave("before")
					}
				}
				resp := b.post("/leave", url.Values{"draft": row.drafts, "to": {"/edit"}})
				if resp.StatusCode != row.status {
					t.Fatalf("status %d, want %d: %s", resp.StatusCode, row.status, text(resp))
				}
				if row.status != 303 {
					if got := text(resp); !strings.Contains(got, middleware.ErrPageTooLarge.Error()) {
						t.Errorf("error %q", got)
					}
					return
				}
				landing := b.landing(k.location(b.open(k.location(resp))), "ada")
				if got, want := text(b.open(landing)), row.drafts[len(row.drafts)-1]; got != want {
					t.Errorf("%d bytes came back, want %d", len(got), len(want))
				}
			})
		})
	}
}

// A session keeps eight: the oldest goes, and its sign-in lands all the same.
func TestPage_eight(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			drafts(k)
			b := k.browser()
			var auths []string
			for i := range 9 {
				auths = append(auths, b.leave(fmt.Sprint(i)))
				time.Sleep(time.Second)
			}
			for i, auth := range auths {
				want := fmt.Sprint(i)
				if i == 0 {
					want = "none"
				}
				if got := text(b.open(b.landing(auth, "ada"))); got != want {
					t.Errorf("page %d: %q, want %q", i, got, want)
				}
			}
		})
	})
}

// Whose it is, and for how long.
func TestPage_owner(t *testing.T) {
	rows := []struct {
		name string
		do   func(t *testing.T, b *browser) (reader *browser, landing string)
		want string
	}{
		{"who came back", func(_ *testing.T, b *browser) (*browser, string) { return b, b.landing(b.leave("d"), "ada") }, "d"},
		{"ten minutes later, nearly", func(_ *testing.T, b *browser) (*browser, string) {
			l := b.landing(b.leave("d"), "ada")
			time.Sleep(10*time.Minute - time.Second)
			return b, l
		}, "d"},
		{"ten minutes later", func(_ *testing.T, b *browser) (*browser, string) {
			l := b.landing(b.leave("d"), "ada")
			time.Sleep(10 * time.Minute)
			return b, l
		}, "none"},
		{"away for most of an hour", func(_ *testing.T, b *browser) (*browser, string) {
			auth := b.leave("d")
			for range 5 {
				time.Sleep(10 * time.Minute) // the session of nobody has to be kept alive
				b.open("/edit")
			}
			return b, b.landing(auth, "ada")
		}, "d"},
		{"another session", func(_ *testing.T, b *browser) (*browser, string) {
			l := b.landing(b.leave("d"), "ada")
			other := b.k.browser()
			other.signIn("plain", "ada", "/")
			return other, l
		}, "none"},
		{"nobody", func(_ *testing.T, b *browser) (*browser, string) {
			return b.k.browser(), b.landing(b.leave("d"), "ada")
		}, "none"},
		{"after a sign-out", func(_ *testing.T, b *browser) (*browser, string) {
			l := b.landing(b.leave("d"), "ada")
			b.post("/auth/logout", nil)
			return b, l
		}, "none"},
		{"after a sign-in as another", func(_ *testing.T, b *browser) (*browser, string) {
			l := b.landing(b.leave("d"), "ada")
			b.signIn("plain", "grace", "/")
			return b, l
		}, "none"},
		{"saved as ada, grace comes back", func(_ *testing.T, b *browser) (*browser, string) {
			b.signIn("plain", "ada", "/")
			return b, b.landing(b.leave("d"), "grace")
		}, "none"},
		{"saved as ada, ada comes back", func(_ *testing.T, b *browser) (*browser, string) {
			b.signIn("plain", "ada", "/")
			return b, b.landing(b.leave("d"), "ada")
		}, "d"},
		{"two ids", func(_ *testing.T, b *browser) (*browser, string) {
			l := b.landing(b.leave("d"), "ada")
			_, id, _ := strings.Cut(l, "rl=")
			return b, l + "&rl=" + id
		}, "none"},
		{"an invented id", func(_ *testing.T, b *browser) (*browser, string) {
			_ = b.landing(b.leave("d"), "ada")
			return b, "/edit?rl=" + strings.Repeat("A", 16)
		}, "none"},
		{"denied: the page is still there", func(t *testing.T, b *browser) (*browser, string) {
			auth := b.leave("d")
			resp := b.back(b.k.browser().deny(auth, "ada"))
			body := text(resp)
			_, rest, ok := strings.Cut(body, `href="/edit?rl=`)
			if resp.StatusCode != http.StatusForbidden || !ok {
				t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
			return b, "/edit?rl=" + rest[:16]
		}, "d"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					drafts(k)
					reader, landing := row.do(t, k.browser())
					for range 2 {
						if got := text(reader.open(landing)); got != row.want {
							t.Errorf("%q, want %q", got, row.want)
						}
					}
				})
			})
		})
	}
}

func TestPage_noMiddleware(t *testing.T) {
	ctx, v := t.Context(), 0
	_, loginURL := middleware.LoginURL(ctx, middleware.Need{}, "/")
	_, user := middleware.User(ctx)
	_, token := middleware.Token(ctx, "plain")
	_, client := middleware.Client(ctx, "plain").Get("https://plain.example/me")
	rows := map[string]error{
		"SavePage": middleware.SavePage(ctx, v), "Returned": middleware.Returned(ctx, &v), "ClearPage": middleware.ClearPage(ctx),
		"LoginURL": loginURL, "User": user, "Token": token, "Client": client,
		"SignOut": middleware.SignOut(ctx), "Save": middleware.Save(ctx),
	}
	for name, err := range rows {
		if !errors.Is(err, middleware.ErrNoMiddleware) {
			t.Errorf("%s: %v, want ErrNoMiddleware", name, err)
		}
	}
	if got := middleware.PageTag(ctx); got != "" {
		t.Errorf("PageTag %q, want none", got)
	}
}

// 48 for an app's own forms: a page that was made for one person does nothing as another.
func TestPageTag(t *testing.T) {
	rows := []struct {
		name   string
		method string
		send   func(r *http.Request, tag string)
		turn   func(b *browser)
		status int
	}{
		{"header", "POST", func(r *http.Request, tag string) { r.Header.Set("Page-Tag", tag) }, nil, 200},
		{"field", "POST", func(r *http.Request, tag string) { r.PostForm = url.Values{"page_tag": {tag}} }, nil, 200},
		{"PUT", "PUT", func(r *http.Request, tag string) { r.Header.Set("Page-Tag", tag) }, nil, 200},
		{"missing", "POST", func(*http.Request, string) {}, nil, 409},
		{"missing, DELETE", "DELETE", func(*http.Request, string) {}, nil, 409},
		{"missing, GET", "GET", func(*http.Request, string) {}, nil, 200},
		{"missing, HEAD", "HEAD", func(*http.Request, string) {}, nil, 200},
		{"invented", "POST", func(r *http.Request, _ string) { r.Header.Set("Page-Tag", strings.Repeat("A", 22)) }, nil, 409},
		{"in the query", "POST", func(r *http.Request, tag string) { r.URL.RawQuery = "page_tag=" + url.QueryEscape(tag) }, nil, 409},
		{"another person since", "POST", func(r *http.Request, tag string) { r.Header.Set("Page-Tag", tag) }, func(b *browser) { b.signIn("plain", "grace", "/") }, 409},
		{"signed out since", "POST", func(r *http.Request, tag string) { r.Header.Set("Page-Tag", tag) }, func(b *browser) { b.post("/auth/logout", nil) }, 409},
		{"another cookie since", "POST", func(r *http.Request, tag string) { r.Header.Set("Page-Tag", tag) }, func(b *browser) { b.open("/renew") }, 200},
		{"signed in again since", "POST", func(r *http.Request, tag string) { r.Header.Set("Page-Tag", tag) }, func(b *browser) { b.signIn("plain", "ada", "/") }, 200},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = k.auth.Sessions().RenewToken(r.Context()) })
				k.handle("/tag", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, middleware.PageTag(r.Context())) })
				called := 0
				k.mux.Handle("/change", k.auth.CheckPageTag(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ })))
				b := k.browser()
				b.signIn("plain", "ada", "/")
				tag := text(b.open("/tag"))
				if row.turn != nil {
					row.turn(b)
				}
				r := b.request(row.method, "/change", nil)
				row.send(r, tag)
				if r.PostForm != nil {
					form := r.PostForm.Encode()
					r = b.request(row.method, "/change", strings.NewReader(form))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				resp := b.do(r)
				if want := map[bool]int{true: 1}[row.status == 200]; resp.StatusCode != row.status || called != want {
					t.Errorf("status %d, called %d times; want %d", resp.StatusCode, called, row.status)
				}
				if row.status == 409 {
					k.rejected(resp, "page_tag")
				}
			})
		})
	}
}

// Invariant 15: a page that was made for one person connects and disconnects nothing of another's. The
// kit's own pages have the tag; an app need not use it.
func TestPageTag_connections(t *testing.T) {
	rows := []struct {
		name   string
		header bool
		tag    func(ada, grace string) string
		ok     bool
	}{
		{"of this person", false, func(_, grace string) string { return grace }, true},
		{"of this person, in a header", true, func(_, grace string) string { return grace }, true},
		{"of another", false, func(ada, _ string) string { return ada }, false},
		{"of another, in a header", true, func(ada, _ string) string { return ada }, false},
		{"made up", false, func(string, string) string { return "AAAAAAAAAAAAAAAAAAAAAA" }, false},
		{"none", false, func(string, string) string { return "" }, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.gate("/needs", middleware.Need{Provider: "idp"})
				k.handle("/tag", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, middleware.PageTag(r.Context())) })
				b := k.browser()
				b.signIn("plain", "ada", "/")
				first := text(b.open("/tag"))
				b.signIn("plain", "grace", "/") // in another tab
				tag := row.tag(first, text(b.open("/tag")))
				if row.ok && tag != "" && !strings.Contains(text(b.open("/needs")), `name="page_tag" value="`+tag+`"`) {
					t.Error("the kit's own page has no tag")
				}
				send := func(target string, form url.Values) *http.Response {
					if tag != "" && !row.header {
						form.Set("page_tag", tag)
					}
					r := b.request(http.MethodPost, target, strings.NewReader(form.Encode()))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.Header.Set("Origin", appURL)
					if row.header {
						r.Header.Set("Page-Tag", tag)
					}
					return b.do(r)
				}
				link := send("/auth/idp/login", url.Values{"purpose": {"link"}, "return_to": {"/x"}})
				cut := send("/auth/plain/disconnect", url.Values{"return_to": {"/x"}})
				if row.ok {
					k.location(link)
					k.location(cut)
					return
				}
				for _, resp := range []*http.Response{link, cut} {
					if resp.StatusCode != http.StatusConflict || !strings.Contains(text(resp), `href="/x"`) {
						t.Errorf("status %d: %s", resp.StatusCode, text(resp))
					}
				}
				k.rejected(link, "page_tag")
				if got := b.me("plain", ""); !strings.Contains(got, grace) {
					t.Errorf("disconnected: %s", got)
				}
			})
		})
	}
}
