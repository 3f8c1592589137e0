package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
	log       redistest.Journal // of its stores
}

func startWatch(t *testing.T) *watch {
	t.Helper()
	// Of the servers and the Sentinels, no more rights than docs/operating.md says.
	user := strings.Fields("--user app on >secret ~rl:* -@all +hgetall +evalsha +eval +exists +hget +hset +hdel +pexpireat +del +ping +role +wait")
	w := new(watch)
	w.master, w.replicas, w.sentinels = redistest.StartWatched(t, time.Second, user, "sentinel failover-timeout app 6000\n"+
		"user app on >secret -@all +sentinel|get-master-addr-by-name +sentinel|master +sentinel|slaves\n")
	return w
}

// store returns a store behind the Sentinels, as an app makes it.
func (w *watch) store(t *testing.T) (*redisstore.Store, *redis.Pool) {
	t.Helper()
	server := redisstore.Server{URL: "redis://app:secret@", MasterName: "app", Logger: slog.New(slog.NewTextHandler(&w.log, nil))}
	for _, s := range w.sentinels {
		server.Sentinels = append(server.Sentinels, "redis://app:secret@"+s.Addr)
	}
	pool, err := redisstore.NewPool(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return redisstore.New(pool), pool
}

// failOver asks a Sentinel to make another server the master.
func (w *watch) failOver(t *testing.T) {
	t.Helper()
	w.sentinels[0].Do(t, "SENTINEL", "FAILOVER", "app")
}

// settle waits until a failover is over and all know it, the former master included, and notes who is
// what now.
func (w *watch) settle(t *testing.T) {
	t.Helper()
	all := append([]*redistest.Server{w.master}, w.replicas...)
	await(t, "one master with two replicas", func() bool {
		found := masters(all)
		if len(found) != 1 {
			return false
		}
		info, err := redis.String(found[0].Try("INFO", "replication"))
		return err == nil && strings.Contains(info, "connected_slaves:2") && strings.Count(info, "state=online") == 2
	})
	w.master = masters(all)[0]
	w.replicas = without(all, w.master)
	for _, s := range w.sentinels {
		s.AwaitFunc(t, func(info string) bool {
			return strings.Contains(info, "status=ok,address="+w.master.Addr+",slaves=2,sentinels=3")
		}, "INFO", "sentinel")
	}
}

func TestSentinel(t *testing.T) {
	w := startWatch(t)
	store, _ := w.store(t)
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) sessionstore.Store { return store })
	})
	// The Sentinels demote a master that is well, and so it takes itself for the master for ten seconds
	// more: what it acknowledges then is lost.
	t.Run("planned failover", func(t *testing.T) {
		load := newLoad(t, store, 200, w.master)
		load.survive(t, func() { w.failOver(t) }, func() bool { return len(masters(w.replicas)) == 1 && len(masters([]*redistest.Server{w.master})) == 0 })
		for _, want := range []string{"a replica is being promoted", "another server is the master now", "former=" + w.master.Addr} {
			if !strings.Contains(w.log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, w.log.String())
			}
		}
		w.settle(t)
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
	var master atomic.Value
	master.Store(old.Addr)
	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://", Address: func(context.Context) (string, error) { return master.Load().(string), nil }})
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
	master.Store(next.Addr)
	if err := s.Update(t.Context(), k, change); err != nil {
		t.Errorf("update at the new master: %v", err)
	}
}
