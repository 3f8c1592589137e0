package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// scsApp is a kit whose manager was handed in, with the addresses that scs's own tests have.
func scsApp(t *testing.T, sm *scs.SessionManager, change ...func(*kit, *middleware.Config)) (*kit, *browser) {
	k := newKit(t, append(change, func(_ *kit, c *middleware.Config) { c.Sessions = sm })...)
	k.handle("/put", func(_ http.ResponseWriter, r *http.Request) { sm.Put(r.Context(), "foo", "bar") })
	k.handle("/put-remember-true", func(_ http.ResponseWriter, r *http.Request) {
		sm.RememberMe(r.Context(), true)
		sm.Put(r.Context(), "foo", "bar")
	})
	k.handle("/put-remember-false", func(_ http.ResponseWriter, r *http.Request) {
		sm.RememberMe(r.Context(), false)
		sm.Put(r.Context(), "foo", "bar")
	})
	k.handle("/get", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, sm.Get(r.Context(), "foo")) })
	k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
		if err := sm.RenewToken(r.Context()); err != nil {
			t.Error(err)
		}
	})
	k.handle("/destroy", func(_ http.ResponseWriter, r *http.Request) {
		if err := sm.Destroy(r.Context()); err != nil {
			t.Error(err)
		}
	})
	return k, k.browser()
}

// What the tests of scs's session_test.go name. A row that begins with "meant" is one of the differences that
// docs/coming-from.md lists.
func TestSCS_named(t *testing.T) {
	set := func(resp *http.Response) string { return strings.Join(resp.Header["Set-Cookie"], "\n") }
	rows := []struct {
		name    string
		manager func(*scs.SessionManager)
		do      func(t *testing.T, k *kit, b *browser, pass func(time.Duration))
	}{
		{"Enable", nil, func(t *testing.T, _ *kit, b *browser, _ func(time.Duration)) {
			b.open("/put")
			token := b.session()
			if resp := b.open("/get"); text(resp) != "bar" || set(resp) != "" {
				t.Errorf("get: %q, sets %q", text(resp), set(resp))
			}
			b.open("/put")
			if b.session() != token {
				t.Error("want tokens to be the same")
			}
		}},
		{"meant: Enable, no second Set-Cookie", nil, func(t *testing.T, _ *kit, b *browser, _ func(time.Duration)) {
			b.open("/put")
			if got := set(b.open("/put")); got != "" {
				t.Errorf("it sets %q", got)
			}
		}},
		{"meant: the cookie's name", nil, func(t *testing.T, _ *kit, b *browser, _ func(time.Duration)) {
			if got := set(b.open("/put")); !strings.HasPrefix(got, "__Host-rl=") || !strings.Contains(got, "Secure") || !strings.Contains(got, "HttpOnly") {
				t.Errorf("it sets %q", got)
			}
		}},
		{"Lifetime", func(sm *scs.SessionManager) { sm.Lifetime = 500 * time.Millisecond }, func(t *testing.T, _ *kit, b *browser, pass func(time.Duration)) {
			b.open("/put")
			cookie := b.session()
			if got := text(b.open("/get")); got != "bar" {
				t.Errorf("%q", got)
			}
			pass(time.Second)
			b.setCookie("__Host-rl", cookie) // a browser would have forgotten it
			if got := text(b.open("/get")); got != "<nil>" {
				t.Errorf("%q after the lifetime", got)
			}
		}},
		{"IdleTimeout", func(sm *scs.SessionManager) { sm.IdleTimeout, sm.Lifetime = 20*time.Minute, time.Hour }, func(t *testing.T, _ *kit, b *browser, pass func(time.Duration)) {
			b.open("/put")
			pass(10 * time.Minute)
			b.open("/get")
			pass(15 * time.Minute)
			if got := text(b.open("/get")); got != "bar" {
				t.Errorf("%q while in use", got)
			}
			pass(20 * time.Minute)
			if got := text(b.open("/get")); got != "<nil>" {
				t.Errorf("%q after the idle timeout", got)
			}
		}},
		{"IdleTimeout, of a moment", func(sm *scs.SessionManager) { sm.IdleTimeout = 200 * time.Millisecond }, func(t *testing.T, _ *kit, b *browser, pass func(time.Duration)) {
			b.open("/put")
			for range 10 {
				pass(150 * time.Millisecond)
				if got := text(b.open("/get")); got != "bar" {
					t.Fatalf("%q while in use", got)
				}
			}
			pass(200 * time.Millisecond)
			if got := text(b.open("/get")); got != "<nil>" {
				t.Errorf("%q after the idle timeout", got)
			}
		}},
		{"meant: IdleTimeout, longer than AnonymousIdle", func(sm *scs.SessionManager) { sm.IdleTimeout = 5 * time.Hour }, func(t *testing.T, _ *kit, b *browser, pass func(time.Duration)) {
			b.open("/put")
			pass(30 * time.Minute)
			if got := text(b.open("/get")); got != "<nil>" {
				t.Errorf("%q", got)
			}
		}},
		{"Destroy", nil, func(t *testing.T, _ *kit, b *browser, _ func(time.Duration)) {
			b.open("/put")
			got := set(b.open("/destroy"))
			for _, want := range []string{"__Host-rl=;", "Expires=Thu, 01 Jan 1970 00:00:01 GMT", "Max-Age=0"} {
				if !strings.Contains(got, want) {
					t.Errorf("it sets %q, want %q", got, want)
				}
			}
			if got := text(b.open("/get")); got != "<nil>" {
				t.Errorf("%q", got)
			}
		}},
		{"RenewToken", nil, func(t *testing.T, _ *kit, b *browser, _ func(time.Duration)) {
			b.open("/put")
			token := b.session()
			b.open("/renew")
			if b.session() == token {
				t.Error("token has not changed")
			}
			if got := text(b.open("/get")); got != "bar" {
				t.Errorf("%q", got)
			}
			b.setCookie("__Host-rl", token)
			if got := text(b.open("/get")); got != "<nil>" {
				t.Errorf("the old token opens %q", got)
			}
		}},
		{"RememberMe", func(sm *scs.SessionManager) { sm.Cookie.Persist = false }, func(t *testing.T, _ *kit, b *browser, _ func(time.Duration)) {
			for _, step := range []struct {
				path    string
				persist bool
			}{{"/put", false}, {"/put-remember-true", true}, {"/put-remember-false", false}} {
				got := set(b.open(step.path))
				if strings.Contains(got, "Max-Age=") != step.persist || strings.Contains(got, "Expires=") != step.persist {
					t.Errorf("%s sets %q, want Max-Age and Expires: %t", step.path, got, step.persist)
				}
			}
		}},
		{"meant: Iterate", nil, func(t *testing.T, k *kit, b *browser, _ func(time.Duration)) {
			b.open("/put")
			if err := k.auth.Sessions().Iterate(context.Background(), func(context.Context) error { return nil }); !errors.Is(err, middleware.ErrUnsupported) {
				t.Errorf("%v", err)
			}
		}},
		{"Flusher, Hijacker", nil, func(t *testing.T, k *kit, b *browser, _ func(time.Duration)) {
			k.handle("/is", func(w http.ResponseWriter, _ *http.Request) {
				_, flusher := w.(http.Flusher)
				_, hijacker := w.(http.Hijacker)
				fmt.Fprint(w, flusher, hijacker)
			})
			if got := text(b.open("/is")); got != "true true" {
				t.Errorf("%s", got)
			}
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			managers := []*scs.SessionManager{} // scs.New starts a goroutine: outside of a bubble
			for range 3 {
				sm := scs.New()
				if row.manager != nil {
					row.manager(sm)
				}
				managers = append(managers, sm)
			}
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				sm := managers[0]
				managers = managers[1:]
				k, b := scsApp(t, sm, change)
				if strings.Contains(row.name, "IdleTimeout") && strings.HasSuffix(t.Name(), "/redis") {
					// The store's clock, which nobody moves, decides when it ends: it has to know when.
					b.open("/put")
					sid, _, _ := strings.Cut(b.session(), ".")
					if got := k.ends(sid); got > min(sm.IdleTimeout, 30*time.Minute) {
						t.Errorf("the record lasts for %v", got)
					}
					return
				}
				row.do(t, k, b, at(k))
			})
		})
	}
}

// ends returns how long the record of a session lasts.
func (k *kit) ends(sid string) time.Duration {
	k.t.Helper()
	rec, err := k.store.Load(k.t.Context(), sessionstore.Key{Kind: "session", ID: sid})
	if err != nil {
		k.t.Fatal(err)
	}
	return time.Until(rec.Expires)
}

// What the tests of scs's data_test.go name, each in requests of its own: what is put in one is there in the
// next.
func TestSCS_namedData(t *testing.T) {
	now := time.Date(2026, 12, 1, 13, 0, 0, 123456789, time.UTC)
	values := map[string]any{
		"string": "bar", "bool": true, "int": 123, "int32": int32(-7), "int64": int64(1 << 40), "float": 123.456, "bytes": []byte("bar"), "time": now,
	}
	sm := scs.New()
	type call func(ctx context.Context) any
	rows := []struct {
		name string
		do   call
		want any
		then any // what Get returns in the next request
	}{
		{"Get", func(ctx context.Context) any { return sm.Get(ctx, "string") }, "bar", "bar"},
		{"GetString", func(ctx context.Context) any { return sm.GetString(ctx, "string") }, "bar", "bar"},
		{"GetString of nothing", func(ctx context.Context) any { return sm.GetString(ctx, "baz") }, "", "bar"},
		{"GetBool", func(ctx context.Context) any { return sm.GetBool(ctx, "bool") }, true, "bar"},
		{"GetBool of nothing", func(ctx context.Context) any { return sm.GetBool(ctx, "baz") }, false, "bar"},
		{"GetInt", func(ctx context.Context) any { return sm.GetInt(ctx, "int") }, 123, "bar"},
		{"GetInt of nothing", func(ctx context.Context) any { return sm.GetInt(ctx, "baz") }, 0, "bar"},
		{"GetInt32", func(ctx context.Context) any { return sm.GetInt32(ctx, "int32") }, int32(-7), "bar"},
		{"GetInt64", func(ctx context.Context) any { return sm.GetInt64(ctx, "int64") }, int64(1 << 40), "bar"},
		{"GetFloat", func(ctx context.Context) any { return sm.GetFloat(ctx, "float") }, 123.456, "bar"},
		{"GetFloat of nothing", func(ctx context.Context) any { return sm.GetFloat(ctx, "baz") }, 0.0, "bar"},
		{"GetBytes", func(ctx context.Context) any { return string(sm.GetBytes(ctx, "bytes")) }, "bar", "bar"},
		{"GetBytes of nothing", func(ctx context.Context) any { return sm.GetBytes(ctx, "baz") == nil }, true, "bar"},
		{"GetTime", func(ctx context.Context) any { return sm.GetTime(ctx, "time").Equal(now) }, true, "bar"},
		{"GetTime of nothing", func(ctx context.Context) any { return sm.GetTime(ctx, "baz").IsZero() }, true, "bar"},
		{"Put", func(ctx context.Context) any { sm.Put(ctx, "string", "baz"); return sm.Get(ctx, "string") }, "baz", "baz"},
		{"Pop", func(ctx context.Context) any { return sm.Pop(ctx, "string") }, "bar", nil},
		{"PopString", func(ctx context.Context) any { return sm.PopString(ctx, "string") }, "bar", nil},
		{"PopString of nothing", func(ctx context.Context) any { return sm.PopString(ctx, "baz") }, "", "bar"},
		{"PopBool", func(ctx context.Context) any { return sm.PopBool(ctx, "bool") }, true, "bar"},
		{"PopInt", func(ctx context.Context) any { return sm.PopInt(ctx, "int") }, 123, "bar"},
		{"PopFloat", func(ctx context.Context) any { return sm.PopFloat(ctx, "float") }, 123.456, "bar"},
		{"PopBytes", func(ctx context.Context) any { return string(sm.PopBytes(ctx, "bytes")) }, "bar", "bar"},
		{"PopTime", func(ctx context.Context) any { return sm.PopTime(ctx, "time").Equal(now) }, true, "bar"},
		{"Remove", func(ctx context.Context) any { sm.Remove(ctx, "string"); return sm.Get(ctx, "string") }, nil, nil},
		{"Clear", func(ctx context.Context) any { return sm.Clear(ctx) }, nil, nil},
		{"Clear of nothing", func(ctx context.Context) any { return errors.Join(sm.Clear(ctx), sm.Clear(ctx)) }, nil, nil},
		{"Exists", func(ctx context.Context) any { return sm.Exists(ctx, "string") && !sm.Exists(ctx, "baz") }, true, "bar"},
		{"Keys", func(ctx context.Context) any {
			return slices.IsSorted(sm.Keys(ctx)) && len(sm.Keys(ctx)) == len(values)
		}, true, "bar"},
		{"Status, unmodified", func(ctx context.Context) any { return sm.Status(ctx) }, scs.Unmodified, "bar"},
		{"Status, modified", func(ctx context.Context) any { sm.Put(ctx, "other", 1); return sm.Status(ctx) }, scs.Modified, "bar"},
		{"Status, destroyed", func(ctx context.Context) any { _ = sm.Destroy(ctx); return sm.Status(ctx) }, scs.Destroyed, nil},
		{"Load in a context that has a session", func(ctx context.Context) any {
			in, err := sm.Load(ctx, "token")
			return err == nil && in == ctx
		}, true, "bar"},
		{"meant: Load outside of a request", func(context.Context) any {
			_, err := sm.Load(context.Background(), "token")
			return errors.Is(err, middleware.ErrUnsupported)
		}, true, "bar"},
		{"Commit", func(ctx context.Context) any {
			sm.Put(ctx, "string", "baz")
			_, expiry, err := sm.Commit(ctx)
			return err == nil && expiry.After(time.Now())
		}, true, "baz"},
		{"meant: MergeSession", func(ctx context.Context) any {
			return errors.Is(sm.MergeSession(ctx, "token"), middleware.ErrUnsupported)
		}, true, "bar"},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm = scs.New()
		k := newKit(t, change, func(_ *kit, c *middleware.Config) { c.Sessions = sm })
		var do call
		var got any
		k.handle("/fill", func(_ http.ResponseWriter, r *http.Request) {
			for key, v := range values {
				sm.Put(r.Context(), key, v)
			}
		})
		k.handle("/do", func(_ http.ResponseWriter, r *http.Request) { got = do(r.Context()) })
		for _, row := range rows {
			b := k.browser()
			b.open("/fill")
			do = row.do
			if b.open("/do"); got != row.want {
				t.Errorf("%s: %v, want %v", row.name, got, row.want)
			}
			do = func(ctx context.Context) any { return sm.Get(ctx, "string") }
			if b.open("/do"); got != row.then {
				t.Errorf("%s: in the next request %v, want %v", row.name, got, row.then)
			}
		}
	})
}

// SessionDataFromContext: a context that did not pass the middleware has no session.
func TestSCS_namedNoSession(t *testing.T) {
	sm, with := withManager()
	newKit(t, with)
	defer func() {
		if recover() == nil {
			t.Error("it does not panic")
		}
	}()
	sm.Get(context.Background(), "foo")
}
