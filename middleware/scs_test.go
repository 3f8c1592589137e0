package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
)

// withManager hands in a manager that the app made. scs.New starts a goroutine: call it outside of a
// bubble.
func withManager(change ...func(*scs.SessionManager)) (*scs.SessionManager, func(*kit, *middleware.Config)) {
	sm := scs.New()
	for _, f := range change {
		f(sm)
	}
	return sm, func(_ *kit, c *middleware.Config) { c.Sessions = sm }
}

// What handlers do with a manager in requests of one browser, one after the other, and what each answers.
func TestSCS_calls(t *testing.T) {
	type step struct {
		do   func(sm *scs.SessionManager, r *http.Request) any
		want string
	}
	put := func(key string, v any) step {
		return step{func(sm *scs.SessionManager, r *http.Request) any { sm.Put(r.Context(), key, v); return nil }, "<nil>"}
	}
	get := func(key, want string) step {
		return step{func(sm *scs.SessionManager, r *http.Request) any { return sm.Get(r.Context(), key) }, want}
	}
	keys := func(want string) step {
		return step{func(sm *scs.SessionManager, r *http.Request) any { return sm.Keys(r.Context()) }, want}
	}
	call := func(f func(sm *scs.SessionManager, r *http.Request) any, want string) step { return step{f, want} }
	rows := []struct {
		name  string
		steps []step
	}{
		{"Get of nothing", []step{get("a", "<nil>"), keys("[]")}},
		{"Put, Get", []step{put("a", 1), get("a", "1"), put("a", "two"), get("a", "two")}},
		{"Put in two requests", []step{put("a", 1), put("b", 2), keys("[a b]")}},
		{"values of other types", []step{put("n", nil), get("n", "<nil>"), put("b", []byte("x")), get("b", "[120]"), put("d", time.Second), get("d", "1s"), keys("[b d n]")}},
		{"Remove", []step{put("a", 1), put("b", 2), call(func(sm *scs.SessionManager, r *http.Request) any { sm.Remove(r.Context(), "a"); return nil }, "<nil>"), keys("[b]")}},
		{"Remove of nothing", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any { sm.Remove(r.Context(), "x"); return nil }, "<nil>"), keys("[a]")}},
		{"Clear", []step{put("a", 1), put("b", 2), call(func(sm *scs.SessionManager, r *http.Request) any { return sm.Clear(r.Context()) }, "<nil>"), keys("[]")}},
		{"Clear, Put", []step{put("a", 1), put("b", 2), call(func(sm *scs.SessionManager, r *http.Request) any {
			err := sm.Clear(r.Context())
			sm.Put(r.Context(), "c", 3)
			return err
		}, "<nil>"), keys("[c]")}},
		{"Pop", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any { return sm.Pop(r.Context(), "a") }, "1"), get("a", "<nil>")}},
		{"Exists", []step{put("a", nil), call(func(sm *scs.SessionManager, r *http.Request) any { return sm.Exists(r.Context(), "a") }, "true")}},
		{"Destroy", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any { return sm.Destroy(r.Context()) }, "<nil>"), keys("[]")}},
		{"Destroy, Put", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any {
			err := sm.Destroy(r.Context())
			sm.Put(r.Context(), "b", 2)
			return err
		}, "<nil>"), keys("[b]")}},
		{"Put, Destroy", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any {
			sm.Put(r.Context(), "b", 2)
			return sm.Destroy(r.Context())
		}, "<nil>"), keys("[]")}},
		{"RenewToken keeps the values", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any { return sm.RenewToken(r.Context()) }, "<nil>"), keys("[a]")}},
		{"RenewToken, Put", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any {
			err := sm.RenewToken(r.Context())
			sm.Put(r.Context(), "b", 2)
			return err
		}, "<nil>"), keys("[a b]")}},
		{"RenewToken, Destroy", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any {
			return errors.Join(sm.RenewToken(r.Context()), sm.Destroy(r.Context()))
		}, "<nil>"), keys("[]")}},
		{"Commit, then more", []step{call(func(sm *scs.SessionManager, r *http.Request) any {
			sm.Put(r.Context(), "a", 1)
			_, _, err := sm.Commit(r.Context())
			sm.Put(r.Context(), "b", 2)
			return err
		}, "<nil>"), keys("[a b]")}},
		{"Commit of a Destroy", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any {
			_ = sm.Destroy(r.Context())
			_, _, err := sm.Commit(r.Context())
			return err
		}, "<nil>"), keys("[]")}},
		{"Status", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any { return sm.Status(r.Context()) }, fmt.Sprint(scs.Unmodified))}},
		{"Load inside", []step{put("a", 1), call(func(sm *scs.SessionManager, r *http.Request) any {
			ctx, err := sm.Load(r.Context(), "whatever")
			if err != nil {
				return err
			}
			return sm.Get(ctx, "a")
		}, "1")}},
		{"MergeSession", []step{call(func(sm *scs.SessionManager, r *http.Request) any { return sm.MergeSession(r.Context(), "token") }, middleware.ErrUnsupported.Error())}},
		{"Iterate", []step{call(func(sm *scs.SessionManager, r *http.Request) any { return sm.Iterate(r.Context(), nil) }, middleware.ErrUnsupported.Error())}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				sm, with := withManager()
				k := newKit(t, change, with)
				for i, s := range row.steps {
					k.handle(fmt.Sprintf("/%d", i), func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, s.do(sm, r)) })
				}
				b := k.browser()
				for i, s := range row.steps {
					if got := text(b.open(fmt.Sprintf("/%d", i))); got != s.want {
						t.Errorf("request %d: %q, want %q", i, got, s.want)
					}
				}
			})
		})
	}
}

func TestSCS_outside(t *testing.T) {
	sm, with := withManager()
	newKit(t, with)
	if _, err := sm.Load(t.Context(), "token"); !errors.Is(err, middleware.ErrUnsupported) {
		t.Errorf("Load: %v, want ErrUnsupported", err)
	}
	if err := sm.Iterate(t.Context(), nil); !errors.Is(err, middleware.ErrUnsupported) {
		t.Errorf("Iterate: %v, want ErrUnsupported", err)
	}
	ctx, err := sm.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := sm.Commit(ctx); !errors.Is(err, middleware.ErrNoMiddleware) {
		t.Errorf("Commit: %v, want ErrNoMiddleware", err)
	}
}

// A person who is signed in stays so through RenewToken and Clear, and not through Destroy.
func TestSCS_signedIn(t *testing.T) {
	rows := []struct {
		name string
		do   func(sm *scs.SessionManager, r *http.Request)
		who  string
		move bool // the cookie has another value
	}{
		{"Put", func(sm *scs.SessionManager, r *http.Request) { sm.Put(r.Context(), "a", 1) }, "Ada Lovelace", false},
		{"Clear", func(sm *scs.SessionManager, r *http.Request) { _ = sm.Clear(r.Context()) }, "Ada Lovelace", false},
		{"RenewToken", func(sm *scs.SessionManager, r *http.Request) { _ = sm.RenewToken(r.Context()) }, "Ada Lovelace", true},
		{"Clear, RenewToken", func(sm *scs.SessionManager, r *http.Request) {
			_ = sm.Clear(r.Context())
			_ = sm.RenewToken(r.Context())
		}, "Ada Lovelace", true},
		// The two look alike from outside of scs: what ends the session is the safe reading.
		{"RenewToken, Clear", func(sm *scs.SessionManager, r *http.Request) {
			_ = sm.RenewToken(r.Context())
			_ = sm.Clear(r.Context())
		}, "nobody", true},
		{"Destroy", func(sm *scs.SessionManager, r *http.Request) { _ = sm.Destroy(r.Context()) }, "nobody", true},
		{"Destroy, RenewToken", func(sm *scs.SessionManager, r *http.Request) {
			_ = sm.Destroy(r.Context())
			_ = sm.RenewToken(r.Context())
		}, "nobody", true},
		{"RenewToken, Destroy", func(sm *scs.SessionManager, r *http.Request) {
			_ = sm.RenewToken(r.Context())
			_ = sm.Destroy(r.Context())
		}, "nobody", true},
		{"Destroy, Put", func(sm *scs.SessionManager, r *http.Request) {
			_ = sm.Destroy(r.Context())
			sm.Put(r.Context(), "a", 1)
		}, "nobody", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				sm, with := withManager()
				k := newKit(t, change, with)
				notes(k)
				k.handle("/do", func(_ http.ResponseWriter, r *http.Request) { row.do(sm, r) })
				b := k.browser()
				b.signIn("plain", "ada", "/")
				old, id := b.session(), text(b.open("/session"))
				if id != old[:22] {
					t.Errorf("Token is %q, want the session's id", id)
				}
				b.open("/do")
				if got := b.whoami(); got != row.who {
					t.Errorf("signed in as %q, want %q", got, row.who)
				}
				if got := b.session() != old; got != row.move {
					t.Errorf("another cookie: %v, want %v", got, row.move)
				}
				if row.who == "nobody" {
					b.setCookie("__Host-rl", old)
					if got := b.whoami(); got != "nobody" {
						t.Errorf("the cookie from before opens %q", got)
					}
				}
			})
		})
	}
}

// RenewToken: a cookie from before opens nothing and makes none, and the session is the same.
func TestSCS_renewToken(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, with)
			notes(k)
			k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = sm.RenewToken(r.Context()) })
			b, old := k.browser(), k.browser()
			b.signIn("plain", "ada", "/")
			b.put("a", "1")
			id := text(b.open("/session"))
			old.setCookie("__Host-rl", b.session())
			b.open("/renew")
			if b.get("a") != "1" || text(b.open("/session")) != id {
				t.Error("the session is another one")
			}
			resp := old.open("/put?key=b&value=2")
			if len(resp.Cookies()) != 0 || old.whoami() != "nobody" || b.get("b") != "" {
				t.Errorf("the cookie from before: %q, %v", old.whoami(), resp.Header)
			}
			if resp := old.open("/renew"); len(resp.Cookies()) != 0 { // the other tab did it
				t.Errorf("a cookie from before makes another one: %v", resp.Header)
			}
			if b.whoami() != "Ada Lovelace" {
				t.Errorf("the present one opens %q", b.whoami())
			}
		})
	})
}

// A session that was given out at a start, and may be known to somebody else, is not kept by RenewToken.
func TestSCS_renewToken_unborn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		notes(k)
		k.handle("/login", func(_ http.ResponseWriter, r *http.Request) {
			_ = sm.RenewToken(r.Context())
			sm.Put(r.Context(), "user", "ada")
		})
		b := k.browser()
		b.start("plain", "/")
		planted := b.session()
		b.open("/login")
		if got := b.get("user"); got != "ada" {
			t.Errorf("user %q", got)
		}
		b.setCookie("__Host-rl", planted)
		if got := b.get("user"); got != "" {
			t.Errorf("the cookie from before opens %q", got)
		}
	})
}

func TestSCS_cookie(t *testing.T) {
	rows := []struct {
		name    string
		manager func(*scs.SessionManager)
		onLogin func(sm *scs.SessionManager, r *http.Request)
		do      func(sm *scs.SessionManager, r *http.Request)
		maxAge  int // of the last cookie
		strict  bool
	}{
		{"as it is", func(*scs.SessionManager) {}, nil, nil, 24 * 3600, false},
		{"Lifetime", func(sm *scs.SessionManager) { sm.Lifetime = time.Hour }, nil, nil, 3600, false},
		{"Strict", func(sm *scs.SessionManager) { sm.Cookie.SameSite = http.SameSiteStrictMode }, nil, nil, 24 * 3600, true},
		{"not persistent", func(sm *scs.SessionManager) { sm.Cookie.Persist = false }, nil, nil, 0, false},
		{"RememberMe", func(sm *scs.SessionManager) { sm.Cookie.Persist = false }, nil,
			func(sm *scs.SessionManager, r *http.Request) { sm.RememberMe(r.Context(), true) }, 24 * 3600, false},
		{"RememberMe taken back", func(sm *scs.SessionManager) { sm.Cookie.Persist = false },
			func(sm *scs.SessionManager, r *http.Request) { sm.RememberMe(r.Context(), true) },
			func(sm *scs.SessionManager, r *http.Request) { sm.RememberMe(r.Context(), false) }, 0, false},
		{"RememberMe, RenewToken", func(sm *scs.SessionManager) { sm.Cookie.Persist = false },
			func(sm *scs.SessionManager, r *http.Request) { sm.RememberMe(r.Context(), true) },
			func(sm *scs.SessionManager, r *http.Request) { _ = sm.RenewToken(r.Context()) }, 24 * 3600, false},
		{"SetDeadline", func(*scs.SessionManager) {}, nil,
			func(sm *scs.SessionManager, r *http.Request) {
				sm.SetDeadline(r.Context(), time.Now().Add(time.Minute))
			}, 60, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				sm, with := withManager(row.manager)
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, with)
					notes(k)
					k.handle("/first", func(_ http.ResponseWriter, r *http.Request) {
						if row.onLogin != nil {
							row.onLogin(sm, r)
						}
						sm.Put(r.Context(), "a", 1)
					})
					k.handle("/do", func(_ http.ResponseWriter, r *http.Request) { row.do(sm, r) })
					b := k.browser()
					resp := b.open("/first")
					if row.do != nil {
						resp = b.open("/do")
					}
					cs := resp.Cookies()
					if len(cs) != 1 {
						t.Fatalf("cookies %v, want one", cs)
					}
					c := cs[0]
					if c.Name != "__Host-rl" || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly {
						t.Errorf("cookie %q", resp.Header["Set-Cookie"])
					}
					if c.MaxAge != row.maxAge || (c.SameSite == http.SameSiteStrictMode) != row.strict || !row.strict && c.SameSite != http.SameSiteLaxMode {
						t.Errorf("cookie %q, want Max-Age %d, strict %v", resp.Header["Set-Cookie"], row.maxAge, row.strict)
					}
				})
			})
		})
	}
}

// OnLogin: what it puts is saved with the sign-in, RememberMe included; its RenewToken does no harm.
func TestSCS_onLogin(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager(func(sm *scs.SessionManager) { sm.Cookie.Persist = false })
		k := newKit(t, change, with)
		notes(k)
		k.onLogin(func(r loginContext) error {
			if err := sm.RenewToken(r.ctx); err != nil {
				return err
			}
			sm.RememberMe(r.ctx, true)
			sm.Put(r.ctx, "role", "author")
			return nil
		})
		b := k.browser()
		b.put("cart", "full")
		resp := b.back(b.approve(b.start("plain", "/"), "ada"))
		if c := sessionCookies(resp); len(c) != 1 || c[0].MaxAge == 0 {
			t.Errorf("cookies %q, want one that outlives the browser", resp.Header["Set-Cookie"])
		}
		if b.whoami() != "Ada Lovelace" || b.get("role") != "author" || b.get("cart") != "full" {
			t.Errorf("%q, role %q, cart %q", b.whoami(), b.get("role"), b.get("cart"))
		}
	})
}

func TestSCS_deadline(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, with)
			notes(k)
			deadline := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, time.Until(sm.Deadline(r.Context()))) }
			k.handle("/deadline", deadline)
			k.handle("/move", func(w http.ResponseWriter, r *http.Request) {
				sm.SetDeadline(r.Context(), time.Now().Add(time.Hour))
				deadline(w, r)
			})
			b := k.browser()
			b.signIn("plain", "ada", "/")
			for _, step := range []struct{ path, want string }{{"/deadline", "24h0m0s"}, {"/move", "1h0m0s"}, {"/deadline", "1h0m0s"}} {
				if got := text(b.open(step.path)); got != step.want {
					t.Errorf("%s: %s, want %s", step.path, got, step.want)
				}
			}
			time.Sleep(time.Hour)
			if got := b.whoami(); got != "nobody" {
				t.Errorf("after the deadline: %q", got)
			}
		})
	})
}

// LoadAndSave of the same manager: inside it does nothing, around everything it is refused.
func TestSCS_loadAndSave(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		notes(k)
		inner := k.mux
		app := http.NewServeMux()
		app.Handle("/", sm.LoadAndSave(inner))
		app.HandleFunc("/own", func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		})
		k.handler = k.auth.Handler(app)
		b := k.browser()
		resp := b.open("/put?key=a&value=1")
		if cs := resp.Cookies(); len(cs) != 1 || cs[0].Name != "__Host-rl" {
			t.Errorf("cookies %q, want ours alone", resp.Header["Set-Cookie"])
		}
		b.signIn("plain", "ada", "/")
		if b.whoami() != "Ada Lovelace" || b.get("a") != "1" {
			t.Errorf("%q, %q", b.whoami(), b.get("a"))
		}
		if cs := b.open("/own").Cookies(); len(cs) != 1 || cs[0].Name != "theme" {
			t.Errorf("the app's own cookies: %v", cs)
		}
		called := false
		k.handler = sm.LoadAndSave(k.auth.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true })))
		cookie := b.session()
		r := b.request(http.MethodGet, "/", nil)
		for _, c := range r.Cookies() {
			if c.Name == sm.Cookie.Name {
				t.Errorf("a cookie of scs was set: %v", c)
			}
		}
		resp = b.do(r)
		if resp.StatusCode != http.StatusInternalServerError || called || b.session() != cookie || len(resp.Cookies()) != 0 {
			t.Errorf("around: status %d, called %v, %v", resp.StatusCode, called, resp.Header)
		}
		if !strings.Contains(k.log.String(), "reason=outer_load_and_save") || !strings.Contains(k.log.String(), middleware.ErrOuterSession.Error()) {
			t.Errorf("log: %s", k.log)
		}
	})
}

// A value that this program cannot decode is lost to it alone: it survives whatever others write.
func TestSCS_undecodable(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		notes(k)
		k.handle("/keys", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, sm.Keys(r.Context())) })
		k.handle("/clear", func(_ http.ResponseWriter, r *http.Request) { _ = sm.Clear(r.Context()) })
		b := k.browser()
		b.put("a", "1")
		const foreign = "\xfe of a later version"
		k.plant(b, "later", foreign)
		if got := text(b.open("/keys")); got != "[a]" {
			t.Errorf("keys %s, want [a]", got)
		}
		b.put("a", "2")
		b.put("b", "3")
		b.signIn("plain", "ada", "/")
		b.open("/clear")
		if got := text(b.open("/keys")); got != "[]" {
			t.Errorf("keys %s, want []", got)
		}
		if got := k.planted(b, "later"); got != foreign {
			t.Errorf("the value is now %q", got)
		}
		b.put("later", "mine") // whoever writes the key has it
		if got := b.get("later"); got != "mine" {
			t.Errorf("got %q", got)
		}
	})
}

// unregistered is a type that gob does not know.
type unregistered struct{ Name string }

func TestSCS_unregistered(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		notes(k)
		var written error
		k.handle("/bad", func(w http.ResponseWriter, r *http.Request) {
			sm.Put(r.Context(), "good", "x")
			sm.Put(r.Context(), "bad", unregistered{"canary"})
			w.Header().Set("Content-Type", "text/plain")
			_, written = w.Write([]byte("welcome"))
		})
		b := k.browser()
		b.signIn("plain", "ada", "/")
		resp := b.open("/bad")
		if resp.StatusCode != http.StatusInternalServerError || strings.Contains(text(resp), "welcome") || len(resp.Cookies()) != 0 {
			t.Errorf("status %d, %v, %s", resp.StatusCode, resp.Header, text(resp))
		}
		if !errors.Is(written, middleware.ErrNotSaved) {
			t.Errorf("the write returned %v, want ErrNotSaved", written)
		}
		if b.get("good") != "" || b.whoami() != "Ada Lovelace" {
			t.Errorf("good %q, %q: want the session as it was", b.get("good"), b.whoami())
		}
		log := k.log.String()
		if !strings.Contains(log, "unregistered") || strings.Contains(log, "canary") {
			t.Errorf("the log has to name the type and not the value: %s", log)
		}
	})
}

func TestSCS_config(t *testing.T) {
	rows := []struct {
		name string
		set  func(*scs.SessionManager)
		want string
	}{
		{"Domain", func(sm *scs.SessionManager) { sm.Cookie.Domain = "example.com" }, "Sessions.Cookie.Domain"},
		{"Path", func(sm *scs.SessionManager) { sm.Cookie.Path = "/app" }, "Sessions.Cookie.Path"},
		{"SameSite None", func(sm *scs.SessionManager) { sm.Cookie.SameSite = http.SameSiteNoneMode }, "Sessions.Cookie.SameSite"},
		{"Lifetime", func(sm *scs.SessionManager) { sm.Lifetime = 0 }, "Sessions.Lifetime"},
		{"IdleTimeout", func(sm *scs.SessionManager) { sm.IdleTimeout = -1 }, "Sessions.IdleTimeout"},
		{"HashTokenInStore", func(sm *scs.SessionManager) { sm.HashTokenInStore = true }, "Sessions.HashTokenInStore"},
	}
	var all []string
	everything := scs.New()
	for _, row := range rows {
		row.set(everything)
		all = append(all, row.want)
		t.Run(row.name, func(t *testing.T) {
			sm := scs.New()
			row.set(sm)
			_, err := middleware.New(middleware.Config{BaseURL: appURL, Sessions: sm})
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want a mistake in %s", err, row.want)
			}
		})
	}
	_, err := middleware.New(middleware.Config{BaseURL: appURL, Sessions: everything})
	if i := slices.IndexFunc(all, func(s string) bool { return err == nil || !strings.Contains(err.Error(), s) }); i >= 0 {
		t.Errorf("%v does not name %s", err, all[i])
	}
}
