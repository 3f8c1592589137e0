package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

func TestTabs_sixteenInReverse(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		target := func(i int) string { return "/auth/plain/login?return_to=/page/" + strconv.Itoa(i) }
		var requests []*http.Request
		for i := range 4 { // tabs that open before any of them has an answer
			requests = append(requests, b.request(http.MethodGet, target(i), nil))
		}
		var auths []string
		for _, r := range requests {
			auths = append(auths, k.location(b.do(r)))
		}
		started := len(b.cookies())
		for i := 4; i < 16; i++ {
			auths = append(auths, k.location(b.open(target(i))))
		}
		if got := len(b.cookies()); got != started || got != 5 {
			t.Errorf("%d cookies after sixteen starts, %d after four, want 5: %v", got, started, b.bindings())
		}
		for i := 15; i >= 0; i-- {
			if got, want := k.location(b.back(b.approve(auths[i], "ada"))), "/page/"+strconv.Itoa(i); got != want {
				t.Errorf("landed at %q, want %q", got, want)
			}
			if got := b.whoami(); got != "Ada Lovelace" {
				t.Errorf("after tab %d: %q", i, got)
			}
		}
		if got := len(b.cookies()); got != 2 {
			t.Errorf("%d cookies at the end, want one of the session and one binding: %v", got, b.bindings())
		}
		if got := k.redeems(); got != 16 {
			t.Errorf("%d token requests, want 16", got)
		}
	})
}

// 33: one state and code, a hundred times at once. FAULTS F28 is the row of two.
func TestCallback_atOnce(t *testing.T) {
	for _, n := range []int{2, 100} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				w := watch(k)
				b := k.browser()
				callback := b.approve(b.start("plain", "/page"), "ada")
				answers := make([]*http.Response, n)
				requests := make([]*http.Request, n)
				for i := range n {
					requests[i] = b.callback(callback)
				}
				together(n, func(i int) { answers[i] = k.serve(requests[i]) })
				for _, i := range rand.Perm(n) {
					if got := k.location(answers[i]); got != "/page" {
						t.Errorf("landed at %q, want /page", got)
					}
					b.keep(answers[i])
				}
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("signed in as %q", got)
				}
				if k.redeems() != 1 || w.records("session") != 1 {
					t.Errorf("%d token requests, %d sessions, want 1 of each", k.redeems(), w.records("session"))
				}
			})
		})
	}
}

// Sign-ins of one browser that end together, whichever answer comes last: the cookie that is kept
// is good, now and when every grace has passed.
func TestCallbacks_together(t *testing.T) {
	rows := []struct {
		name     string
		flows    int
		trials   int
		prepare  func(b *browser)
		apart    bool // started before the browser had any cookie
		people   []string
		sessions int
	}{
		{"two, nothing stored", 2, 100, func(*browser) {}, false, []string{"ada"}, 1},
		{"two, anonymous record", 2, 100, func(b *browser) { b.put("k", "v") }, false, []string{"ada"}, 1},
		{"two, signed in already", 2, 20, func(b *browser) { b.signIn("plain", "ada", "/") }, false, []string{"ada"}, 1},
		{"two, from before any cookie", 2, 50, func(*browser) {}, true, []string{"ada"}, 1},
		{"sixteen, nothing stored", 16, 5, func(*browser) {}, false, []string{"ada"}, 1},
		{"sixteen, anonymous record", 16, 5, func(b *browser) { b.put("k", "v") }, false, []string{"ada"}, 1},
		{"two people, nothing stored", 2, 25, func(*browser) {}, false, []string{"ada", "grace"}, 2},
		{"two people, anonymous record", 2, 25, func(b *browser) { b.put("k", "v") }, false, []string{"ada", "grace"}, 2},
	}
	names := map[string]string{"ada": "Ada Lovelace", "grace": "Grace Hopper"}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				for range trials(t, row.trials) {
					synctest.Test(t, func(t *testing.T) {
						k := newKit(t, change)
						w := watch(k)
						notes(k)
						b := k.browser()
						row.prepare(b)
						before := k.redeems()
						var requests []*http.Request
						var starts []*http.Request
						for range row.flows {
							starts = append(starts, b.request(http.MethodGet, "/auth/plain/login?return_to=/page", nil))
						}
						for i, r := range starts {
							if !row.apart {
								r = b.request(http.MethodGet, "/auth/plain/login?return_to=/page", nil)
							}
							who := k.browser() // each person has their own browser at the provider
							requests = append(requests, b.request(http.MethodGet, who.approve(k.location(b.do(r)), row.people[i%len(row.people)]), nil))
						}
						for i, r := range requests { // all cookies that the starts have set
							fresh := b.request(http.MethodGet, r.URL.String(), nil)
							requests[i] = with(fresh, map[string]string{"Sec-Fetch-Site": "cross-site"})
						}
						answers := make([]*http.Response, row.flows)
						together(row.flows, func(i int) { answers[i] = k.serve(requests[i]) })
						last := ""
						for _, i := range rand.Perm(row.flows) {
							if got := k.location(answers[i]); got != "/page" {
								t.Fatalf("landed at %q, want /page", got)
							}
							b.keep(answers[i])
							if len(answers[i].Cookies()) > 0 {
								last = names[row.people[i%len(row.people)]]
							}
						}
						for _, after := range []time.Duration{0, 31 * time.Second, 11 * time.Minute} {
							time.Sleep(after)
							if got := b.whoami(); got != last {
								t.Fatalf("signed in as %q, want %q, %v later", got, last, after)
							}
						}
						if got := w.records("session"); got != row.sessions {
							t.Fatalf("%d sessions, want %d", got, row.sessions)
						}
						if got := k.redeems() - before; got != row.flows {
							t.Fatalf("%d token requests, want %d", got, row.flows)
						}
					})
				}
			})
		})
	}
}

// A first answer that is lost on the way locks nobody out: the reload sets the cookie again.
func TestCallback_answerLost(t *testing.T) {
	rows := []struct {
		name  string
		leave func(b *browser)
		back  func(b *browser)
	}{
		{"nothing stored", func(*browser) {}, func(*browser) {}},
		{"an anonymous record", func(b *browser) { b.put("k", "v") }, func(*browser) {}},
		{"an anonymous record, made between", func(*browser) {}, func(b *browser) { b.put("k", "v") }},
		{"no session cookie, nothing stored", func(*browser) {}, func(b *browser) { b.setCookie("__Host-rl", "") }},
		{"no session cookie, an anonymous record", func(b *browser) { b.put("k", "v") }, func(b *browser) { b.setCookie("__Host-rl", "") }},
		{"another anonymous record", func(b *browser) { b.put("k", "v") }, func(b *browser) { b.setCookie("__Host-rl", ""); b.put("k", "v") }},
		{"signed in as the same", func(b *browser) { b.signIn("plain", "ada", "/") }, func(*browser) {}},
		{"signed in as another", func(b *browser) { b.signIn("plain", "grace", "/") }, func(*browser) {}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					notes(k)
					b := k.browser()
					row.leave(b)
					callback := k.browser().approve(b.start("plain", "/page"), "ada")
					row.back(b)
					before := k.redeems()
					k.location(k.serve(b.callback(callback))) // and lost
					for range 2 {
						if got := k.location(b.back(callback)); got != "/page" {
							t.Errorf("landed at %q, want /page", got)
						}
						if got := b.whoami(); got != "Ada Lovelace" {
							t.Fatalf("signed in as %q after the reload", got)
						}
					}
					if got := k.redeems() - before; got != 1 {
						t.Errorf("%d token requests, want 1", got)
					}
					time.Sleep(11 * time.Minute)
					if got := b.whoami(); got != "Ada Lovelace" {
						t.Errorf("signed in as %q, eleven minutes later", got)
					}
				})
			})
		})
	}
}

// Of a step-up that asked for a stronger sign-in, too, whose cookie replaces one that is good a while
// longer. A sign-in from before it does not give it: that has shown less.
func TestCallback_answerLost_stepUp(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			k.gate("/strong", middleware.Need{MaxAge: time.Minute})
			b := k.browser()
			first := b.approve(b.start("idp", "/"), "ada")
			k.location(b.back(first))
			b.is(ada)
			time.Sleep(2 * time.Minute)
			callback := b.approve(k.location(b.open("/strong")), "ada")
			k.location(k.serve(b.callback(callback))) // and lost
			was := b.session()
			if k.location(b.back(first)); b.session() != was {
				t.Error("a reload of the sign-in before it gives the cookie of the step-up")
			}
			for range 2 {
				if got := k.location(b.back(callback)); got != "/strong" {
					t.Errorf("landed at %q", got)
				}
				b.is(ada)
			}
			if b.session() == was {
				t.Error("the cookie is the one from before the step-up")
			}
			strong := b.session()
			b.setCookie("__Host-rl", was) // as somebody has it who took it before
			for _, done := range []string{first, callback} {
				if k.location(b.back(done)); b.session() != was {
					t.Error("the cookie of the step-up goes to the one before it when it has been shown")
				}
			}
			b.setCookie("__Host-rl", strong)
			time.Sleep(11 * time.Minute)
			b.is(ada)
		})
	})
}

// A finished callback gives its cookie to its own browser only, for two minutes.
func TestCallback_answerLost_limits(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			b, other := k.browser(), k.browser()
			callback := b.approve(b.start("plain", "/page"), "ada")
			k.location(k.serve(b.callback(callback)))
			other.start("plain", "/")
			k.rejected(other.back(callback), "state")
			if got := other.whoami(); got != "nobody" {
				t.Errorf("another browser is %q", got)
			}
			time.Sleep(2*time.Minute + time.Second)
			if resp := b.back(callback); len(resp.Cookies()) != 0 || k.location(resp) != "/page" {
				t.Errorf("after two minutes: %v, want the page and no cookie", resp.Header)
			}
			if k.redeems() != 1 {
				t.Errorf("%d token requests, want 1", k.redeems())
			}
		})
	})
}

// FAULTS F26: the client goes away at any moment of the callback; the same URL is opened again.
func TestCallback_clientGone(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.OnLogin = func(ctx context.Context, _ *middleware.Login) error { return ctx.Err() } // as a database would
		})
		w := watch(k)
		// How many moments there are: operations of the store and requests to the provider.
		var moment atomic.Int64
		var cut atomic.Pointer[func()]
		tick := func() {
			if moment.Add(-1) == 0 {
				(*cut.Load())()
			}
		}
		w.on(func(string, sessionstore.Key) error { tick(); return nil })
		k.plain.Set(func(b *providertest.Behavior) {
			fault := func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { tick(); next(w, r); tick() }
			b.Token, b.API = fault, fault
		})
		for at := int64(1); at <= 20; at++ {
			b := k.browser()
			callback := b.approve(b.start("plain", "/page"), "ada")
			ctx, cancel := context.WithCancel(context.Background())
			f := func() { cancel() }
			cut.Store(&f)
			before := k.redeems()
			moment.Store(at)
			_ = k.serve(b.callback(callback).WithContext(ctx))
			reached := moment.Swap(-1) <= 0
			cancel()
			if got := k.location(b.back(callback)); got != "/page" {
				t.Errorf("cut at %d: landed at %q, want /page", at, got)
			}
			if got := b.whoami(); got != "Ada Lovelace" {
				t.Errorf("cut at %d: signed in as %q", at, got)
			}
			if got := k.redeems() - before; got != 1 {
				t.Errorf("cut at %d: %d token requests, want 1", at, got)
			}
			if !reached && at < 8 {
				t.Errorf("a callback has only %d moments", at-1)
			}
		}
	})
}

// FAULTS F36: a panic of the app fails its request, and nothing else.
func TestPanic_onLogin(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			var news []bool
			fall := true
			k := newKit(t, change, func(_ *kit, c *middleware.Config) {
				c.OnLogin = func(_ context.Context, l *middleware.Login) error {
					news = append(news, l.IsNew)
					if fall {
						panic("of the app")
					}
					return nil
				}
			})
			notes(k)
			b := k.browser()
			b.put("cart", "full")
			cookie := b.session()
			callback := b.approve(b.start("idp", "/page"), "ada")
			if got := caught(func() { k.serve(b.callback(callback)) }); got != "of the app" {
				t.Fatalf("panic %v, want the app's", got)
			}
			began := time.Now()
			k.rejectedWith(b.back(callback), http.StatusServiceUnavailable)
			if time.Since(began) > time.Second {
				t.Errorf("the reload waited for %v", time.Since(began))
			}
			if b.whoami() != "nobody" || b.get("cart") != "full" || b.session() != cookie {
				t.Errorf("the session has changed: %q, %q", b.whoami(), b.get("cart"))
			}
			fall = false
			b.signIn("idp", "ada", "/page")
			if time.Since(began) > time.Second {
				t.Errorf("the next sign-in waited for %v", time.Since(began))
			}
			if got, want := fmt.Sprint(news), "[true true]"; got != want {
				t.Errorf("IsNew %s, want %s", got, want)
			}
			if err := k.auth.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := k.idp.Ledger().Count("revoke"); got == 0 {
				t.Error("the token of the sign-in that fell was not revoked")
			}
		})
	})
}

func TestPanic_handler(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		for name, p := range map[string]any{"/panic": "of the app", "/abort": http.ErrAbortHandler} {
			k.handle(name, func(_ http.ResponseWriter, r *http.Request) {
				k.auth.Sessions().Put(r.Context(), "cart", "half")
				_ = middleware.SignOut(r.Context())
				panic(p)
			})
			b := k.browser()
			b.signIn("plain", "ada", "/")
			b.put("cart", "full")
			if got := caught(func() { b.open(name) }); got != p {
				t.Errorf("%s: panic %v, want %v", name, got, p)
			}
			if b.whoami() != "Ada Lovelace" || b.get("cart") != "full" {
				t.Errorf("%s: %q with cart %q", name, b.whoami(), b.get("cart"))
			}
		}
	})
}

func caught(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// rejectedWith fails the test unless resp has that status, and may not be kept.
func (k *kit) rejectedWith(resp *http.Response, status int) {
	k.t.Helper()
	if resp.StatusCode != status || resp.Header.Get("Cache-Control") != "no-store" {
		k.t.Errorf("status %d, Cache-Control %q, want %d and no-store; %s", resp.StatusCode, resp.Header.Get("Cache-Control"), status, text(resp))
	}
}

// FAULTS F29: Close waits for what is under way, and lets nothing new begin.
func TestClose(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			release := make(chan struct{})
			k.plain.Set(func(b *providertest.Behavior) {
				b.Token = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) { <-release; next(w, r) }
			})
			const n = 20
			browsers, answers := make([]*browser, n), make([]*http.Response, n)
			for i := range n {
				browsers[i] = k.browser()
				r := browsers[i].callback(browsers[i].approve(browsers[i].start("plain", "/page"), "ada"))
				go func() { answers[i] = k.serve(r) }()
			}
			late := k.browser()
			lateCallback := late.approve(late.start("plain", "/page"), "ada")
			synctest.Wait()

			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := k.auth.Close(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close returned %v while callbacks are under way", err)
			}
			closed := make(chan error, 1)
			go func() { closed <- k.auth.Close(context.Background()) }()
			synctest.Wait()
			redeems := k.redeems()
			k.rejectedWith(late.back(lateCallback), http.StatusServiceUnavailable)
			if k.redeems() != redeems {
				t.Error("a callback was redeemed after Close")
			}
			select {
			case err := <-closed:
				t.Errorf("Close returned %v while callbacks are under way", err)
			default:
			}
			close(release)
			if err := <-closed; err != nil {
				t.Error(err)
			}
			synctest.Wait()
			for i, b := range browsers {
				b.keep(answers[i])
				if got := b.whoami(); got != "Ada Lovelace" {
					t.Errorf("browser %d is %q", i, got)
				}
			}
		})
	})
}
