package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/FZambia/sentinel"
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// A watch is a master, two replicas, and three Sentinels that watch over them.
type watch struct {
	master    *redistest.Server
	replicas  []*redistest.Server
	sentinels []*redistest.Server
}

func startWatch(t *testing.T) *watch {
	t.Helper()
	w := &watch{master: redistest.Start(t)}
	for range 2 {
		w.replicas = append(w.replicas, redistest.Start(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(w.master.Port)))
	}
	for _, r := range w.replicas {
		r.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "master_link_status:up") }, "INFO", "replication")
	}
	for range 3 {
		w.sentinels = append(w.sentinels, redistest.StartSentinel(t, fmt.Sprintf(
			"sentinel monitor app 127.0.0.1 %d 2\nsentinel down-after-milliseconds app 1000\nsentinel failover-timeout app 6000\n", w.master.Port)))
	}
	for _, s := range w.sentinels {
		s.AwaitFunc(t, func(info string) bool {
			return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=2,sentinels=3")
		}, "INFO", "sentinel")
	}
	return w
}

// store returns a store behind the Sentinels, as an app makes it.
func (w *watch) store(t *testing.T) (*redisstore.Store, *redis.Pool) {
	t.Helper()
	guide := &sentinel.Sentinel{
		MasterName: "app",
		Dial: func(addr string) (redis.Conn, error) {
			return redisstore.Server{URL: "redis://" + addr, Timeout: 500 * time.Millisecond}.Dial(context.Background(), "")
		},
	}
	for _, s := range w.sentinels {
		guide.Addrs = append(guide.Addrs, s.Addr)
	}
	t.Cleanup(func() { guide.Close() })
	pool, err := redisstore.NewPool(redisstore.Server{
		URL:     "redis://",
		Address: func(context.Context) (string, error) { return guide.MasterAddr() },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return redisstore.New(pool), pool
}

func TestSentinel(t *testing.T) {
	w := startWatch(t)
	store, _ := w.store(t)
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) sessionstore.Store { return store })
	})
	t.Run("F15 failover", func(t *testing.T) {
		load := newLoad(t, store, 200, w.master)
		load.survive(t, w.master.Kill, func() bool { return len(masters(w.replicas)) == 1 })
	})
	// What comes back is a replica of the new master, and nobody writes to it.
	t.Run("F15 the old master returns", func(t *testing.T) {
		w.master.Restart(t)
		w.master.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "role:slave") }, "INFO", "replication")
		if err := store.Update(t.Context(), sessionstore.Key{Kind: "session", ID: "new"}, create("1")); err != nil {
			t.Error(err)
		}
	})
}

// F16: a master that was demoted without a word refuses changes; its connections are given up, and
// the next ones lead to the new master.
func TestDemoted(t *testing.T) {
	old := redistest.Start(t)
	next := redistest.Start(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(old.Port))
	next.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "master_link_status:up") }, "INFO", "replication")
	master := old.Addr
	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://", Address: func(context.Context) (string, error) { return master, nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := redisstore.New(pool)
	k := sessionstore.Key{Kind: "session", ID: "demoted"}
	if err := s.Update(t.Context(), k, create("1")); err != nil {
		t.Fatal(err)
	}
	awaitReplicas(t, old)
	next.Do(t, "REPLICAOF", "NO", "ONE")
	old.Do(t, "REPLICAOF", "127.0.0.1", fmt.Sprint(next.Port))
	change := sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "2"}}}
	if err := s.Update(t.Context(), k, change); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("update at the old master: got error %v, want %v", err, sessionstore.ErrUnavailable)
	}
	if n := pool.ActiveCount(); n != 0 {
		t.Errorf("got %d connections after READONLY, want 0", n)
	}
	if err := s.Update(t.Context(), k, change); !errors.Is(err, sessionstore.ErrUnavailable) {
		t.Errorf("the guide still names the old master: got error %v, want %v", err, sessionstore.ErrUnavailable)
	}
	master = next.Addr
	if err := s.Update(t.Context(), k, change); err != nil {
		t.Errorf("update at the new master: %v", err)
	}
}
