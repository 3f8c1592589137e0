package sql_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// seen is a store that remembers which records were made.
type seen struct {
	sessionstore.Store
	mu   sync.Mutex
	keys map[sessionstore.Key]bool
}

func (s *seen) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	s.mu.Lock()
	s.keys[k] = true
	s.mu.Unlock()
	return s.Store.Update(ctx, k, c)
}

// signIn returns the records that one person leaves who has put ten strings of forty bytes into the
// session and signed in with OpenID Connect, sealed, by kind; and as "guest" the session before that.
func signIn(t *testing.T) map[string]sessionstore.Record {
	t.Helper()
	idp := providertest.New(providertest.Config{Issuer: "https://idp.example"})
	store := &seen{Store: &sessionstore.Memory{}, keys: map[sessionstore.Key]bool{}}
	auth, err := middleware.New(middleware.Config{
		BaseURL:    "https://app.example",
		Providers:  []providers.Provider{idp.OIDC("idp")},
		Store:      store,
		Keys:       sessionstore.NewKeyring(),
		Logger:     slog.New(slog.DiscardHandler),
		HTTPClient: &http.Client{Transport: idp.Transport()},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for i := range 10 {
			auth.Sessions().Put(r.Context(), fmt.Sprintf("key-%d", i), strings.Repeat("x", 40))
		}
	}))
	cookies := map[string]string{}
	open := func(target string) string { return ask(h, cookies, target).Header().Get("Location") }
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	open("https://app.example/")
	records := map[string]sessionstore.Record{}
	for k := range store.keys {
		if k.Kind != "session" {
			continue
		}
		if records["guest"], err = store.Store.Load(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	to := open("https://app.example/auth/idp/login?return_to=/")
	back, err := idp.Approve(t.Context(), &http.Client{Transport: idp.Transport(), Jar: jar}, to, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if got := open(back); got != "/" {
		t.Fatalf("landed at %q, want /", got)
	}
	for k := range store.keys {
		if records[k.Kind], err = store.Store.Load(t.Context(), k); err != nil {
			t.Fatalf("%s: %v", k.Kind, err)
		}
	}
	return records
}

// copies makes n records like r.
func copies(t *testing.T, s sessionstore.Store, kind string, r sessionstore.Record, n int) {
	t.Helper()
	c := sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: time.Now().Add(24 * time.Hour)}
	for f := range r.All() {
		c.Set = append(c.Set, f)
	}
	for i := range n {
		if err := s.Update(t.Context(), sessionstore.Key{Kind: kind, ID: fmt.Sprintf("%022d", i)}, c); err != nil {
			t.Fatal(err)
		}
	}
}

// sizes are what is measured: kinds of records, and the session before its person has signed in.
var sizes = []string{"session", "guest", "account", "index", "person", "redemption"}

// TestSize measures what docs/operating.md says about sizes:
//
//	go test -v -run TestSize ./sql
func TestSize(t *testing.T) {
	const n, most = 10_000, 10 << 10 // a session of more than 10 KB is a mistake
	records := signIn(t)
	for _, kind := range sizes {
		if _, ok := records[kind]; !ok {
			t.Fatalf("no record %q", kind)
		}
		t.Logf("%-10s  %5d bytes sealed", kind, records[kind].Size())
	}
	report := func(where string, bytes int64) {
		t.Helper()
		t.Logf("%-10s  %5d bytes each of %d sessions", where, bytes/n, n)
		if bytes/n > most || bytes/n < int64(records["session"].Size())/2 {
			t.Errorf("%s: %d bytes each, want at most %d", where, bytes/n, most)
		}
	}

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := &sessionstore.Memory{}
	copies(t, m, "session", records["session"], n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	report("Memory", int64(after.HeapAlloc)-int64(before.HeapAlloc))
	runtime.KeepAlive(m)

	pool := redisPool(t)
	s := redisstore.New(pool)
	c := pool.Get()
	defer c.Close()
	used := func() int64 {
		info, err := redis.String(c.Do("INFO", "memory"))
		if err != nil {
			t.Fatal(err)
		}
		var b int64
		for line := range strings.Lines(info) {
			fmt.Sscanf(line, "used_memory:%d", &b)
		}
		return b
	}
	empty := used()
	copies(t, s, "session", records["session"], n)
	report("Redis", used()-empty)
	for _, kind := range sizes {
		if kind != "session" {
			copies(t, s, kind, records[kind], 1)
		}
		b, err := redis.Int(c.Do("MEMORY", "USAGE", fmt.Sprintf("rl:%s:%022d", kind, 0), "SAMPLES", 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-10s  %5d bytes by MEMORY USAGE", kind, b)
	}

	file := sqliteFile(t)
	db := openSQLite(t, file+wal+quick)
	copies(t, newStore(t, db), "session", records["session"], n)
	if _, err := db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	report("SQLite", info.Size())
}
