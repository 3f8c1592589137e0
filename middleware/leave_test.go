package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// Of what the session held that a handler ends nothing is in the one that comes after it; what this request
// has put is, such as a word to say good-bye.
func TestSignOut_nothingStays(t *testing.T) {
	rows := []struct {
		name  string
		leave func(k *kit, r *http.Request) error
		left  string // of what was put before
	}{
		{"put, then SignOut", func(k *kit, r *http.Request) error {
			k.auth.Sessions().Put(r.Context(), "flash", "bye")
			return middleware.SignOut(r.Context())
		}, "bye"},
		{"SignOut, then put", func(k *kit, r *http.Request) error {
			err := middleware.SignOut(r.Context())
			k.auth.Sessions().Put(r.Context(), "flash", "bye")
			return err
		}, "bye"},
		{"SignOut, Save, then put", func(k *kit, r *http.Request) error {
			_ = k.auth.Sessions().Get(r.Context(), "secret")
			err := middleware.SignOut(r.Context())
			if err == nil {
				err = middleware.Save(r.Context())
			}
			k.auth.Sessions().Put(r.Context(), "flash", "bye")
			return err
		}, "bye"},
		{"put, Save, SignOut", func(k *kit, r *http.Request) error {
			k.auth.Sessions().Put(r.Context(), "flash", "saved with the session that ends")
			if err := middleware.Save(r.Context()); err != nil {
				return err
			}
			return middleware.SignOut(r.Context())
		}, ""},
		{"Destroy, then put", func(k *kit, r *http.Request) error {
			err := k.auth.Sessions().Destroy(r.Context())
			k.auth.Sessions().Put(r.Context(), "flash", "bye")
			return err
		}, "bye"},
		{"Destroy, then put what was there", func(k *kit, r *http.Request) error {
			err := k.auth.Sessions().Destroy(r.Context())
			k.auth.Sessions().Put(r.Context(), "flash", "of ada")
			return err
		}, "of ada"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				k.handle("/bye", func(_ http.ResponseWriter, r *http.Request) {
					if err := row.leave(k, r); err != nil {
						t.Error(err)
					}
				})
				b := k.browser()
				b.signIn("plain", "ada", "/")
				b.put("secret", "of ada")
				b.put("flash", "of ada")
				b.open("/bye")
				b.is(nobody)
				if secret, flash := b.get("secret"), b.get("flash"); secret != "" || flash != row.left {
					t.Errorf("secret %q, flash %q, want none and %q", secret, flash, row.left)
				}
			})
		})
	}
}

// A page that somebody saved when they left is theirs in the session that comes after, too: nobody else who
// signs in there reads it, although they have its address.
func TestSignOut_pageOfWhoLeft(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.handle("/bye", func(w http.ResponseWriter, r *http.Request) {
			if err := middleware.SavePage(r.Context(), "of ada"); err != nil {
				t.Error(err)
			}
			to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "plain"}, "/page")
			if err := errors.Join(err, middleware.SignOut(r.Context())); err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, to)
		})
		k.handle("/page", func(w http.ResponseWriter, r *http.Request) {
			var page string
			_ = middleware.Returned(r.Context(), &page)
			fmt.Fprint(w, page)
		})
		for person, want := range map[string]string{"ada": "of ada", "grace": ""} {
			b := k.browser()
			b.signIn("plain", "ada", "/")
			auth := k.location(b.open(text(b.open("/bye"))))
			callback := k.browser().approve(auth, person)
			again := k.location(b.back(callback))
			if got := text(b.open(again)); got != want {
				t.Errorf("%s reads %q, want %q", person, got, want)
			}
		}
	})
}

// Who has no right to end the session that the browser has a cookie of by now does not replace it, either.
func TestSignOut_notItsOwn(t *testing.T) {
	bye := func(k *kit) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			if err := middleware.SignOut(r.Context()); err != nil {
				k.t.Error(err)
			}
			k.auth.Sessions().Put(r.Context(), "flash", "bye")
		}
	}
	rows := []struct {
		name string
		late func(b *browser) *http.Request
	}{
		{"the cookie from before the sign-in", func(b *browser) *http.Request {
			b.put("cart", "book")
			r := b.request(http.MethodGet, "/bye", nil)
			b.signIn("plain", "ada", "/")
			return r
		}},
		{"a cookie that was replaced twice", func(b *browser) *http.Request {
			b.put("cart", "book")
			r := b.request(http.MethodGet, "/bye", nil)
			b.signIn("plain", "ada", "/")
			b.open("/renew")
			return r
		}},
		{"a path without sessions", func(b *browser) *http.Request {
			b.signIn("plain", "ada", "/")
			return b.request(http.MethodGet, "/free", nil)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change, func(_ *kit, c *middleware.Config) {
					c.SessionFree = func(r *http.Request) bool { return r.URL.Path == "/free" }
				})
				notes(k)
				k.handle("/bye", bye(k))
				k.handle("/free", bye(k))
				k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
					if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
						t.Error(err)
					}
				})
				b := k.browser()
				if resp := b.do(row.late(b)); len(resp.Cookies()) != 0 {
					t.Errorf("Set-Cookie %q, want none", resp.Header["Set-Cookie"])
				}
				b.is(ada)
			})
		})
	}
}

// A sign-out on a path without sessions is a mistake of the app, and not said to be done.
func TestSignOut_sessionFree(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.SessionFree = func(r *http.Request) bool { return r.URL.Path != "/whoami" && r.URL.Path != "/" }
		})
		k.handle("/bye", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
		k.handle("/destroy", func(_ http.ResponseWriter, r *http.Request) { _ = k.auth.Sessions().Destroy(r.Context()) })
		b := k.browser()
		b.signIn("plain", "ada", "/")
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, path := range []string{"/bye", "/destroy"} {
				if resp := b.do(b.request(method, path, nil)); resp.StatusCode != http.StatusInternalServerError {
					t.Errorf("%s %s: status %d, want 500", method, path, resp.StatusCode)
				}
			}
		}
		b.is(ada)
	})
}

// What a request puts in after it has signed out is kept, although the session that ended had the same: a
// language, say.
func TestSignOut_sameAgain(t *testing.T) {
	ways := map[string]func(k *kit, r *http.Request){
		"read before": func(k *kit, r *http.Request) {
			lang := k.auth.Sessions().GetString(r.Context(), "lang")
			_ = middleware.SignOut(r.Context())
			k.auth.Sessions().Put(r.Context(), "lang", lang)
		},
		"not read": func(k *kit, r *http.Request) {
			_ = middleware.SignOut(r.Context())
			k.auth.Sessions().Put(r.Context(), "lang", "de")
		},
		"saved before": func(k *kit, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "lang", "de")
			_ = middleware.Save(r.Context())
			_ = middleware.SignOut(r.Context())
			k.auth.Sessions().Put(r.Context(), "lang", "de")
		},
		"with a new token": func(k *kit, r *http.Request) {
			_ = middleware.SignOut(r.Context())
			_ = k.auth.Sessions().RenewToken(r.Context())
			k.auth.Sessions().Put(r.Context(), "lang", "de")
		},
		"after another change": func(k *kit, r *http.Request) {
			k.auth.Sessions().Put(r.Context(), "a", "1")
			k.auth.Sessions().RememberMe(r.Context(), true)
			_ = middleware.SignOut(r.Context())
			k.auth.Sessions().Put(r.Context(), "lang", "de")
		},
	}
	befores := map[string]func(b *browser){
		"a visitor": func(b *browser) {}, "signed in": func(b *browser) { b.signIn("plain", "ada", "/") },
	}
	for name, way := range ways {
		for who, before := range befores {
			t.Run(name+", "+who, func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					notes(k)
					k.handle("POST /leave", func(_ http.ResponseWriter, r *http.Request) { way(k, r) })
					b := k.browser()
					before(b)
					b.put("lang", "de")
					b.put("secret", "1")
					old := b.session()
					if resp := b.post("/leave", nil); resp.StatusCode != http.StatusOK {
						t.Errorf("status %d", resp.StatusCode)
					}
					if got := b.get("lang"); got != "de" || b.get("secret") != "" || b.session() == old {
						t.Errorf("lang is %q, secret %q", got, b.get("secret"))
					}
					b.is(nobody)
				})
			})
		}
	}
}
