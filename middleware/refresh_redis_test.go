package middleware_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// 112, FAULTS F24 on real Redis: two processes, one refresh for each session, and few commands for those
// who wait.
func TestRefresh_redis(t *testing.T) {
	rows := []struct {
		name     string
		sessions int
		requests int // of each session, at each of two kits
	}{
		{"112 one session", 1, 500},
		{"F24 500 sessions", 500, 5},
	}
	server := redistest.Start(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if testing.Short() {
				row.sessions, row.requests = min(row.sessions, 50), min(row.requests, 50)
			}
			onRedis := func(_ *kit, c *middleware.Config) {
				pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://" + server.Addr})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { pool.Close() })
				store := redisstore.New(pool)
				store.Timeout = 10 * time.Second // of a busy machine
				c.Store = store
			}
			one := newKit(t, withShared, unlogged, onRedis)
			kits := []*kit{one, one.beside(unlogged, onRedis)}
			browsers := make([]*browser, row.sessions)
			for i := range browsers {
				browsers[i] = one.browser()
				browsers[i].signIn("plain", "ada", "/")
			}
			n := row.sessions * row.requests * len(kits)
			// What the machine needs for as many requests at once whose token is good.
			fresh := make([]time.Duration, n)
			together(n, func(i int) {
				began := time.Now()
				kits[i/row.sessions%len(kits)].token(browsers[i%row.sessions], "plain")
				fresh[i] = time.Since(began)
			})
			slices.Sort(fresh)
			const slow = 50 * time.Millisecond
			one.plain.Set(func(b *providertest.Behavior) {
				b.AccessTTL = 3 * time.Hour
				b.Token = providertest.When(providertest.Grant("refresh_token"), providertest.Delay(slow))
			})
			watched := make([]*watched, len(kits))
			for i, k := range kits {
				k.auth.SetNow(func() time.Time { return time.Now().Add(time.Hour) })
				watched[i] = watch(k)
			}
			var mu sync.Mutex
			var took []time.Duration
			given := map[int]string{}
			together(n, func(i int) {
				began := time.Now()
				got := kits[i/row.sessions%len(kits)].token(browsers[i%row.sessions], "plain")
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(began))
				if got.err != nil {
					t.Errorf("session %d: %v", i%row.sessions, got.err)
				}
				if was, ok := given[i%row.sessions]; ok && was != got.access {
					t.Errorf("session %d got two tokens", i%row.sessions)
				}
				given[i%row.sessions] = got.access
			})
			if got := one.refreshes(one.plain); got != row.sessions {
				t.Errorf("%d refreshes, want %d", got, row.sessions)
			}
			commands := 0
			for _, w := range watched {
				commands += w.loads + w.writes("")
			}
			slices.Sort(took)
			each := float64(commands) / float64(n)
			t.Logf("%d requests, %d refreshes, %.2f commands each; p50 %v, p99 %v; with good tokens p50 %v, p99 %v",
				n, row.sessions, each, took[n/2], took[n*99/100], fresh[n/2], fresh[n*99/100])
			if each > 5 {
				t.Errorf("%.2f commands for each request, want at most 5", each)
			}
		})
	}
}
