package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// formerStore is the store of the app as it was: it counts reads, and can fail or wait.
type formerStore struct {
	*memstore.MemStore
	mu     sync.Mutex
	finds  int
	before func(op, token string) error
}

func (s *formerStore) ask(op, token string) error {
	s.mu.Lock()
	before := s.before
	if op == "find" {
		s.finds++
	}
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(op, token)
}

func (s *formerStore) on(f func(op, token string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.finds = f, 0
}

func (s *formerStore) Find(token string) ([]byte, bool, error) {
	if err := s.ask("find", token); err != nil {
		return nil, false, err
	}
	b, found, err := s.MemStore.Find(token)
	if err := s.ask("found", token); err != nil {
		return nil, false, err
	}
	return b, found, err
}

func (s *formerStore) Delete(token string) error {
	if err := s.ask("delete", token); err != nil {
		return err
	}
	return s.MemStore.Delete(token)
}

func (s *formerStore) left() int {
	all, _ := s.All()
	return len(all)
}

// formerApp is an app with LoadAndSave, from before it was wrapped in Handler.
type formerApp struct {
	t       testing.TB
	store   *formerStore
	manager *scs.SessionManager
}

func newFormerApp(t testing.TB, change ...func(*scs.SessionManager)) *formerApp {
	f := &formerApp{t: t, store: &formerStore{MemStore: memstore.NewWithCleanupInterval(0)}, manager: scs.New()}
	f.manager.Store = f.store
	for _, c := range change {
		c(f.manager)
	}
	return f
}

// visit returns the cookie that somebody has after use.
func (f *formerApp) visit(use func(sm *scs.SessionManager, r *http.Request)) *http.Cookie {
	f.t.Helper()
	w := httptest.NewRecorder()
	f.manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		use(f.manager, r)
	})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, appURL, nil))
	cs := w.Result().Cookies()
	if len(cs) != 1 {
		f.t.Fatalf("cookies %v, want one", cs)
	}
	return cs[0]
}

// cart is what somebody has put into the session.
func (f *formerApp) cart() *http.Cookie {
	return f.visit(func(sm *scs.SessionManager, r *http.Request) { sm.Put(r.Context(), "cart", "3 apples") })
}

// with hands the app's sessions over.
func (f *formerApp) with(_ *kit, c *middleware.Config) {
	c.Former = &middleware.Former{Store: f.manager.Store, Codec: f.manager.Codec, Cookie: f.manager.Cookie, HashTokenInStore: f.manager.HashTokenInStore}
}

// brings makes the browser one that was there before.
func (b *browser) brings(c *http.Cookie) *browser {
	b.setCookie(c.Name, c.Value)
	return b
}

func TestFormer(t *testing.T) {
	day := 24 * time.Hour
	rows := []struct {
		name    string
		before  func(*scs.SessionManager)
		persist bool // the app as it is now
		use     func(sm *scs.SessionManager, r *http.Request)
		maxAge  time.Duration // of the new cookie
		clears  string        // a part of the cookie that removes the old one
	}{
		{"as scs makes them", nil, true, nil, day, "session=; Path=/; Max-Age=0"},
		{"another name", func(sm *scs.SessionManager) { sm.Cookie.Name = "__Secure-old"; sm.Cookie.Secure = true }, true, nil, day, "__Secure-old=; Path=/; Max-Age=0; HttpOnly; Secure"},
		{"a domain and a path", func(sm *scs.SessionManager) { sm.Cookie.Domain = "example"; sm.Cookie.Path = "/shop" }, true, nil, day, "session=; Path=/shop; Domain=example; Max-Age=0"},
		{"Partitioned", func(sm *scs.SessionManager) { sm.Cookie.Partitioned = true }, true, nil, day, "Partitioned"},
		{"HashTokenInStore", func(sm *scs.SessionManager) { sm.HashTokenInStore = true }, true, nil, day, "session=;"},
		{"the deadline is kept", func(sm *scs.SessionManager) { sm.Lifetime = 90 * day }, true, nil, 90 * day, "session=;"},
		{"SetDeadline", nil, true, func(sm *scs.SessionManager, r *http.Request) {
			sm.SetDeadline(r.Context(), time.Now().Add(time.Hour))
		}, time.Hour, "session=;"},
		{"without Persist", nil, false, nil, 0, "session=;"},
		{"RememberMe", nil, false, func(sm *scs.SessionManager, r *http.Request) { sm.RememberMe(r.Context(), true) }, day, "session=;"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				if row.before == nil {
					row.before = func(*scs.SessionManager) {}
				}
				f := newFormerApp(t, row.before)
				// The app's manager has the name of before, as one has that was left as it was.
				_, sessions := withManager(func(sm *scs.SessionManager) { sm.Cookie.Persist = row.persist })
				k := newKit(t, change, sessions, f.with)
				notes(k)
				b := k.browser().brings(f.visit(func(sm *scs.SessionManager, r *http.Request) {
					sm.Put(r.Context(), "cart", "3 apples")
					if row.use != nil {
						row.use(sm, r)
					}
				}))
				resp := b.open("/get?key=cart")
				if got := text(resp); got != "3 apples" {
					t.Errorf("cart: %q", got)
				}
				if resp.Header.Get("Cache-Control") != "no-store" || !strings.Contains(resp.Header.Get("Vary"), "Cookie") {
					t.Errorf("the answer may be cached: %v", resp.Header)
				}
				cs := resp.Cookies()
				if len(cs) != 2 || cs[0].Name != "__Host-rl" || !strings.Contains(resp.Header["Set-Cookie"][1], row.clears) {
					t.Fatalf("cookies %q, want ours and one with %q", resp.Header["Set-Cookie"], row.clears)
				}
				if got := time.Duration(cs[0].MaxAge) * time.Second; got > row.maxAge || got < row.maxAge-time.Minute {
					t.Errorf("Max-Age %v, want %v", got, row.maxAge)
				}
				if f.store.left() != 0 {
					t.Error("the old session is still there")
				}
				f.store.on(nil)
				b.put("more", "pears")
				if b.get("cart") != "3 apples" || b.get("more") != "pears" || b.whoami() != "nobody" {
					t.Errorf("afterwards: cart %q, more %q, %q", b.get("cart"), b.get("more"), b.whoami())
				}
				if f.store.finds != 0 {
					t.Errorf("%d reads of the old store with the new cookie, want none", f.store.finds)
				}
			})
		})
	}
}

// A handler that caches its answer, or ends the session, and the kit's own pages: each answer has the
// cookies that it should.
func TestFormer_answers(t *testing.T) {
	rows := []struct {
		name, path string
		ours       bool // a session cookie with a value
		left       string
	}{
		{"cached by the handler", "/cached", true, "3 apples"},
		{"RenewToken", "/renew", true, "3 apples"},
		{"Destroy", "/destroy", false, ""},
		{"status of the kit", "/auth/status", true, "3 apples"},
		{"start of a sign-in", "/auth/plain/login", true, "3 apples"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := newFormerApp(t)
			sm, sessions := withManager()
			k := newKit(t, sessions, f.with)
			notes(k)
			k.handle("/cached", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public, max-age=60") })
			k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = sm.RenewToken(r.Context()) })
			k.handle("/destroy", func(_ http.ResponseWriter, r *http.Request) { _ = sm.Destroy(r.Context()) })
			b := k.browser().brings(f.cart())
			resp := b.open(row.path)
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if _, old := b.cookies()["session"]; old || (b.session() != "") != row.ours {
				t.Errorf("cookies %v", b.cookies())
			}
			if n := strings.Count(strings.Join(resp.Header["Set-Cookie"], "\n"), "__Host-rl="); n != 1 {
				t.Errorf("%d session cookies in %q", n, resp.Header["Set-Cookie"])
			}
			if got := b.get("cart"); got != row.left {
				t.Errorf("cart: %q, want %q", got, row.left)
			}
		})
	}
}

// Twenty requests of one browser at two replicas, before any has an answer.
func TestFormer_together(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for range trials(t, 20) {
			f := newFormerApp(t)
			keys := sessionstore.NewKeyring()
			var cfg middleware.Config
			k := newKit(t, change, f.with, func(_ *kit, c *middleware.Config) { c.Keys = keys; cfg = *c })
			notes(k)
			second, err := middleware.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			w := watch(k)
			second.SetStore(w)
			other := second.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				second.Sessions().Put(r.Context(), r.FormValue("key"), "1")
			}))
			b := k.browser().brings(f.cart())
			answers := make([]*http.Response, 20)
			requests := make([]*http.Request, 20)
			for i := range requests {
				requests[i] = b.request(http.MethodGet, fmt.Sprintf("/put?key=k%d&value=1", i), nil)
			}
			together(20, func(i int) {
				if i%2 == 0 {
					answers[i] = k.serve(requests[i])
					return
				}
				rec := httptest.NewRecorder()
				other.ServeHTTP(rec, requests[i])
				answers[i] = rec.Result()
			})
			values := map[string]bool{}
			for _, resp := range answers {
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("status %d; log:\n%s", resp.StatusCode, k.log)
				}
				for _, c := range resp.Cookies() {
					if c.Name == "__Host-rl" {
						values[c.Value] = true
					}
				}
				b.keep(resp)
			}
			if len(values) != 1 || w.records("session") != 1 || f.store.left() != 0 {
				t.Fatalf("%d cookies, %d records, %d old sessions, want 1, 1 and 0", len(values), w.records("session"), f.store.left())
			}
			for i := range 20 {
				if b.get(fmt.Sprintf("k%d", i)) != "1" {
					t.Fatalf("the write of request %d is lost", i)
				}
			}
			if b.get("cart") != "3 apples" {
				t.Fatal("the cart is lost")
			}
		}
	})
}

// Whose request does not show an old session, or has one of ours, is not looked up.
func TestFormer_notAsked(t *testing.T) {
	f := newFormerApp(t)
	k := newKit(t, f.with, func(_ *kit, c *middleware.Config) {
		c.SessionFree = func(r *http.Request) bool { return r.URL.Path == "/free" }
	})
	notes(k)
	k.handle("/free", func(http.ResponseWriter, *http.Request) {})
	old := f.cart()
	other := f.cart().Value
	mine := k.browser()
	mine.put("a", "1")
	rows := []struct {
		name, path, cookies string
	}{
		{"no cookie", "/whoami", ""},
		{"a session of ours", "/whoami", "__Host-rl=" + mine.session() + "; session=" + old.Value},
		{"a path without sessions", "/free", "session=" + old.Value},
		{"empty", "/whoami", "session="},
		{"too short", "/whoami", "session=" + old.Value[1:]},
		{"too long", "/whoami", "session=" + old.Value + "A"},
		{"a key of another kind", "/whoami", "session=session:" + strings.Repeat("A", 35)},
		{"not base64url", "/whoami", "session=" + old.Value[:40] + "+/="},
		{"a glob", "/whoami", "session=*"},
		{"a line break", "/whoami", "session=" + old.Value[:20] + "\r\nDEL x" + old.Value[28:]},
		{"bytes", "/whoami", "session=" + strings.Repeat("\xff", 43)},
		{"64 KB", "/whoami", "session=" + strings.Repeat("A", 64<<10)},
		{"a name like it", "/whoami", "Session=" + old.Value + "; session =" + old.Value},
		{"two of them", "/whoami", "session=" + old.Value + "; session=" + other},
		{"two of them, one malformed", "/whoami", "session=" + old.Value + "; session=x"},
		{"two of them, the other order", "/whoami", "session=x; session=" + old.Value},
	}
	f.store.on(nil)
	for _, row := range rows {
		r := k.browser().request(http.MethodGet, row.path, nil)
		r.Header["Cookie"] = []string{row.cookies}
		resp := k.serve(r)
		if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 0 {
			t.Errorf("%s: status %d, cookies %v, want 200 and none", row.name, resp.StatusCode, resp.Cookies())
		}
		if f.store.finds != 0 {
			t.Errorf("%s: %d reads of the old store, want none", row.name, f.store.finds)
			f.store.on(nil)
		}
	}
	r := k.browser().request(http.MethodGet, "/whoami", nil)
	r.Header["Cookie"] = []string{"session=" + strings.Repeat("A", 43)}
	if resp := k.serve(r); resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 0 {
		t.Errorf("made up: status %d, cookies %v, want 200 and none", resp.StatusCode, resp.Cookies())
	}
	if f.store.left() != 2 {
		t.Errorf("%d old sessions, want both", f.store.left())
	}
}

// One more sign-in, after which the old cookie is worth nothing.
func TestFormer_signIn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		f := newFormerApp(t)
		k := newKit(t, change, f.with)
		notes(k)
		k.onLogin(func(l loginContext) error {
			l.login.Account.ID = k.auth.Sessions().GetString(l.ctx, "cart") + "'s buyer"
			return nil
		})
		old := f.cart()
		b := k.browser().brings(old)
		lost := b.request(http.MethodGet, "/get?key=cart", nil)
		first := k.serve(lost).Cookies()[0].Value // which the browser never gets
		b.signIn("plain", "ada", "/")
		if b.session()[:22] != first[:22] {
			t.Error("the start of the sign-in has another session than the request whose answer was lost")
		}
		if b.get("cart") != "3 apples" || b.whoami() != "Ada Lovelace" {
			t.Errorf("cart %q, %q", b.get("cart"), b.whoami())
		}
		sessions, err := k.auth.SessionsOf(t.Context(), "3 apples's buyer")
		if err != nil || len(sessions) != 1 {
			t.Errorf("%d sessions of the user that OnLogin named, error %v", len(sessions), err)
		}
		late := k.browser().brings(old) // a request that left before the first answer came
		resp := late.open("/put?key=cart&value=none")
		if len(resp.Cookies()) != 0 || late.get("cart") != "" || late.whoami() != "nobody" || b.get("cart") != "3 apples" {
			t.Errorf("the old cookie: %v, cart %q, %q; cart of the person %q", resp.Cookies(), late.get("cart"), late.whoami(), b.get("cart"))
		}
	})
}

// Somebody whom the app had signed in does not have a visitor's half an hour.
func TestFormer_idle(t *testing.T) {
	rows := []struct {
		name  string
		idle  time.Duration // IdleTimeout of the app as it is now
		renew bool
		after time.Duration
		want  string
	}{
		{"until the deadline", 0, false, 23 * time.Hour, "3 apples"},
		{"not longer", 0, false, 25 * time.Hour, ""},
		{"until the deadline, renewed", 0, true, 23 * time.Hour, "3 apples"},
		{"idle timeout", 2 * time.Hour, false, 110 * time.Minute, "3 apples"},
		{"longer than the idle timeout", 2 * time.Hour, false, 130 * time.Minute, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f := newFormerApp(t)
			sm, sessions := withManager(func(sm *scs.SessionManager) { sm.IdleTimeout = row.idle })
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, sessions, f.with)
				notes(k)
				k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = sm.RenewToken(r.Context()) })
				b := k.browser().brings(f.cart())
				b.open("/whoami")
				if row.renew {
					b.open("/renew")
				}
				ours := b.session()
				time.Sleep(row.after)
				b.setCookie("__Host-rl", ours)
				if got := b.get("cart"); got != row.want {
					t.Errorf("cart: %q, want %q", got, row.want)
				}
			})
		})
	}
}

// ctxFormer is a store whose methods take a context; without one it is not to be called.
type ctxFormer struct{ sync.Map }

func (s *ctxFormer) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	v, ok := s.Load(token)
	b, _ := v.([]byte)
	return b, ok, ctx.Err()
}

func (s *ctxFormer) CommitCtx(ctx context.Context, token string, b []byte, _ time.Time) error {
	s.Store(token, b)
	return ctx.Err()
}

func (s *ctxFormer) DeleteCtx(ctx context.Context, token string) error {
	s.Map.Delete(token)
	return ctx.Err()
}

var errNoContext = errors.New("called without a context")

func (s *ctxFormer) Find(string) ([]byte, bool, error)      { return nil, false, errNoContext }
func (s *ctxFormer) Commit(string, []byte, time.Time) error { return errNoContext }
func (s *ctxFormer) Delete(string) error                    { return errNoContext }

func TestFormer_ctxStore(t *testing.T) {
	store := &ctxFormer{}
	f := newFormerApp(t, func(sm *scs.SessionManager) { sm.Store = store })
	k := newKit(t, f.with)
	notes(k)
	if got := k.browser().brings(f.cart()).get("cart"); got != "3 apples" {
		t.Errorf("cart: %q", got)
	}
	if n := len(maps.Collect(store.Range)); n != 0 {
		t.Errorf("%d old sessions, want none", n)
	}
}
