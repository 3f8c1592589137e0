package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// taking adds a page to k that takes a value.
func taking(k *kit) {
	k.handle("/take", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("look") != "" { // the manager has it decoded
			_ = k.auth.Sessions().Get(r.Context(), "once")
		}
		v, ok, err := middleware.Take(r.Context(), "once")
		fmt.Fprint(w, v, " ", ok, " ", err)
	})
}

// Of many who take one value at one moment, one gets it.
func TestTake_atOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		taking(k)
		b := k.browser()
		b.put("other", "stays")
		const takers = 4
		for i := range trials(t, 500) {
			want := fmt.Sprint(i)
			b.put("once", want)
			got := make([]string, takers)
			requests := make([]*http.Request, takers)
			for j := range takers {
				requests[j] = b.request(http.MethodGet, []string{"/take", "/take?look=1"}[j%2], nil)
			}
			together(takers, func(j int) { got[j] = text(k.serve(requests[j])) })
			won := 0
			for _, g := range got {
				switch g {
				case want + " true <nil>":
					won++
				case "<nil> false <nil>":
				default:
					t.Fatalf("a taker got %q", g)
				}
			}
			if won != 1 {
				t.Fatalf("trial %d: %d takers got the value, want 1: %q", i, won, got)
			}
		}
		if got := b.get("other"); got != "stays" {
			t.Errorf("another value is %q", got)
		}
	})
}

func TestTake(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		w := watch(k)
		notes(k)
		taking(k)
		sm := k.auth.Sessions()
		k.handle("/own", func(w http.ResponseWriter, r *http.Request) {
			sm.Put(r.Context(), "once", "mine")
			v, ok, err := middleware.Take(r.Context(), "once")
			fmt.Fprint(w, v, ok, err, sm.Exists(r.Context(), "once"))
		})
		k.handle("/again", func(w http.ResponseWriter, r *http.Request) {
			v, ok, err := middleware.Take(r.Context(), "once")
			sm.Put(r.Context(), "once", "new")
			fmt.Fprint(w, v, ok, err)
		})
		b := k.browser()
		if got := text(b.open("/take")); got != "<nil> false <nil>" || len(b.cookies()) != 0 {
			t.Errorf("without a session: %q, cookies %v", got, b.cookies())
		}
		if got := text(b.open("/own")); got != "minetrue <nil> false" {
			t.Errorf("what the request itself has put: %q", got)
		}
		b.put("once", "1")
		if got := text(b.open("/again")); got != "1true <nil>" {
			t.Errorf("take, then put: %q", got)
		}
		if got := text(b.open("/take")); got != "new true <nil>" {
			t.Errorf("what was put after a take: %q", got)
		}
		k.handle("/over", func(w http.ResponseWriter, r *http.Request) {
			sm.Put(r.Context(), "once", "own")
			v, ok, err := middleware.Take(r.Context(), "once")
			fmt.Fprint(w, v, ok, err)
		})
		k.handle("/removed", func(w http.ResponseWriter, r *http.Request) {
			sm.Remove(r.Context(), "once")
			v, ok, err := middleware.Take(r.Context(), "once")
			fmt.Fprint(w, v, ok, err)
		})
		b.put("once", "1")
		if got := text(b.open("/over")); got != "owntrue <nil>" || b.get("once") != "" {
			t.Errorf("what the request has put over another value: %q, and %q is left", got, b.get("once"))
		}
		b.put("once", "1")
		if got := text(b.open("/removed")); got != "<nil> false <nil>" || b.get("once") != "" {
			t.Errorf("what the request has removed: %q, and %q is left", got, b.get("once"))
		}
		b.put("once", "2")
		w.down(true)
		if resp := b.open("/take"); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("store down: status %d", resp.StatusCode)
		}
		down := false
		w.on(func(op string, _ sessionstore.Key) error {
			if op == "update" && !down {
				down = true
				return errors.New("broken")
			}
			return nil
		})
		if got := text(b.open("/take")); got != "<nil> false middleware: store: middleware: session: broken" {
			t.Errorf("store fails at the take: %q", got)
		}
		if got := text(b.open("/take")); got != "2 true <nil>" {
			t.Errorf("after that: %q", got)
		}
		if _, _, err := middleware.Take(t.Context(), "once"); !errors.Is(err, middleware.ErrNoMiddleware) {
			t.Errorf("without middleware: %v", err)
		}
	})
}

// A value that this program cannot read is taken from nobody.
func TestTake_undecodable(t *testing.T) {
	k := newKit(t)
	notes(k)
	taking(k)
	b := k.browser()
	b.put("a", "1")
	k.plant(b, "once", "\xfe\xfe")
	if got := text(b.open("/take")); got != "<nil> false <nil>" || !strings.Contains(k.log.String(), "reason=value ") {
		t.Errorf("got %q; log:\n%s", got, k.log)
	}
	if got := k.planted(b, "once"); got != "\xfe\xfe" {
		t.Errorf("the value is %q, want it as it was", got)
	}
}

// plant writes a raw value into the session of b, as another version of the app might.
func (k *kit) plant(b *browser, key, frame string) {
	k.t.Helper()
	err := k.auth.Store().Update(k.t.Context(), b.record(), sessionstore.Change{Set: []sessionstore.Field{{Name: "v:" + key, Value: frame, Version: 77}}})
	if err != nil {
		k.t.Fatal(err)
	}
}

// planted returns the raw value.
func (k *kit) planted(b *browser, key string) string {
	k.t.Helper()
	rec, err := k.auth.Store().Load(k.t.Context(), b.record())
	if err != nil {
		k.t.Fatal(err)
	}
	f, _ := rec.Field("v:" + key)
	return f.Value
}

// record returns the key of the session's record.
func (b *browser) record() sessionstore.Key {
	return sessionstore.Key{Kind: "session", ID: b.session()[:22]}
}

// Two requests of one session that write different keys both win.
func TestWrites_differentKeys(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, guests(1<<30)) // however many trials
		notes(k)
		const writers = 4
		for range trials(t, 200) {
			b := k.browser()
			b.start("plain", "/") // a cookie, and nothing stored: the record itself is raced for
			requests := make([]*http.Request, writers)
			for i := range writers {
				requests[i] = b.request(http.MethodGet, fmt.Sprintf("/put?key=k%d&value=%d", i, i), nil)
			}
			together(writers, func(i int) { k.serve(requests[i]) })
			for i := range writers {
				if got := b.get(fmt.Sprintf("k%d", i)); got != fmt.Sprint(i) {
					t.Fatalf("key %d is %q: a write was lost; %s", i, got, k.log)
				}
			}
		}
	})
}

// A request that writes while another one signs out revives nothing.
func TestWrites_logoutAtOnce(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		notes(k)
		b := k.browser()
		const writers = 3
		for i := range trials(t, 100) {
			b.signIn("plain", "ada", "/")
			requests := []*http.Request{b.request(http.MethodPost, "/auth/logout", nil)}
			requests[0].Header.Set("Origin", appURL)
			for range writers {
				requests = append(requests, b.request(http.MethodGet, fmt.Sprintf("/put?key=k&value=%d", i), nil))
			}
			key := b.record()
			together(len(requests), func(i int) { k.serve(requests[i]) })
			if _, err := k.auth.Store().Load(t.Context(), key); !errors.Is(err, sessionstore.ErrNotFound) {
				t.Fatalf("trial %d: the session is back: %v", i, err)
			}
			if got := b.whoami(); got != "nobody" {
				t.Fatalf("trial %d: %q", i, got)
			}
			b.setCookie("__Host-rl", "")
		}
	})
}

// A slow request that loaded its session before it ended, or before somebody signed in to it.
func TestSlowRequest(t *testing.T) {
	writes := map[string]func(k *kit, r *http.Request){
		"Put":        func(k *kit, r *http.Request) { k.auth.Sessions().Put(r.Context(), "slow", "1") },
		"RenewToken": func(k *kit, r *http.Request) { _ = k.auth.Sessions().RenewToken(r.Context()) },
		"RenewToken, Put": func(k *kit, r *http.Request) {
			_ = k.auth.Sessions().RenewToken(r.Context())
			k.auth.Sessions().Put(r.Context(), "slow", "1")
		},
		"RememberMe": func(k *kit, r *http.Request) { k.auth.Sessions().RememberMe(r.Context(), true) },
		"SetDeadline": func(k *kit, r *http.Request) {
			sm := k.auth.Sessions()
			sm.SetDeadline(r.Context(), sm.Deadline(r.Context()).Add(-1e12))
		},
		"SavePage": func(_ *kit, r *http.Request) { _ = middleware.SavePage(r.Context(), "page") },
		"RenewToken, Clear": func(k *kit, r *http.Request) {
			sm := k.auth.Sessions()
			_ = sm.Clear(r.Context())
			_ = sm.RenewToken(r.Context())
		},
	}
	meanwhile := []struct {
		name  string
		leave func(b *browser)
		do    func(b *browser)
		who   string
	}{
		{"sign-out", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.post("/auth/logout", nil) }, "nobody"},
		{"sign-out of nobody", func(b *browser) { b.put("k", "v") }, func(b *browser) { b.post("/auth/logout", nil) }, "nobody"},
		{"sign-in", func(b *browser) { b.put("k", "v") }, func(b *browser) { b.signIn("plain", "ada", "/") }, "Ada Lovelace"},
		{"sign-in as another", func(b *browser) { b.signIn("plain", "grace", "/") }, func(b *browser) { b.signIn("plain", "ada", "/") }, "Ada Lovelace"},
		{"RenewToken", func(b *browser) { b.signIn("plain", "ada", "/") }, func(b *browser) { b.open("/renew") }, "Ada Lovelace"},
		{"sign-out, then the same id again", func(b *browser) { b.start("plain", "/"); b.put("k", "v") }, func(b *browser) {
			cookie := b.session() // of a start: nothing is stored for it, so it can begin anew
			b.post("/auth/logout", nil)
			b.setCookie("__Host-rl", cookie)
			b.put("k", "v")
		}, "nobody"},
	}
	for what, write := range writes {
		for _, row := range meanwhile {
			t.Run(row.name+" meanwhile: "+what, func(t *testing.T) {
				eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					k := newKit(t, change)
					notes(k)
					k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = k.auth.Sessions().RenewToken(r.Context()) })
					arrived, release := make(chan struct{}), make(chan struct{})
					var saw atomic.Pointer[string]
					k.handle("/slow", func(w http.ResponseWriter, r *http.Request) {
						before, _ := middleware.User(r.Context())
						close(arrived)
						<-release
						write(k, r)
						err := middleware.Save(r.Context())
						after, _ := middleware.User(r.Context())
						s := fmt.Sprintf("%v %v %v", before == nil, after == nil, err)
						saw.Store(&s)
					})
					b := k.browser()
					row.leave(b)
					old := b.session()
					slow := b.request(http.MethodGet, "/slow", nil)
					var resp *http.Response
					var done sync.WaitGroup
					done.Go(func() { resp = k.serve(slow) })
					<-arrived
					row.do(b)
					cookie := b.session()
					close(release)
					done.Wait()
					if got := resp.Header["Set-Cookie"]; len(got) != 0 {
						t.Errorf("the slow request sets a cookie: %q", got)
					}
					b.keep(resp)
					if b.session() != cookie || b.whoami() != row.who {
						t.Errorf("afterwards %q, want %q; cookie changed: %v", b.whoami(), row.who, b.session() != cookie)
					}
					if got := b.get("slow"); got != "" && strings.HasPrefix(row.name, "sign-out") {
						t.Errorf("%q was written into another session", got)
					}
					if s := *saw.Load(); s[:5] == "true " && s[5:10] == "false" {
						t.Errorf("a request of nobody saw a user after its Save: %s", s)
					}
					if old == cookie || row.name == "RenewToken" {
						return
					}
					thief := k.browser()
					thief.setCookie("__Host-rl", old)
					if got := thief.whoami(); got != "nobody" {
						t.Errorf("the cookie from before opens %q", got)
					}
				})
			})
		}
	}
}

// A request whose cookie was replaced while it worked takes nothing that was put since, saved by then or not.
func TestTake_putSince(t *testing.T) {
	for _, saves := range []bool{false, true} {
		t.Run(fmt.Sprint("saves before: ", saves), func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				notes(k)
				victim, mallory := k.browser(), k.browser()
				victim.put("gift", "old")
				mallory.setCookie("__Host-rl", victim.session())
				k.handle("POST /late", func(_ http.ResponseWriter, r *http.Request) {
					victim.signIn("plain", "ada", "/")
					victim.put("gift", "new")
					if saves {
						k.auth.Sessions().Put(r.Context(), "a", "1")
						if err := middleware.Save(r.Context()); err != nil {
							t.Error(err)
						}
					}
					v, ok, err := middleware.Take(r.Context(), "gift")
					if ok || v != nil || !errors.Is(err, middleware.ErrNotSaved) {
						t.Errorf("it takes %v, %t, %v", v, ok, err)
					}
				})
				mallory.post("/late", nil)
				if got := victim.get("gift"); got != "new" {
					t.Errorf("what is left is %q", got)
				}
			})
		})
	}
}
