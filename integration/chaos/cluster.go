package main

import (
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/integration/redis/clusterpool"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
)

// cluster is three masters, each with a replica or two.
type cluster struct {
	options options
	each    int // replicas
	nodes   []*redistest.Server
}

func newCluster(t testing.TB, o options) *cluster {
	x := &cluster{options: o, each: max(1, o.replicas)}
	x.nodes = redistest.StartCluster(t, x.each, o.silence())
	x.settle(t)
	return x
}

func (x *cluster) store(testing.TB) (sessionstore.Store, func()) {
	s, c := clusterpool.New(x.nodes)
	s.Replicas = x.options.replicas
	return s, func() { c.Close() }
}

// safe reports whether all replicas of a master have what was acknowledged.
func (x *cluster) safe() bool { return x.options.replicas >= x.each }

// alive returns how many masters there are, but for one that is gone.
func (x *cluster) alive(gone *redistest.Server) (masters int) {
	for _, n := range x.nodes {
		if n == gone {
			continue
		}
		info, err := redis.String(n.Try("INFO", "replication"))
		if err == nil && strings.Contains(info, "role:master") {
			masters++
		}
	}
	return masters
}

// roles returns the nodes that are masters, and those that are replicas and have all of theirs, if
// everything is well.
func (x *cluster) roles() (masters, replicas []*redistest.Server, ok bool) {
	for _, n := range x.nodes {
		info, err := redis.String(n.Try("INFO", "replication"))
		state, err2 := redis.String(n.Try("CLUSTER", "INFO"))
		if err != nil || err2 != nil || !strings.Contains(state, "cluster_state:ok") || !strings.Contains(state, "cluster_slots_ok:16384") {
			return nil, nil, false
		}
		switch {
		case strings.Contains(info, "role:master"):
			masters = append(masters, n)
		case strings.Contains(info, "master_link_status:up"):
			replicas = append(replicas, n)
		}
	}
	return masters, replicas, len(masters) == 3 && len(replicas) == 3*x.each
}

func (x *cluster) settle(t testing.TB) (masters, replicas []*redistest.Server) {
	t.Helper()
	await(t, "three masters with their replicas", func() (ok bool) {
		masters, replicas, ok = x.roles()
		return ok
	})
	return masters, replicas
}

func (x *cluster) faults(*world) []fault {
	here := func(one func(*redistest.Server) fault) fault {
		f := one(x.nodes[0])
		return fault{f.name, "", func(w *world) {
			masters, _ := x.settle(w.t)
			one(masters[w.random.IntN(3)]).do(w)
		}}
	}
	takeOver := func(name, how string) fault {
		return fault{name, "planned", func(w *world) {
			_, replicas := x.settle(w.t)
			n := replicas[w.random.IntN(len(replicas))]
			w.died(how == "" || x.safe())
			n.Do(w.t, "CLUSTER", redis.Args{"FAILOVER"}.AddFlat(strings.Fields(how))...)
			rest(2 * time.Second)
			x.settle(w.t)
		}}
	}
	return []fault{
		takeOver("CLUSTER FAILOVER", ""), takeOver("CLUSTER FAILOVER FORCE", "FORCE"),
		{"a master is killed, and started again later", "kill", func(w *world) {
			masters, _ := x.settle(w.t)
			victim := masters[w.random.IntN(3)]
			w.died(x.safe())
			victim.Kill()
			await(w.t, "another master", func() bool { return x.alive(victim) == 3 })
			rest(time.Second)
			victim.Restart(w.t)
			x.settle(w.t)
		}},
		{"a master hangs until another one is there, and goes on", "kill", func(w *world) {
			masters, _ := x.settle(w.t)
			victim := masters[w.random.IntN(3)]
			w.died(x.safe())
			victim.Stop(w.t)
			await(w.t, "another master", func() bool { return x.alive(victim) == 3 })
			rest(2 * time.Second)
			victim.Continue(w.t)
			x.settle(w.t)
		}},
		here(killClients), here(pauseClients),
	}
}
