package redis_test

import (
	"encoding/gob"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	scsredis "github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A move is an app that had its sessions in scs's Redis store, and two replicas of it as it is now, on
// the same server.
type move struct {
	server   *redistest.Server
	before   http.Handler
	replicas []http.Handler
}

// patience is how long Redis may take to answer, on a machine that is busy.
const patience = 20 * time.Second

func newMove(t *testing.T) *move {
	t.Helper()
	gob.Register(time.Time{}) // as an app with scs has to
	m := &move{server: redistest.Start(t)}
	pool, err := redisstore.NewPool(redisstore.Server{URL: m.server.URL(), Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	sessions := scs.New()
	sessions.Store = scsredis.New(pool)
	sessions.Lifetime = 90 * 24 * time.Hour
	m.before = sessions.LoadAndSave(shop(sessions))
	keys := sessionstore.NewKeyring()
	for range 2 {
		m.replicas = append(m.replicas, m.replica(t, pool, keys))
	}
	return m
}

// replica is the app as it is now: Config.Sessions is the manager that it had, Former where it had it.
func (m *move) replica(t *testing.T, pool *redis.Pool, keys sessionstore.Keyring) http.Handler {
	t.Helper()
	sessions := scs.New()
	sessions.Lifetime = 90 * 24 * time.Hour
	store := redisstore.New(pool)
	store.Timeout = patience
	auth, err := middleware.New(middleware.Config{
		BaseURL:   "https://shop.example",
		Providers: []providers.Provider{providers.GitHub("id", "secret")},
		Store:     store,
		Keys:      keys,
		Sessions:  sessions,
		Former:    &middleware.Former{Store: scsredis.New(pool), Cookie: sessions.Cookie},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return auth.Handler(shop(sessions))
}

// shop is the app itself, which did not change.
func shop(sessions *scs.SessionManager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/fill", func(_ http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "who", r.FormValue("who"))
		sessions.Put(r.Context(), "cart", []string{"apples", "pears"})
		sessions.Put(r.Context(), "visits", 41)
		sessions.Put(r.Context(), "since", time.Unix(1700000000, 0).UTC())
	})
	mux.HandleFunc("/add", func(_ http.ResponseWriter, r *http.Request) { sessions.Put(r.Context(), r.FormValue("what"), true) })
	mux.HandleFunc("/show", func(w http.ResponseWriter, r *http.Request) {
		for _, key := range sessions.Keys(r.Context()) {
			fmt.Fprintf(w, "%s=%v;", key, sessions.Get(r.Context(), key))
		}
	})
	return mux
}

// ask sends a request with these cookies, and returns those that the answer leaves.
func ask(t *testing.T, h http.Handler, target string, cookies map[string]string) (int, string, map[string]string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://shop.example"+target, nil)
	left := map[string]string{}
	for name, value := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
		left[name] = value
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		left[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(left, c.Name)
		}
	}
	return w.Code, w.Body.String(), left
}

func (m *move) keys(t *testing.T, pattern string) []string {
	t.Helper()
	keys, err := redis.Strings(m.server.Do(t, "KEYS", pattern), nil)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestFormer moves sessions that the real store of scs has written: every one is kept.
func TestFormer(t *testing.T) {
	const people = 50
	m := newMove(t)
	var cookies []map[string]string
	for i := range people {
		_, _, c := ask(t, m.before, fmt.Sprintf("/fill?who=person-%d", i), nil)
		cookies = append(cookies, c)
	}
	if got := len(m.keys(t, "scs:session:*")); got != people {
		t.Fatalf("%d sessions of scs, want %d", got, people)
	}
	for i, old := range cookies {
		want := fmt.Sprintf("cart=[apples pears];since=2023-11-14 22:13:20 +0000 UTC;visits=41;who=person-%d;", i)
		status, body, c := ask(t, m.replicas[i%2], "/show", old)
		if status != http.StatusOK || body != want {
			t.Fatalf("first touch: %d %q, want %q", status, body, want)
		}
		if c["__Host-rl"] == "" || len(c) != 1 {
			t.Fatalf("first touch: cookies %v, want ours alone", c)
		}
		if n := m.server.Do(t, "EXISTS", "scs:session:"+old["session"]); n != int64(0) {
			t.Fatal("the old key is still there")
		}
		key := "rl:session:" + c["__Host-rl"][:22]
		if ttl, ok := m.server.Do(t, "PTTL", key).(int64); !ok || ttl < 89*86400_000 || ttl > 90*86400_000 {
			t.Fatalf("the new key ends in %d ms, want 90 days", ttl)
		}
		if all := fmt.Sprintf("%s", m.server.Do(t, "HGETALL", key)); strings.Contains(all, "apples") || strings.Contains(all, "person-") {
			t.Fatal("the new record shows what it holds")
		}
		if _, body, _ := ask(t, m.replicas[(i+1)%2], "/show", c); body != want {
			t.Fatalf("second touch: %q, want %q", body, want)
		}
	}
	if old, now := len(m.keys(t, "scs:session:*")), len(m.keys(t, "rl:session:*")); old != 0 || now != people {
		t.Errorf("%d old keys and %d new ones, want 0 and %d", old, now, people)
	}
}

// TestFormer_together opens twenty tabs at two replicas.
func TestFormer_together(t *testing.T) {
	m := newMove(t)
	for range 20 {
		_, _, old := ask(t, m.before, "/fill?who=ada", nil)
		var wg sync.WaitGroup
		var mu sync.Mutex
		given := map[string]bool{}
		var last map[string]string
		for i := range 20 {
			wg.Go(func() {
				status, _, c := ask(t, m.replicas[i%2], fmt.Sprintf("/add?what=tab-%02d", i), old)
				mu.Lock()
				defer mu.Unlock()
				if given[c["__Host-rl"]] = true; status != http.StatusOK {
					t.Errorf("tab %d: status %d", i, status)
				}
				last = c
			})
		}
		wg.Wait()
		_, body, _ := ask(t, m.replicas[0], "/show", last)
		if len(given) != 1 || strings.Count(body, "tab-") != 20 || !strings.Contains(body, "who=ada;") {
			t.Fatalf("%d cookies, and %q", len(given), body)
		}
		if n := m.server.Do(t, "EXISTS", "scs:session:"+old["session"]); n != int64(0) {
			t.Fatal("the old key is still there")
		}
	}
	if got := len(m.keys(t, "rl:session:*")); got != 20 {
		t.Errorf("%d new keys, want 20", got)
	}
}

// TestFormer_redisHangs: nobody is taken for new because nobody answers.
func TestFormer_redisHangs(t *testing.T) {
	m := newMove(t)
	_, _, old := ask(t, m.before, "/fill?who=ada", nil)
	m.server.Stop(t)
	status, _, c := ask(t, m.replicas[0], "/show", old)
	if status != http.StatusServiceUnavailable || c["session"] != old["session"] || len(c) != 1 {
		t.Errorf("status %d, cookies changed: %v, want 503 and the old one", status, c["session"] != old["session"])
	}
	m.server.Continue(t)
	status, body, c := ask(t, m.replicas[1], "/show", old)
	if status != http.StatusOK || !strings.Contains(body, "who=ada;") || c["__Host-rl"] == "" {
		t.Errorf("afterwards: %d %q", status, body)
	}
}
