//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/faultproxy"
	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// follower starts a replica of master behind a proxy, and waits until it follows.
func follower(t *testing.T, master *redistest.Server) (*redistest.Server, *faultproxy.Proxy) {
	t.Helper()
	link, err := faultproxy.Listen(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	r := redistest.Start(t, "--replicaof", strings.Replace(link.Addr, ":", " ", 1))
	r.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "master_link_status:up") }, "INFO", "replication")
	return r, link
}

// A store that waits for its replica keeps the contract.
func TestReplicasContract(t *testing.T) {
	server := redistest.Start(t)
	follower(t, server)
	s, _ := open(t, redisstore.Server{URL: server.URL()})
	s.Replicas, s.Timeout = 1, 10*time.Second
	storetest.Run(t, func(t *testing.T) sessionstore.Store { return s })
}

// F15: a change that was confirmed is on the replica, and one that is not there yet is not confirmed;
// without Replicas it is confirmed all the same, and lost with the master.
func TestReplicas(t *testing.T) {
	rows := []struct {
		name     string
		replicas int
		behind   bool // the replica does not take anything
		want     error
	}{
		{"none asked for, replica behind", 0, true, nil},
		{"one, replica behind", 1, true, sessionstore.ErrUnavailable},
		{"one, replica there", 1, false, nil},
		{"two, one replica there", 2, false, sessionstore.ErrUnavailable},
	}
	ops := []struct {
		name string
		do   func(t *testing.T, s *redisstore.Store) error
		made func(sessionstore.Record, error) bool // as seen at the new master
	}{
		{"delete", func(t *testing.T, s *redisstore.Store) error { return s.Delete(t.Context(), key) },
			func(_ sessionstore.Record, err error) bool { return errors.Is(err, sessionstore.ErrNotFound) }},
		{"delete two", func(t *testing.T, s *redisstore.Store) error {
			return s.Delete(t.Context(), sessionstore.Key{Kind: "session", ID: "another"}, key)
		}, func(_ sessionstore.Record, err error) bool { return errors.Is(err, sessionstore.ErrNotFound) }},
		{"update", func(t *testing.T, s *redisstore.Store) error { return s.Update(t.Context(), key, change()) },
			func(r sessionstore.Record, err error) bool {
				f, _ := r.Field("a")
				return err == nil && f.Value == canary
			}},
	}
	for _, row := range rows {
		for _, op := range ops {
			t.Run(row.name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				master := redistest.Start(t)
				replica, link := follower(t, master)
				s, _ := open(t, redisstore.Server{URL: master.URL()})
				s.Replicas, s.Timeout = 1, 10*time.Second
				if err := s.Update(t.Context(), key, create(sessionstore.Field{Name: "a", Value: "before"})); err != nil {
					t.Fatal(err)
				}
				s.Replicas = row.replicas
				if row.want != nil {
					s.Timeout = 500 * time.Millisecond
				}
				if row.behind {
					link.Set(faultproxy.Fault{Blackhole: true})
				}
				err := op.do(t, s)
				if row.want == nil {
					wantClass(t, op.name, err)
				} else {
					wantClass(t, op.name, err, row.want)
				}
				master.Kill()
				link.Close() // with what was on its way
				replica.Do(t, "REPLICAOF", "NO", "ONE")
				next, _ := open(t, redisstore.Server{URL: replica.URL()})
				made := op.made(next.Load(t.Context(), key))
				if made == row.behind {
					t.Errorf("confirmed: %v, at the new master: %v, want %v", err == nil, made, !row.behind)
				}
			})
		}
	}
}

// A replica that is behind is no server that does not answer: what needs no replica is served.
func TestReplicas_readable(t *testing.T) {
	master := redistest.Start(t)
	_, link := follower(t, master)
	s, _ := open(t, redisstore.Server{URL: master.URL()})
	if err := s.Update(t.Context(), key, create()); err != nil {
		t.Fatal(err)
	}
	s.Replicas, s.Timeout = 1, 300*time.Millisecond
	link.Set(faultproxy.Fault{Blackhole: true})
	for i := range 8 {
		wantClass(t, "update", s.Update(t.Context(), key, change()), sessionstore.ErrUnavailable)
		if _, err := s.Load(t.Context(), key); err != nil {
			t.Fatalf("load %d: %v", i, err)
		}
	}
	wantClass(t, "refused change", s.Update(t.Context(), key, create()), sessionstore.ErrExists)
	link.Set(faultproxy.Fault{})
	await(t, "the replica", func() bool { return s.Update(t.Context(), key, change()) == nil })
}

// A closing is a connection that the other end has closed by the time that a reply of this text was read.
type closing struct {
	*net.TCPConn
	reply string
}

func (c closing) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if string(p[:n]) == c.reply {
		c.CloseRead()
	}
	return n, err
}

// A master that ends between a change and WAIT has made the change: it is not made again, and what it
// has left behind is not taken for somebody else's.
func TestReplicas_connectionEnds(t *testing.T) {
	var sent atomic.Int64
	server := fake(t, func(command string, _ int) string {
		name, _, _ := strings.Cut(command, " ")
		switch {
		case name == "WAIT":
			return ":1\r\n"
		case sent.Add(1) > 1 && name == "EVALSHA":
			return ":2\r\n" // it is there
		}
		return ":0\r\n"
	})
	pool := &redis.Pool{MaxIdle: 1, DialContext: func(ctx context.Context) (redis.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(server.URL, "redis://"))
		if err != nil {
			return nil, err
		}
		reply := ":0\r\n"
		if sent.Load() > 0 {
			reply = "" // this one lasts
		}
		return redis.NewConn(redisstore.Guard(closing{c.(*net.TCPConn), reply}, 0), time.Second, time.Second), nil
	}}
	defer pool.Close()
	s := redisstore.New(pool)
	s.Replicas = 1
	wantClass(t, "update", s.Update(t.Context(), key, create()), sessionstore.ErrUnavailable)
	if n := sent.Load(); n != 1 {
		t.Errorf("the change was sent %d times, want once", n)
	}
	// Once or twice makes no difference to a deletion.
	sent.Store(0)
	wantClass(t, "delete", s.Delete(t.Context(), key))
	if n := sent.Load(); n != 2 {
		t.Errorf("the deletion was sent %d times, want twice", n)
	}
}
