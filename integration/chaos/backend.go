package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/faultproxy"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A backend is what the stores of all apps stand on.
type backend interface {
	// store returns the store of one more process, and its end.
	store(t testing.TB) (sessionstore.Store, func())

	// faults are what can happen to it. Each is done and over when it returns.
	faults(w *world) []fault
}

// A fault is something that happens.
type fault struct {
	name string
	kind string // "planned" or "kill", of a failover
	do   func(w *world)
}

// newBackend starts what a store stands on.
func newBackend(t testing.TB, o options, w *world) (backend, error) {
	switch o.store {
	case "memory":
		return &memory{new(sessionstore.Memory)}, nil
	case "redis":
		return newSingle(t)
	case "sentinel":
		return newWatched(t, o, w), nil
	case "cluster":
		return newCluster(t, o), nil
	case "postgres":
		return newPostgres(t)
	}
	return nil, fmt.Errorf("-store %q: want memory, redis, sentinel, cluster or postgres", o.store)
}

// memory is one that all apps share: they are one process.
type memory struct{ *sessionstore.Memory }

func (m *memory) store(testing.TB) (sessionstore.Store, func()) { return m.Memory, func() {} }
func (m *memory) faults(*world) []fault                         { return nil }

// single is one Redis that writes down what it acknowledges, behind a proxy.
type single struct {
	server *redistest.Server
	proxy  *faultproxy.Proxy
}

func newSingle(t testing.TB) (*single, error) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	proxy, err := faultproxy.Listen(s.Addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(proxy.Close)
	return &single{s, proxy}, nil
}

func (s *single) store(t testing.TB) (sessionstore.Store, func()) {
	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://" + s.proxy.Addr})
	if err != nil {
		t.Fatal(err)
	}
	return redisstore.New(pool), func() { pool.Close() }
}

func (s *single) faults(*world) []fault {
	return append(network(s.proxy),
		fault{"the server is killed and started again", "", func(w *world) {
			s.server.Kill()
			rest(500 * time.Millisecond)
			s.server.Restart(w.t)
		}},
		killClients(s.server), pauseClients(s.server), stop(s.server, 3*time.Second),
	)
}

// network is what can happen on the way to a server.
func network(p *faultproxy.Proxy) []fault {
	during := func(name string, f faultproxy.Fault, d time.Duration) fault {
		return fault{name, "", func(w *world) {
			p.Set(f)
			rest(d)
			p.Set(faultproxy.Fault{})
		}}
	}
	return []fault{
		{"all connections are reset", "", func(*world) { p.Reset() }},
		during("nothing gets through", faultproxy.Fault{Blackhole: true}, 2500*time.Millisecond),
		during("answers are slow", faultproxy.Fault{Delay: 30 * time.Millisecond}, 2*time.Second),
		during("answers are cut off", faultproxy.Fault{Cut: true, CutAfter: 300}, time.Second),
		{"connections are refused", "", func(w *world) {
			p.Set(faultproxy.Fault{Refuse: true})
			p.Reset()
			rest(2 * time.Second)
			p.Set(faultproxy.Fault{})
		}},
	}
}

func killClients(s *redistest.Server) fault {
	return fault{"the server ends all connections", "", func(w *world) {
		_, _ = s.Try("CLIENT", "KILL", "TYPE", "normal") // its answer may be cut off as well
	}}
}

func pauseClients(s *redistest.Server) fault {
	return fault{"CLIENT PAUSE", "", func(w *world) {
		s.Do(w.t, "CLIENT", "PAUSE", 700)
		rest(time.Second)
	}}
}

func stop(s *redistest.Server, d time.Duration) fault {
	return fault{"the server hangs", "", func(w *world) {
		s.Stop(w.t)
		rest(d)
		s.Continue(w.t)
	}}
}

// rest waits: faults last.
func rest(d time.Duration) { <-time.After(d) }
