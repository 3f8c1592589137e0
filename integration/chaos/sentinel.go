package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// watched is a master with two replicas, and three Sentinels that watch over them.
type watched struct {
	options   options
	servers   []*redistest.Server
	sentinels []*redistest.Server
	log       *slog.Logger
}

func newWatched(t testing.TB, o options, w *world) *watched {
	master := redistest.Start(t)
	x := &watched{options: o, servers: []*redistest.Server{master}, log: slog.New(slog.NewTextHandler(w.log, nil))}
	for range 2 {
		x.servers = append(x.servers, redistest.Start(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", master.Port)))
	}
	for range 3 {
		x.sentinels = append(x.sentinels, redistest.StartSentinel(t, fmt.Sprintf("sentinel monitor app 127.0.0.1 %d 2\n"+
			"sentinel down-after-milliseconds app %d\nsentinel failover-timeout app 3000\n", master.Port, o.silence().Milliseconds())))
	}
	x.settle(t)
	return x
}

func (x *watched) store(t testing.TB) (sessionstore.Store, func()) {
	server := redisstore.Server{MasterName: "app", Logger: x.log}
	for _, s := range x.sentinels {
		server.Sentinels = append(server.Sentinels, s.Addr)
	}
	pool, err := redisstore.NewPool(server)
	if err != nil {
		t.Fatal(err)
	}
	s := redisstore.New(pool)
	s.Replicas = x.options.replicas
	return s, func() { pool.Close() }
}

// safe reports whether all replicas have what was acknowledged.
func (x *watched) safe() bool { return x.options.replicas >= len(x.servers)-1 }

// master returns the server that is one and has all others as replicas, if all agree on it.
func (x *watched) master() *redistest.Server {
	var found *redistest.Server
	for _, s := range x.servers {
		info, err := redis.String(s.Try("INFO", "replication"))
		switch {
		case err != nil:
			return nil
		case !strings.Contains(info, "role:master"):
		case found != nil || strings.Count(info, "state=online") != len(x.servers)-1:
			return nil
		default:
			found = s
		}
	}
	if found == nil {
		return nil
	}
	for _, s := range x.sentinels {
		info, err := redis.String(s.Try("INFO", "sentinel"))
		if err != nil || !strings.Contains(info, "status=ok,address="+found.Addr+",slaves=2,sentinels=3") {
			return nil
		}
	}
	return found
}

// settle waits until all agree, and returns the master.
func (x *watched) settle(t testing.TB) (master *redistest.Server) {
	t.Helper()
	await(t, "one master with two replicas", func() bool {
		master = x.master()
		return master != nil
	})
	return master
}

func (x *watched) faults(*world) []fault {
	now := func(name, kind string, do func(w *world, master *redistest.Server)) fault {
		return fault{name, kind, func(w *world) { do(w, x.settle(w.t)) }}
	}
	here := func(one func(*redistest.Server) fault) fault {
		f := one(x.servers[0])
		return fault{f.name, "", func(w *world) { one(x.settle(w.t)).do(w) }}
	}
	return []fault{
		now("SENTINEL FAILOVER", "planned", func(w *world, _ *redistest.Server) {
			w.died(x.safe())
			x.sentinels[w.random.IntN(3)].Do(w.t, "SENTINEL", "FAILOVER", "app")
			rest(time.Second)
			x.settle(w.t)
		}),
		now("the master is killed, and started again later", "kill", func(w *world, master *redistest.Server) {
			w.died(x.safe())
			master.Kill()
			x.awaitOther(w.t, master)
			rest(time.Second)
			master.Restart(w.t)
			x.settle(w.t)
		}),
		now("the master hangs until another one is there, and goes on", "kill", func(w *world, master *redistest.Server) {
			w.died(x.safe())
			master.Stop(w.t)
			x.awaitOther(w.t, master)
			master.Continue(w.t)
			x.settle(w.t)
		}),
		here(killClients), here(pauseClients),
		{"a Sentinel is killed, and started again later", "", func(w *world) {
			s := x.sentinels[w.random.IntN(3)]
			s.Kill()
			rest(2 * time.Second)
			s.Restart(w.t)
			x.settle(w.t)
		}},
		{"no Sentinel answers", "", func(w *world) {
			for _, s := range x.sentinels {
				s.Kill()
			}
			rest(3 * time.Second)
			for _, s := range x.sentinels {
				s.Restart(w.t)
			}
			x.settle(w.t)
		}},
	}
}

// awaitOther waits until the Sentinels have another master.
func (x *watched) awaitOther(t testing.TB, than *redistest.Server) {
	t.Helper()
	await(t, "another master", func() bool {
		for _, s := range x.sentinels {
			info, err := redis.String(s.Try("INFO", "sentinel"))
			if err != nil || strings.Contains(info, "address="+than.Addr+",") {
				return false
			}
		}
		return true
	})
}

// await waits until ok.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); rest(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
