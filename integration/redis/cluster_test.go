package redis_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/mna/redisc"

	"github.com/returnleg/returnleg/integration/redis/clusterpool"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// startCluster starts three masters and three replicas.
func startCluster(t *testing.T) []*redistest.Server {
	t.Helper()
	return redistest.StartCluster(t, 1, 2*time.Second)
}

// clusterStore returns a store on a cluster as an app makes it.
func clusterStore(t *testing.T, nodes []*redistest.Server) (*redisstore.Store, *redisc.Cluster) {
	t.Helper()
	s, cluster := clusterpool.New(nodes)
	t.Cleanup(func() { cluster.Close() })
	if err := cluster.Refresh(); err != nil {
		t.Fatal(err)
	}
	return s, cluster
}

func lines(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if !yield(strings.TrimSpace(line)) {
				return
			}
		}
	}
}

// masters returns the nodes that are masters now.
func masters(nodes []*redistest.Server) []*redistest.Server {
	var found []*redistest.Server
	for _, n := range nodes {
		// A server that changes its role closes its connections.
		info, err := redis.String(n.Try("INFO", "replication"))
		if err == nil && strings.Contains(info, "role:master") {
			found = append(found, n)
		}
	}
	return found
}

func TestCluster(t *testing.T) {
	nodes := startCluster(t)
	store, cluster := clusterStore(t, nodes)
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) sessionstore.Store { return store })
	})
	t.Run("sealed contract", func(t *testing.T) {
		sealed := sessionstore.Sealed(store, sessionstore.NewKeyring())
		storetest.Run(t, func(t *testing.T) sessionstore.Store { return sealed })
	})
	t.Run("ping", func(t *testing.T) {
		if err := store.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("a pool to one node", func(t *testing.T) { oneNode(t, nodes) })
	t.Run("moving a slot", func(t *testing.T) { moveSlot(t, nodes, store, cluster) })
	t.Run("planned failover", func(t *testing.T) {
		load := newLoad(t, store, 200, masters(nodes)...)
		former := masters(nodes)[0]
		load.survive(t, func() { replicaOf(t, nodes, former).Do(t, "CLUSTER", "FAILOVER") }, func() bool {
			return len(masters(nodes)) == 3 && len(masters([]*redistest.Server{former})) == 0 && clusterOK(former)
		})
	})
	// What hangs accepts connections, and never says that its slots have moved.
	t.Run("a master hangs", func(t *testing.T) {
		for _, m := range masters(nodes) {
			awaitReplicas(t, m)
		}
		load := newLoad(t, store, 200, masters(nodes)...)
		victim := masters(nodes)[0]
		others := without(nodes, victim)
		load.survive(t, func() { victim.Stop(t) }, func() bool {
			return len(masters(others)) == 3 && clusterOK(others[0])
		})
		victim.Continue(t)
		await(t, "the former master to be a replica", func() bool { return len(masters([]*redistest.Server{victim})) == 0 })
		for _, m := range masters(nodes) {
			awaitReplicas(t, m)
		}
	})
	t.Run("F15 failover", func(t *testing.T) {
		load := newLoad(t, store, 200, masters(nodes)...)
		victim := masters(nodes)[0]
		others := without(nodes, victim)
		load.survive(t, victim.Kill, func() bool {
			return len(masters(others)) == 3 && clusterOK(others[0])
		})
	})
}

// replicaOf returns a replica of a master.
func replicaOf(t *testing.T, nodes []*redistest.Server, master *redistest.Server) *redistest.Server {
	t.Helper()
	for _, n := range nodes {
		if info, err := redis.String(n.Try("INFO", "replication")); err == nil && strings.Contains(info, fmt.Sprintf("master_port:%d\r", master.Port)) {
			return n
		}
	}
	t.Fatal("the master has no replica")
	return nil
}

func without(nodes []*redistest.Server, gone *redistest.Server) []*redistest.Server {
	var left []*redistest.Server
	for _, n := range nodes {
		if n != gone {
			left = append(left, n)
		}
	}
	return left
}

// moveSlot moves the slot of some records from one node to another, and uses them all the while.
func moveSlot(t *testing.T, nodes []*redistest.Server, store *redisstore.Store, cluster *redisc.Cluster) {
	k := sessionstore.Key{Kind: "move", ID: "here"}
	name := "rl:move:here"
	slot := redisc.Slot(name)
	if err := store.Update(t.Context(), k, create("1")); err != nil {
		t.Fatal(err)
	}
	ms := masters(nodes)
	var from, to *redistest.Server
	for _, m := range ms {
		if reply, err := redis.Int(m.Do(t, "CLUSTER", "COUNTKEYSINSLOT", slot), nil); err == nil && reply > 0 {
			from = m
		} else {
			to = m
		}
	}
	if from == nil || to == nil {
		t.Fatal("no node has the slot")
	}
	fromID, toID := from.Text(t, "CLUSTER", "MYID"), to.Text(t, "CLUSTER", "MYID")
	to.Do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	works := func(what string) {
		t.Helper()
		if _, err := store.Load(t.Context(), k); err != nil {
			t.Errorf("%s: load: %v", what, err)
		}
		if err := store.Update(t.Context(), k, sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: what}}}); err != nil {
			t.Errorf("%s: update: %v", what, err)
		}
		r, err := store.Load(t.Context(), k)
		if f, _ := r.Field("a"); err != nil || f.Value != what {
			t.Errorf("%s: got %q, %v after an update", what, f.Value, err)
		}
	}
	works("not moved yet")
	from.Do(t, "MIGRATE", "127.0.0.1", to.Port, name, 0, 5000)
	to.Do(t, "SCRIPT", "FLUSH") // as with a node that has just joined
	works("moved, slot not")

	// Without Dial there is no way, and that is not "no session".
	short := redisstore.New(cluster)
	if _, err := short.Load(t.Context(), k); !errors.Is(err, sessionstore.ErrUnavailable) || errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("without Dial: got error %v, want %v", err, sessionstore.ErrUnavailable)
	}
	for _, n := range append([]*redistest.Server{to, from}, ms...) {
		n.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	works("slot moved")
	if err := store.Delete(t.Context(), k); err != nil {
		t.Error(err)
	}
	if _, err := store.Load(t.Context(), k); !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("deleted: got error %v, want %v", err, sessionstore.ErrNotFound)
	}
}

func create(value string) sessionstore.Change {
	return sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: "a", Value: value}},
		Expires: time.Now().Add(time.Hour),
	}
}

// clusterOK reports whether n sees that every slot is served.
func clusterOK(n *redistest.Server) bool {
	info, err := redis.String(n.Try("CLUSTER", "INFO"))
	return err == nil && strings.Contains(info, "cluster_state:ok")
}

// oneNode uses a pool to one node of a cluster. That is a mistake, and is called one.
func oneNode(t *testing.T, nodes []*redistest.Server) {
	pool, err := redisstore.NewPool(redisstore.Server{URL: nodes[0].URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := redisstore.New(pool)
	misconfigured := 0
	for i := range 20 {
		_, err := s.Load(t.Context(), sessionstore.Key{Kind: "session", ID: fmt.Sprint(i)})
		switch {
		case errors.Is(err, sessionstore.ErrMisconfigured):
			misconfigured++
		case !errors.Is(err, sessionstore.ErrNotFound):
			t.Error(err)
		}
	}
	if misconfigured == 0 || misconfigured == 20 {
		t.Errorf("got %d of 20 misconfigured, want those on other nodes", misconfigured)
	}
}
