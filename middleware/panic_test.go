package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// FAULTS F36: a store of the app's panics in the first, second, … of the operations that somebody needs.
// At most their request fails: nobody else's, nothing stays locked, and the session is what it was or
// what it was to become.
func TestPanic_store(t *testing.T) {
	renew := func(b *browser) {
		b.k.within(b, func(ctx context.Context) { _, _ = middleware.Refresh(ctx, "") })
	}
	rows := []struct {
		name string
		turn func(b *browser)
		goes bool // the person may be signed out by it
	}{
		{"a page", func(b *browser) { b.whoami() }, false},
		{"a write", func(b *browser) { b.put("color", "blue") }, false},
		{"a value that is taken", func(b *browser) {
			b.k.within(b, func(ctx context.Context) { _, _, _ = middleware.Take(ctx, "coupon") })
		}, false},
		{"a renewed token", renew, false},
		{"a token that takes its time", func(b *browser) { // so that the mark has to be kept meanwhile
			b.k.plain.Set(slowRefresh(5 * time.Second))
			renew(b)
		}, false},
		{"a connection that has ended", func(b *browser) {
			b.k.plain.EndGrants("ada")
			renew(b)
		}, false},
		{"a sign-in that goes on", func(b *browser) { b.back(b.approve(b.start("plain", "/"), "ada")) }, false},
		{"a link", func(b *browser) { b.link("idp", "work", "grace") }, false},
		{"a connection that is cut", func(b *browser) { b.post("/auth/plain/disconnect", nil) }, false},
		{"a sign-out", func(b *browser) { b.post("/auth/logout", nil) }, true},
		{"a sign-out of everything", func(b *browser) {
			id := b.userID()
			_ = b.k.auth.SignOutUser(b.k.t.Context(), id)
		}, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				for n := 1; ; n++ {
					reached := false
					synctest.Test(t, func(t *testing.T) { reached = panicAt(t, n, row.turn, row.goes, change) })
					if !reached {
						break
					}
				}
			})
		})
	}
}

// panicAt lets the n-th operation of turn panic, and reports whether there is one.
func panicAt(t *testing.T, n int, turn func(b *browser), goes bool, change func(*kit, *middleware.Config)) bool {
	k := newKit(t, change)
	notes(k)
	b, other := k.browser(), k.browser()
	b.signIn("plain", "ada", "/")
	b.put("cart", "full")
	b.put("coupon", "SPRING")
	other.signIn("idp", "emmy", "/")
	time.Sleep(time.Minute)
	w, ops := watch(k), atomic.Int64{}
	w.on(func(string, sessionstore.Key) error {
		if ops.Add(1) == int64(n) {
			panic("in the store")
		}
		return nil
	})
	_ = caught(func() { turn(b) })
	w.on(nil)
	other.is(emmy)
	if who := b.whoami(); who != ada && (!goes || who != nobody) {
		t.Errorf("operation %d: the app sees %q", n, who)
	} else if who == ada && b.get("cart") != "full" {
		t.Errorf("operation %d: the cart is %q", n, b.get("cart"))
	}
	_ = caught(func() { turn(b) }) // again: nothing keeps it waiting for good
	if got := b.open("/whoami"); got.StatusCode != http.StatusOK {
		t.Errorf("operation %d: status %d", n, got.StatusCode)
	}
	b.signIn("plain", "ada", "/")
	if got := k.token(b, "plain"); got.err != nil {
		t.Errorf("operation %d: %v", n, got.err)
	}
	if err := k.auth.Close(t.Context()); err != nil {
		t.Errorf("operation %d: %v", n, err)
	}
	k.refreshes(k.plain) // none of them with a token that had been renewed
	return ops.Load() >= int64(n)
}

// frail is a provider of the app's own with a mistake in each of its methods.
type frail struct {
	*providers.OAuth2
	fall func(hook string)
}

func (f frail) Begin(ctx context.Context, v *providers.Flow) (string, error) {
	f.fall("Begin")
	return f.OAuth2.Begin(ctx, v)
}

func (f frail) Check(ctx context.Context, v *providers.Flow, answer url.Values) error {
	f.fall("Check")
	return f.OAuth2.Check(ctx, v, answer)
}

func (f frail) Finish(ctx context.Context, v *providers.Flow, answer url.Values) (*providers.Token, *providers.Identity, error) {
	f.fall("Finish")
	return f.OAuth2.Finish(ctx, v, answer)
}

func (f frail) Authorize(r *http.Request, t *providers.Token) error {
	f.fall("Authorize")
	return f.OAuth2.Authorize(r, t)
}

// FAULTS F36: what the app hands to New panics while a request is served. That is the app's, as in a
// handler, and goes on to the server: nothing of an answer has left, and nothing is half done. What it says
// stays out of the log of ours.
func TestPanic_hook(t *testing.T) {
	callback := func(b *browser) *http.Request { return b.callback(b.approve(b.start("plain", "/whoami"), "ada")) }
	page := func(target string) func(*browser) *http.Request {
		return func(b *browser) *http.Request { return b.request(http.MethodGet, target, nil) }
	}
	rows := []struct {
		hook    string
		request func(b *browser) *http.Request
		fresh   bool // by somebody who is not signed in
		again   int  // the status of the same request when the hook is well
	}{
		{"SessionFree", page("/whoami"), false, 200},
		{"ErrorPage", page("/auth/none"), false, 404},
		{"ErrorPage", page("/gated"), false, 403}, // within a handler
		{"Device", callback, false, 303},
		{"Device", callback, true, 503}, // the code is spent
		{"OnLogin", callback, true, 503},
		{"Begin", page("/auth/plain/login"), true, 303},
		{"Check", callback, true, 303}, // the code is not
		{"Finish", callback, true, 503},
		{"Authorize", page("/api"), false, 200},
	}
	for _, row := range rows {
		for name, value := range map[string]any{"a panic": "of the app", "an abort": http.ErrAbortHandler} {
			t.Run(fmt.Sprint(row.hook, " ", row.again, " ", name), func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					hook := ""
					fall := func(name string) {
						if name == hook {
							panic(value)
						}
					}
					k := newKit(t, change, func(k *kit, c *middleware.Config) {
						c.SessionFree = func(*http.Request) bool { fall("SessionFree"); return false }
						c.Device = func(*http.Request) string { fall("Device"); return "" }
						c.OnLogin = func(context.Context, *middleware.Login) error { fall("OnLogin"); return nil }
						c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, p *middleware.Problem) {
							fall("ErrorPage")
							w.WriteHeader(p.Status)
						}
						c.Providers[1] = frail{k.plain.OAuth2("plain"), fall}
					})
					notes(k)
					k.gate("/gated", middleware.Need{Provider: "idp"})
					k.handle("/api", func(_ http.ResponseWriter, r *http.Request) {
						if _, err := middleware.Client(r.Context(), "").Get("/me"); err != nil {
							t.Error(err)
						}
					})
					b := k.browser()
					b.signIn("plain", "ada", "/")
					b.put("cart", "full")
					who, sessions := ada, 1
					if row.fresh {
						b, who, sessions = k.browser(), nobody, 2
						b.put("cart", "full")
					}
					r, cookie, redeems := row.request(b), b.session(), k.redeems()
					hook = row.hook
					w := httptest.NewRecorder()
					w.Code = 0
					if got := caught(func() { k.handler.ServeHTTP(w, r) }); got != value {
						t.Errorf("panic %v, want %v", got, value)
					}
					hook = ""
					if w.Code != 0 || w.Body.Len() > 0 || len(w.Result().Cookies()) > 0 {
						t.Errorf("status %d, cookies %v, body %q, of a request that fell", w.Code, w.Result().Cookies(), w.Body)
					}
					if b.is(who); b.get("cart") != "full" || b.session() != cookie {
						t.Errorf("the session has changed: cart %q", b.get("cart"))
					}
					if got := b.do(r); got.StatusCode != row.again || k.redeems() > redeems+1 {
						t.Errorf("again: status %d after %d token requests, want %d", got.StatusCode, k.redeems()-redeems, row.again)
					}
					b.signIn("plain", "ada", "/")
					if got, err := k.auth.SessionsOf(t.Context(), b.userID()); err != nil || len(got) != sessions {
						t.Errorf("%d sessions, want %d; %v", len(got), sessions, err)
					}
					if strings.Contains(k.log.String(), "of the app") {
						t.Error("the log repeats what a panic says")
					}
					told := strings.Contains(k.log.String(), "sign-in panicked") && strings.Contains(k.log.String(), "TestPanic_hook")
					if apart := slices.Contains([]string{"Device", "OnLogin", "Check", "Finish"}, row.hook); told != (apart && value != http.ErrAbortHandler) {
						t.Errorf("the log says where the sign-in panicked: %v", told)
					}
					if err := k.auth.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// An app that recovers from panics, within the middleware, cannot make a saved session of one that is not:
// when the error page of a failed save falls as well, what it answers is saved first, or is no answer.
func TestPanic_errorPageOfSave(t *testing.T) {
	rows := []struct {
		name   string
		fails  int64 // of the changes, how many
		panics any
		status int // 0: no answer
		cart   string
	}{
		{"the store is down", 1000, "of the app", 0, "full"},
		{"the store was down", 1, nil, 500, "empty"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, func(_ *kit, c *middleware.Config) {
				c.ErrorPage = func(http.ResponseWriter, *http.Request, *middleware.Problem) { panic("of the app") }
			})
			notes(k)
			recovering := k.auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer func() {
					if recover() != nil {
						http.Error(w, "sorry", http.StatusInternalServerError)
					}
				}()
				k.mux.ServeHTTP(w, r)
				w.WriteHeader(http.StatusOK)
			}))
			b := k.browser()
			b.signIn("plain", "ada", "/")
			b.put("cart", "full")
			s, n := watch(k), int64(0)
			s.on(func(op string, _ sessionstore.Key) error {
				if op != "update" {
					return nil
				}
				if n++; n <= row.fails {
					return sessionstore.ErrUnavailable
				}
				return nil
			})
			w := httptest.NewRecorder()
			w.Code = 0
			put := b.request(http.MethodGet, "/put?key=cart&value=empty", nil)
			if got := caught(func() { recovering.ServeHTTP(w, put) }); got != row.panics {
				t.Errorf("panic %v, want %v", got, row.panics)
			}
			if got := strings.Contains(w.Body.String(), "sorry"); w.Code != row.status || got != (row.status != 0) {
				t.Errorf("status %d, want %d; body %q", w.Code, row.status, w.Body)
			}
			s.on(nil)
			if b.is(ada); b.get("cart") != row.cart {
				t.Errorf("the cart is %q, want %q", b.get("cart"), row.cart)
			}
		})
	}
}

// codec is the app's own, with a mistake in it.
type codec struct {
	scs.GobCodec
	fall func(hook string)
}

func (c codec) Decode(b []byte) (time.Time, map[string]any, error) {
	c.fall("Decode")
	return c.GobCodec.Decode(b)
}

// The store and codec of a Former panic at each moment of a session's way here: it is in one place or the
// other, and the next request has it.
func TestPanic_former(t *testing.T) {
	for _, hook := range []string{"find", "found", "Decode", "delete"} {
		t.Run(hook, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				for n := 1; ; n++ {
					reached, asked := 0, true
					fall := func(name string) {
						if name != hook || !asked {
							return
						}
						if reached++; reached == n {
							panic("of the app")
						}
					}
					f := newFormerApp(t)
					k := newKit(t, change, f.with, func(_ *kit, c *middleware.Config) { c.Former.Codec = codec{fall: fall} })
					notes(k)
					f.store.on(func(op, _ string) error { fall(op); return nil })
					b := k.browser().brings(f.cart())
					w := httptest.NewRecorder()
					w.Code = 0
					got := caught(func() { k.handler.ServeHTTP(w, b.request(http.MethodGet, "/get?key=cart", nil)) })
					asked = false
					if reached < n {
						return
					}
					if got != "of the app" || w.Code != 0 || len(w.Result().Cookies()) > 0 {
						t.Errorf("%d: panic %v, status %d, cookies %v", n, got, w.Code, w.Result().Cookies())
					}
					if b.get("cart") != "3 apples" || f.store.left() != 0 {
						t.Errorf("%d: cart %q, %d old sessions", n, b.get("cart"), f.store.left())
					}
				}
			})
		})
	}
}
