//go:build unix

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// moved is a cluster that answers the first command for each key that it has moved, as all of a node's
// have after its failover, until somebody has asked the new one.
type moved struct{ asked map[string]bool }

func (m moved) Get() redis.Conn { return &movedConn{cluster: m} }

// A movedConn is one of moved's. It is bound to the node of a key.
type movedConn struct {
	redis.Conn
	cluster moved
	key     string
}

func (c *movedConn) Bind(keys ...string) error {
	c.key = keys[0]
	return nil
}

func (c *movedConn) DoWithTimeout(_ time.Duration, command string, args ...any) (any, error) {
	if command == "HGETALL" {
		c.cluster.asked[fmt.Sprintf("%s", args[0])] = true // as redisc does
		return []any{}, nil
	}
	if !c.cluster.asked[c.key] {
		c.cluster.asked[c.key] = true
		return nil, redis.Error("MOVED 1 127.0.0.1:1")
	}
	return int64(1), nil
}

func (c *movedConn) ReceiveWithTimeout(time.Duration) (any, error) {
	return nil, errors.New("nothing was sent")
}

func (c *movedConn) Close() error { return nil }
func (c *movedConn) Err() error   { return nil }

// unbound is redisc without a connection to any node: all that it keeps of why is a text of lines.
type unbound struct{ nodes []error }

func (u unbound) Get() redis.Conn { return unboundConn{unbound: u} }

type unboundConn struct {
	redis.Conn
	unbound
}

func (c unboundConn) Bind(...string) error {
	text := "redisc: failed to get a connection"
	for _, err := range c.nodes {
		text += "\n" + err.Error()
	}
	return errors.New(text)
}

func (c unboundConn) DoWithTimeout(time.Duration, string, ...any) (any, error) { return nil, c.Bind() }
func (c unboundConn) ReceiveWithTimeout(time.Duration) (any, error)            { return nil, c.Bind() }
func (c unboundConn) Close() error                                             { return nil }
func (c unboundConn) Err() error                                               { return nil }

// silent is a cluster whose nodes do not answer, after the first that was refused: its connections are
// bound when the test lets them.
type silent struct {
	refused *atomic.Bool
	goOn    chan struct{}
	closed  chan struct{}
}

func (s silent) Get() redis.Conn { return silentConn{silent: s} }

type silentConn struct {
	redis.Conn
	silent
}

func (c silentConn) Bind(...string) error {
	if !c.refused.Swap(true) {
		return errors.New("connection refused")
	}
	<-c.goOn
	return nil
}

func (c silentConn) Close() error { c.closed <- struct{}{}; return nil }
func (c silentConn) Err() error   { return nil }

// When a cluster does not answer, the store's time bounds the way to a node, too, whichever it asks for
// and however many it tries. The connection is closed all the same, later.
func TestBind_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster := silent{new(atomic.Bool), make(chan struct{}), make(chan struct{}, 1+len(operations))}
		s := redisstore.New(cluster)
		s.Timeout = 100 * time.Millisecond
		wantClass(t, "first ping", s.Ping(t.Context()), sessionstore.ErrUnavailable)
		<-cluster.closed
		for _, op := range operations {
			began := time.Now()
			wantClass(t, op.name, op.do(t.Context(), s), sessionstore.ErrUnavailable)
			if took := time.Since(began); took != s.Timeout {
				t.Errorf("%s: took %v, want %v", op.name, took, s.Timeout)
			}
		}
		if n := len(cluster.closed); n != 0 {
			t.Errorf("got %d connections closed that are not bound yet", n)
		}
		close(cluster.goOn)
		for range operations {
			<-cluster.closed
		}
	})
}

// What a node of a cluster has said to a dial has its class, and tells no secret.
func TestNoNode(t *testing.T) {
	dial := func(answer string) error {
		server := fake(t, func(string, int) string { return answer })
		server.URL = strings.Replace(server.URL, "redis://", "redis://app:canary@", 1)
		_, err := server.Dial(t.Context(), "")
		return err
	}
	down, late := errors.New("redisstore: dial: connection refused"), context.DeadlineExceeded
	rows := []struct {
		name  string
		nodes []error
		want  error
	}{
		{"down", []error{down, down}, sessionstore.ErrUnavailable},
		{"wrong password", []error{down, dial("-WRONGPASS invalid username-password pair or user is disabled.\r\n")}, sessionstore.ErrMisconfigured},
		{"a command that was renamed", []error{dial("-ERR unknown command 'AUTH', with args beginning with: 'app' 'canary' \r\n")}, sessionstore.ErrUnavailable},
		{"wrong password, dialed by others", []error{down, redis.Error("WRONGPASS invalid username-password pair for canary")}, sessionstore.ErrMisconfigured},
		{"a command that was renamed, dialed by others", []error{redis.Error("ERR unknown command 'AUTH', with args beginning with: 'canary'")}, sessionstore.ErrUnavailable},
		{"pools exhausted", []error{late, redis.ErrPoolExhausted}, sessionstore.ErrOverloaded},
		{"one pool exhausted", []error{late, down}, sessionstore.ErrUnavailable},
		{"no nodes", nil, sessionstore.ErrUnavailable},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, op := range operations {
				wantClass(t, op.name, op.do(t.Context(), redisstore.New(unbound{row.nodes})), row.want)
			}
		})
	}
}

// What a dial is answered has its class for whoever dials, and no more than its first word.
func TestDial_answer(t *testing.T) {
	server := fake(t, func(string, int) string {
		return "-ERR unknown command 'AUTH', with args beginning with: 'app' 'canary' \r\n"
	})
	server.URL = strings.Replace(server.URL, "redis://", "redis://app:canary@", 1)
	_, err := server.Dial(t.Context(), "")
	wantClass(t, "dial", err, sessionstore.ErrMisconfigured)
	server.Address = func(ctx context.Context) (string, error) {
		_, err := redisstore.Server{URL: server.URL}.Dial(ctx, "")
		return "", err
	}
	_, err = server.Dial(t.Context(), "")
	wantClass(t, "dial of the address", err, sessionstore.ErrMisconfigured)
	server.Address = func(context.Context) (string, error) {
		return "", redis.Error("ERR unknown command 'SENTINEL', with args beginning with: 'canary'")
	}
	_, err = server.Dial(t.Context(), "")
	wantClass(t, "an answer instead of the address", err, sessionstore.ErrMisconfigured)
	server = fake(t, func(string, int) string {
		return "-NOPERM User canary has no permissions to run the 'role' command\r\n"
	})
	addr := strings.TrimPrefix(server.URL, "redis://")
	server.Address = func(context.Context) (string, error) { return addr, nil }
	_, err = server.Dial(t.Context(), "")
	wantClass(t, "role", err, sessionstore.ErrMisconfigured)
}

// Records of one Delete that have all moved are each found, however many they are.
func TestDelete_moved(t *testing.T) {
	s := redisstore.New(moved{asked: map[string]bool{}})
	var ks []sessionstore.Key
	for i := range 100 {
		ks = append(ks, sessionstore.Key{Kind: "session", ID: fmt.Sprint(i)})
	}
	if err := s.Delete(t.Context(), ks...); err != nil {
		t.Errorf("got error %v, want none", err)
	}
}

// Whoever looks for the slot of a key in what is sent finds the key there, and nothing else.
func TestLoad_printed(t *testing.T) {
	cluster := moved{asked: map[string]bool{}}
	_, err := redisstore.New(cluster).Load(t.Context(), sessionstore.Key{Kind: "session", ID: "x"})
	if !errors.Is(err, sessionstore.ErrNotFound) {
		t.Errorf("got error %v, want %v", err, sessionstore.ErrNotFound)
	}
	if !cluster.asked["rl:session:x"] {
		t.Errorf("got %q, want the key", slices.Collect(maps.Keys(cluster.asked)))
	}
}

// hanging is a cluster whose node accepts connections, and does not answer until somebody has looked again.
type hanging struct {
	answer error // what it does instead
	looks  *atomic.Int64
}

func (h hanging) Get() redis.Conn { return hangingConn{hanging: h} }

func (h hanging) Refresh() error {
	h.looks.Add(1)
	return errors.New("no node answers")
}

type hangingConn struct {
	redis.Conn
	hanging
}

func (hangingConn) Bind(...string) error { return nil }
func (c hangingConn) DoWithTimeout(time.Duration, string, ...any) (any, error) {
	return nil, c.answer
}
func (hangingConn) ReceiveWithTimeout(time.Duration) (any, error) {
	return nil, errors.New("nothing was sent")
}
func (hangingConn) Close() error { return nil }
func (hangingConn) Err() error   { return errors.New("closed") }

// A node that does not answer has lost its slots, as far as anybody knows: the cluster is asked again where
// they are, once a second.
func TestCluster_looksAgain(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer error
		want   int64 // looks, until the breaker opens and after each of its probes
	}{
		{"a node that hangs", os.ErrDeadlineExceeded, 3},
		{"a connection that has ended", io.EOF, 3},
		{"a node that answers", redis.Error("LOADING "), 0},
		{"a record that has moved", redis.Error("MOVED 1 127.0.0.1:1"), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks := new(atomic.Int64)
				s := redisstore.New(hanging{row.answer, looks})
				for range 40 {
					if err := s.Update(t.Context(), key, change()); err == nil {
						t.Fatal("got no error")
					}
					time.Sleep(70 * time.Millisecond) // never as one of the others ends
				}
				synctest.Wait()
				if got := looks.Load(); got != row.want {
					t.Errorf("the cluster was asked %d times, want %d", got, row.want)
				}
				time.Sleep(5 * time.Second) // until the last is over
			})
		})
	}
}
