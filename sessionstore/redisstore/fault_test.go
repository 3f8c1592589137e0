//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/faultproxy"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// scene is a server, a proxy before it, and a store behind that.
type scene struct {
	server *redistest.Server
	proxy  *faultproxy.Proxy
	store  *redisstore.Store
	idle   func() int
}

// soon is how long operations may take, where no answer comes.
const soon = 300 * time.Millisecond

// hasty is begin, with operations that do not wait for long.
func hasty(begin func(t *testing.T, x *scene)) func(t *testing.T, x *scene) {
	return func(t *testing.T, x *scene) {
		x.store.Timeout = soon
		begin(t, x)
	}
}

func newScene(t *testing.T, args ...string) *scene {
	t.Helper()
	server := redistest.Start(t, args...)
	proxy, err := faultproxy.Listen(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	store, pool := open(t, redisstore.Server{URL: "redis://" + proxy.Addr})
	x := &scene{server: server, proxy: proxy, store: store, idle: pool.IdleCount}
	if err := store.Update(t.Context(), key, create(sessionstore.Field{Name: "a", Value: "1"})); err != nil {
		t.Fatal(err)
	}
	return x
}

// warm fills the pool with n idle connections.
func (x *scene) warm(t *testing.T, n int) {
	t.Helper()
	x.proxy.Set(faultproxy.Fault{Delay: 20 * time.Millisecond})
	defer x.proxy.Set(faultproxy.Fault{})
	for round := 0; x.idle() < n; round++ {
		if round > 50 {
			t.Fatalf("got %d idle connections, want %d", x.idle(), n)
		}
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() { x.store.Load(t.Context(), key) })
		}
		wg.Wait()
	}
}

// fine checks that every operation works.
func (x *scene) fine(t *testing.T, what string) {
	t.Helper()
	for _, op := range operations {
		if op.name == "ping" || op.name == "load" || op.name == "update" {
			if err := op.do(t.Context(), x.store); err != nil {
				t.Errorf("%s: %s: %v", what, op.name, err)
			}
		}
	}
}

// F8: connections that died while they were idle cost nobody a request, not even a change.
func TestIdleConnectionsDie(t *testing.T) {
	rows := []struct {
		name string
		kill func(t *testing.T, x *scene)
	}{
		{"F8 CLIENT KILL", func(t *testing.T, x *scene) { x.server.Do(t, "CLIENT", "KILL", "TYPE", "normal") }},
		{"F8 reset on the way", func(t *testing.T, x *scene) { x.proxy.Reset() }},
		{"F8 SIGKILL and restart, append-only file", func(t *testing.T, x *scene) { x.server.Kill(); x.server.Restart(t) }},
	}
	x := newScene(t, "--appendonly", "yes", "--appendfsync", "always")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			x.warm(t, 8)
			row.kill(t, x)
			// What the other end did arrives in a moment, and nothing else tells when.
			await(t, "the links to end", func() bool { return x.proxy.Open() == 0 })
			for i := range 8 {
				if err := x.store.Update(t.Context(), key, change()); err != nil {
					t.Errorf("update %d: %v", i, err)
				}
			}
			x.fine(t, "after it")
		})
	}
}

// F8: with a pool that looks at nothing, loads are sent again, and a change that may have been made
// is not.
func TestIdleConnectionsDieUnguarded(t *testing.T) {
	server := redistest.Start(t)
	pool := &redis.Pool{MaxIdle: 8, DialContext: func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", server.Addr, redis.DialReadTimeout(time.Second), redis.DialWriteTimeout(time.Second))
	}}
	defer pool.Close()
	s := redisstore.New(pool)
	if err := s.Update(t.Context(), key, create()); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, op string
		failures int
	}{
		{"load", "load", 0},
		{"ping", "ping", 0},
		{"update", "update", 2},
		{"delete", "delete", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			warm := []redis.Conn{pool.Get(), pool.Get()}
			for _, c := range warm {
				if _, err := c.Do("PING"); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range warm {
				c.Close()
			}
			server.Do(t, "CLIENT", "KILL", "TYPE", "normal")
			for _, op := range operations {
				if op.name != row.op {
					continue
				}
				for i := range 4 {
					err := op.do(t.Context(), s)
					if failed := err != nil; failed != (i < row.failures) {
						t.Errorf("%s %d: got error %v, want one: %v", op.name, i, err, i < row.failures)
					}
				}
			}
		})
	}
}

// await waits until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}

// Real faults of a real server: each has its class, none is "no session", each ends when its cause
// does, and none lasts longer than the store's time.
func TestServerFaults(t *testing.T) {
	unavailable, misconfigured, full := sessionstore.ErrUnavailable, sessionstore.ErrMisconfigured, sessionstore.ErrFull
	config := func(name, value string) func(t *testing.T, x *scene) {
		return func(t *testing.T, x *scene) { x.server.Do(t, "CONFIG", "SET", name, value) }
	}
	rows := []struct {
		name         string
		begin, end   func(t *testing.T, x *scene)
		load, update []error // nil: no error
	}{
		{"F10 down", func(t *testing.T, x *scene) { x.server.Kill() }, func(t *testing.T, x *scene) { x.server.Restart(t) }, []error{unavailable}, []error{unavailable}},
		{"F10 refused", func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{Refuse: true}); x.proxy.Reset() }, func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, []error{unavailable}, []error{unavailable}},
		{"F11 hangs", hasty(func(t *testing.T, x *scene) { x.server.Stop(t) }), func(t *testing.T, x *scene) { x.server.Continue(t) }, []error{unavailable}, []error{unavailable}},
		// It pauses UNPAUSE as well, and ends by itself.
		{"F11 CLIENT PAUSE", hasty(func(t *testing.T, x *scene) { x.server.Do(t, "CLIENT", "PAUSE", 3000, "ALL") }), func(*testing.T, *scene) {}, []error{unavailable}, []error{unavailable}},
		{"F11 black hole", hasty(func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{Blackhole: true}) }), func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, []error{unavailable}, []error{unavailable}},
		{"F12 slow, in time", func(t *testing.T, x *scene) {
			x.proxy.Set(faultproxy.Fault{Delay: 100 * time.Millisecond})
		}, func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, nil, nil},
		{"F12 slow, too slow", hasty(func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{Delay: time.Second}) }), func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, []error{unavailable}, []error{unavailable}},
		{"F12 drips", hasty(func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{Drip: 100 * time.Millisecond}) }), func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, []error{unavailable}, []error{unavailable}},
		{"F13 full", config("maxmemory", "1"), config("maxmemory", "0"), nil, []error{full}},
		{"F16 READONLY", func(t *testing.T, x *scene) { x.server.Do(t, "REPLICAOF", "127.0.0.1", "1") }, func(t *testing.T, x *scene) { x.server.Do(t, "REPLICAOF", "NO", "ONE") }, nil, []error{unavailable}},
		{"F16 MASTERDOWN", func(t *testing.T, x *scene) {
			x.server.Do(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
			x.server.Do(t, "REPLICAOF", "127.0.0.1", "1")
		}, func(t *testing.T, x *scene) { x.server.Do(t, "REPLICAOF", "NO", "ONE") }, []error{unavailable}, []error{unavailable}},
		{"F16 NOREPLICAS", config("min-replicas-to-write", "1"), config("min-replicas-to-write", "0"), nil, []error{unavailable}},
		{"F16 NOPERM", func(t *testing.T, x *scene) { x.server.Do(t, "ACL", "SETUSER", "default", "resetkeys", "~other:*") }, func(t *testing.T, x *scene) { x.server.Do(t, "ACL", "SETUSER", "default", "allkeys") }, []error{misconfigured}, []error{misconfigured}},
		{"F16 NOPERM in the script", func(t *testing.T, x *scene) { x.server.Do(t, "ACL", "SETUSER", "default", "-hset") }, func(t *testing.T, x *scene) { x.server.Do(t, "ACL", "SETUSER", "default", "+hset") }, nil, []error{misconfigured}},
		{"F16 MISCONF", func(t *testing.T, x *scene) {
			x.server.Do(t, "CONFIG", "SET", "stop-writes-on-bgsave-error", "yes", "save", "3600 1")
			if err := os.Mkdir(x.server.Dir+"/dump.rdb", 0o700); err != nil { // a file cannot replace it
				t.Fatal(err)
			}
			x.server.Do(t, "BGSAVE")
			x.server.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "rdb_last_bgsave_status:err") }, "INFO", "persistence")
		}, config("save", ""), nil, []error{full, unavailable}},
		{"F17 reset in the middle of a reply", func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{Cut: true, CutAfter: 3}) }, func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, []error{unavailable}, []error{unavailable}},
		{"F18 garbage", func(t *testing.T, x *scene) {
			x.proxy.Set(faultproxy.Fault{Rewrite: func(b []byte) []byte { return []byte("$99999999999999\r\n") }})
		}, func(t *testing.T, x *scene) { x.proxy.Set(faultproxy.Fault{}) }, []error{unavailable}, []error{unavailable}},
	}
	x := newScene(t, "--appendonly", "yes", "--appendfsync", "always")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			x.fine(t, "before")
			row.begin(t, x)
			ended := false
			end := func() {
				if !ended {
					ended = true
					row.end(t, x)
					x.store.Timeout = patience
				}
			}
			defer end()
			for range 3 {
				start := time.Now()
				_, err := x.store.Load(t.Context(), key)
				wantClass(t, "load", err, row.load...)
				err = x.store.Update(t.Context(), key, change())
				wantClass(t, "update", err, row.update...)
				// A busy machine adds to it; what must not be is a wait without end.
				if took := time.Since(start); took > 2*x.store.Timeout+patience {
					t.Errorf("took %v for two operations of %v", took, x.store.Timeout)
				}
			}
			end()
			await(t, "the server to be well", func() bool { return x.store.Update(t.Context(), key, change()) == nil })
			x.fine(t, "after")
		})
	}
}

// F16: a server with too many clients.
func TestNotLetIn(t *testing.T) {
	server := redistest.Start(t)
	first, _ := open(t, redisstore.Server{URL: server.URL()})
	if err := first.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Do(t, "CONFIG", "SET", "maxclients", "1")
	second, _ := open(t, redisstore.Server{URL: server.URL()})
	_, err := second.Load(t.Context(), key)
	wantClass(t, "maxclients", err, sessionstore.ErrUnavailable)
	// The first has the only place.
	c, err := sessionPool(t, server).Dial(t.Context(), "")
	if err == nil {
		c.Close()
	}
	if err := first.Ping(t.Context()); err != nil {
		t.Errorf("the client that was there: %v", err)
	}
}

// F16: a server that wants a password, and is told none. To a long command, such as a change, it says
// that it is too long.
func TestNoPassword(t *testing.T) {
	server := redistest.Start(t)
	server.Do(t, "CONFIG", "SET", "requirepass", "canary")
	s, _ := open(t, redisstore.Server{URL: server.URL()})
	for _, op := range operations {
		wantClass(t, op.name, op.do(t.Context(), s), sessionstore.ErrMisconfigured)
	}
	long := create(sessionstore.Field{Name: "a", Value: canary})
	wantClass(t, "create a field", s.Update(t.Context(), key, long), sessionstore.ErrMisconfigured)
}

func sessionPool(t *testing.T, s *redistest.Server) redisstore.Server {
	t.Helper()
	return redisstore.Server{URL: s.URL()}
}

func TestPassword(t *testing.T) {
	server := redistest.Start(t)
	server.Do(t, "ACL", "SETUSER", "app", "on", ">canary/%", "allkeys", "+@all")
	server.Do(t, "ACL", "SETUSER", "default", "nopass", "-@all", "+acl|setuser", "+ping", "+info", "resetkeys")
	url := func(user string) string { return strings.Replace(server.URL(), "redis://", "redis://"+user, 1) }
	rows := []struct {
		name, url string
		want      []error
	}{
		{"right", url("app:canary%2F%25@"), nil},
		{"right, another database", url("app:canary%2F%25@") + "/3", nil},
		{"wrong", url("app:canary@"), []error{sessionstore.ErrMisconfigured}},
		{"none", url(""), []error{sessionstore.ErrMisconfigured}},
		{"no such database", url("app:canary%2F%25@") + "/99", []error{sessionstore.ErrMisconfigured}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s, _ := open(t, redisstore.Server{URL: row.url})
			err := s.Update(t.Context(), key, create())
			wantClass(t, "update", err, row.want...)
		})
	}
}

// F13: in a Redis that is full, sessions are read, prolonged, ended and lose fields; nothing new is
// made, and a change is made whole or not.
func TestFull(t *testing.T) {
	x := newScene(t)
	x.server.Do(t, "CONFIG", "SET", "maxmemory", "1")
	ctx := t.Context()
	end := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Millisecond)
	wantClass(t, "create", x.store.Update(ctx, sessionstore.Key{Kind: "session", ID: "new"}, create()), sessionstore.ErrFull)
	whole := sessionstore.Change{Set: []sessionstore.Field{{Name: "b", Value: "2"}}, Delete: []string{"a"}, Expires: end}
	wantClass(t, "change", x.store.Update(ctx, key, whole), sessionstore.ErrFull)
	if r, err := x.store.Load(ctx, key); err != nil || r.Len() != 1 || r.Expires.Equal(end) {
		t.Errorf("after ErrFull: got %d fields until %v, %v", r.Len(), r.Expires, err)
	}
	wantClass(t, "prolong", x.store.Update(ctx, key, sessionstore.Change{Expires: end, Delete: []string{"a"}}))
	if r, err := x.store.Load(ctx, key); err != nil || r.Len() != 0 || !r.Expires.Equal(end) {
		t.Errorf("prolonged: got %d fields until %v, %v, want none until %v", r.Len(), r.Expires, err, end)
	}
	wantClass(t, "end", x.store.Update(ctx, key, sessionstore.Change{Expires: time.Now().Add(-time.Hour)}))
	_, err := x.store.Load(ctx, key)
	wantClass(t, "ended", err, sessionstore.ErrNotFound)
}

// F19: more requests than connections: each is answered in time, and nothing is left behind.
func TestPoolExhausted(t *testing.T) {
	server := redistest.Start(t)
	before := runtime.NumGoroutine()
	for _, wait := range []bool{true, false} {
		t.Run(fmt.Sprint("wait ", wait), func(t *testing.T) {
			s, pool := open(t, redisstore.Server{URL: server.URL(), MaxActive: 4})
			pool.Wait = wait
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Timeout = soon
			server.Stop(t)
			var overloaded, unavailable, other atomic.Int64
			var longest atomic.Int64
			var wg sync.WaitGroup
			for range 500 {
				wg.Go(func() {
					start := time.Now()
					_, err := s.Load(context.Background(), key)
					switch {
					case errors.Is(err, sessionstore.ErrOverloaded):
						overloaded.Add(1)
					case errors.Is(err, sessionstore.ErrUnavailable):
						unavailable.Add(1)
					default:
						other.Add(1)
					}
					for took := int64(time.Since(start)); ; {
						if l := longest.Load(); took <= l || longest.CompareAndSwap(l, took) {
							return
						}
					}
				})
			}
			wg.Wait()
			server.Continue(t)
			if other.Load() != 0 || overloaded.Load() == 0 || unavailable.Load() == 0 {
				t.Errorf("got %d overloaded, %d unavailable and %d other of 500", overloaded.Load(), unavailable.Load(), other.Load())
			}
			if l := time.Duration(longest.Load()); l > s.Timeout+patience {
				t.Errorf("the longest took %v, of %v", l, s.Timeout)
			}
			await(t, "the server", func() bool { return s.Ping(t.Context()) == nil })
			if n := pool.ActiveCount(); n > 4 {
				t.Errorf("got %d connections, want 4 at most", n)
			}
			pool.Close()
		})
	}
	await(t, "all goroutines to end", func() bool { return runtime.NumGoroutine() <= before+2 })
}
