package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
)

// A gate that has let the person through starts two more sign-ins in that minute, however the person has
// ceased to be signed in.
func TestGate_again(t *testing.T) {
	leaves := []struct {
		name  string
		leave func(b *browser)
	}{
		{"signed out", func(b *browser) { b.post("/auth/logout", nil) }},
		{"signed out by the app", func(b *browser) { b.open("/bye") }},
		{"signed out everywhere", func(b *browser) {
			if err := b.k.auth.SignOutUser(context.Background(), userID(b)); err != nil {
				b.k.t.Error(err)
			}
		}},
		{"cookie lost", func(b *browser) { b.setCookie("__Host-rl", "") }},
	}
	for _, row := range leaves {
		for _, gate := range []string{"/required", "/answered"} {
			t.Run(row.name+gate, func(t *testing.T) {
				eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
					k := newKit(t, change)
					pass := at(k)
					gates(k)
					b := k.browser()
					target := gate + "?a=1"
					for round := range 2 {
						for i := range 3 {
							auth := k.location(b.open(target))
							if got := k.location(b.back(k.browser().approve(auth, "ada"))); got != target {
								t.Fatalf("round %d, sign-in %d: landed at %q", round, i, got)
							}
							if resp := b.open(target); resp.StatusCode != http.StatusOK {
								t.Fatalf("round %d, sign-in %d: status %d", round, i, resp.StatusCode)
							}
							row.leave(b)
						}
						k.rejected(b.open(target), "sign_in_loop")
						pass(time.Minute)
					}
				})
			})
		}
	}
}

// gates adds pages that only somebody signed in may see, /bye, and /out, which signs out behind its own gate.
func gates(k *kit) {
	page := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "inside") }
	require := k.auth.Require(middleware.Need{Provider: "plain"})
	k.mux.Handle("/required", require(http.HandlerFunc(page)))
	k.mux.Handle("/answered", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := middleware.Check(r.Context(), middleware.Need{Provider: "plain"}); err != nil {
			return err
		}
		page(w, r)
		return nil
	}))
	k.handle("/bye", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
	k.mux.Handle("/out", require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = middleware.SignOut(r.Context())
		http.Redirect(w, r, "/out", http.StatusSeeOther)
	})))
}

func userID(b *browser) (id string) {
	b.k.within(b, func(ctx context.Context) {
		acc, err := middleware.User(ctx)
		if err != nil {
			b.k.t.Error(err)
			return
		}
		id = acc.ID
	})
	return id
}

// An app that signs out behind its own gate does not loop, nor does one whose cookie the browser drops.
func TestGate_noLoop(t *testing.T) {
	rows := []struct {
		name, target string
		after        func(b *browser)
	}{
		{"signs out behind its gate", "/out", func(*browser) {}},
		{"the browser drops the cookie", "/required", func(b *browser) { b.setCookie("__Host-rl", "") }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				gates(k)
				b := k.browser()
				to, starts := row.target, 0
				for range 30 {
					resp := b.open(to)
					if resp.StatusCode != http.StatusSeeOther {
						break
					}
					to = k.location(resp)
					if u, _ := url.Parse(to); u.Host != "" {
						starts++
						to = k.location(b.back(k.browser().approve(to, "ada")))
						row.after(b)
					}
				}
				k.rejected(b.open(row.target), "sign_in_loop")
				if starts < 1 || starts > 3 {
					t.Errorf("%d sign-ins", starts)
				}
			})
		})
	}
}

// What a gate has noted moves along when the binding becomes another, and a person who signs out gets the
// page that says so, and no page about a loop.
func TestGate_notesMoveAlong(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		gates(k)
		b := k.browser()
		first := k.browser().approve(k.location(b.open("/required")), "ada")
		b.signIn("plain", "ada", "/") // in another tab: the gate has let nobody through yet
		b.post("/auth/logout", nil)
		k.rejected(b.open("/required"), "sign_in_loop")
		if got := k.location(b.back(first)); got != "/required" {
			t.Errorf("landed at %q", got)
		}
		if resp := b.open("/required"); resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// No cache of any vendor keeps an answer that sets a cookie of ours, whoever has said otherwise, and when.
func TestCookie_noCache(t *testing.T) {
	names := []string{
		"Cache-Control", "Expires", "Cdn-Cache-Control", "Surrogate-Control", "Vercel-Cdn-Cache-Control", "Cloudflare-Cdn-Cache-Control",
		"Netlify-Cdn-Cache-Control", "X-Accel-Expires", "Edge-Control", "X-Litespeed-Cache-Control", "Fastly-Surrogate-Control",
	}
	says := func(h http.Header) {
		for _, name := range names {
			h.Set(name, "public, max-age=3600")
		}
	}
	rows := []struct {
		name string
		h    func(k *kit, w http.ResponseWriter, r *http.Request)
	}{
		{"before", func(k *kit, w http.ResponseWriter, r *http.Request) {
			says(w.Header())
			k.auth.Sessions().Put(r.Context(), "a", 1)
		}},
		{"after", func(k *kit, w http.ResponseWriter, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "a", 1)
			_ = middleware.Save(r.Context())
			says(w.Header())
			w.WriteHeader(http.StatusOK)
		}},
		{"after, without a word", func(k *kit, w http.ResponseWriter, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "a", 1)
			_ = middleware.Save(r.Context())
			says(w.Header())
		}},
		{"sign-out", func(k *kit, w http.ResponseWriter, r *http.Request) {
			says(w.Header())
			_ = middleware.SignOut(r.Context())
		}},
		{"renewed", func(k *kit, w http.ResponseWriter, r *http.Request) {
			says(w.Header())
			k.auth.Sessions().Put(r.Context(), "a", 1)
			_ = k.auth.Sessions().RenewToken(r.Context())
		}},
		{"gate", func(k *kit, w http.ResponseWriter, r *http.Request) {
			says(w.Header())
			k.auth.Require(middleware.Need{Provider: "idp", ACR: []string{"gold"}})(http.NotFoundHandler()).ServeHTTP(w, r)
		}},
	}
	for _, row := range rows {
		for _, signedIn := range []bool{false, true} {
			t.Run(fmt.Sprint(row.name, ", signed in: ", signedIn), func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					k.handle("/page", func(w http.ResponseWriter, r *http.Request) { row.h(k, w, r) })
					b := k.browser()
					b.start("plain", "/")
					if signedIn {
						b.signIn("idp", "ada", "/")
					} else if row.name != "sign-out" {
						b.setCookie("__Host-rl", "")
					}
					resp := b.open("/page")
					if len(resp.Cookies()) == 0 {
						if (row.name == "before" || row.name[:5] == "after") && signedIn {
							return // nothing to set
						}
						t.Fatal("no cookie was set")
					}
					for _, name := range names[1:] {
						if got := resp.Header[name]; len(got) > 0 {
							t.Errorf("%s: %q", name, got)
						}
					}
					if got := resp.Header["Cache-Control"]; len(got) != 1 || got[0] != "no-store" {
						t.Errorf("Cache-Control %q", got)
					}
				})
			})
		}
	}
}
