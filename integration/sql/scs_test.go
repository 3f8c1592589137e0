package sql_test

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/redisstore"
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/integration/internal/child"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// redisPool starts a Redis server that keeps nothing on disk, and returns a pool to it.
func redisPool(t *testing.T) *redis.Pool {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	needs(t, "redis-server", err)
	socket := filepath.Join(t.TempDir(), "redis.sock")
	p := child.Start(t, exec.Command(path, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"))
	p.Line(t, func(line string) bool { return strings.Contains(line, "accept connections at") })
	pool := &redis.Pool{MaxIdle: 32, DialContext: func(ctx context.Context) (redis.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, err
		}
		return redis.NewConn(c, 10*time.Second, 10*time.Second), nil
	}}
	t.Cleanup(func() { pool.Close() })
	return pool
}

// TestSCSRedisstore runs the contract on the store that scs users have, within one process.
func TestSCSRedisstore(t *testing.T) {
	pool := redisPool(t)
	storetest.Run(t, func(*testing.T) sessionstore.Store { return sessionstore.FromSCS(redisstore.New(pool)) })
	t.Run("trials", func(t *testing.T) { runTrials(t, sessionstore.FromSCS(redisstore.New(pool)), 300) })
}

// TestSCSRedisGone ends the server: its absence is not the absence of a record.
func TestSCSRedisGone(t *testing.T) {
	pool := redisPool(t)
	s := sessionstore.FromSCS(redisstore.New(pool))
	k := sessionstore.Key{Kind: "test", ID: "x"}
	if err := s.Update(t.Context(), k, fresh(time.Hour)); err != nil {
		t.Fatal(err)
	}
	c := pool.Get()
	c.Do("SHUTDOWN", "NOSAVE") // it answers by hanging up
	c.Close()
	_, err := s.Load(t.Context(), k)
	rows := []struct {
		name string
		err  error
	}{
		{"load", err},
		{"update", s.Update(t.Context(), k, sessionstore.Change{Set: []sessionstore.Field{{Name: "a"}}})},
		{"delete", s.Delete(t.Context(), k)},
	}
	for _, row := range rows {
		wantUnavailable(t, row.name, row.err)
	}
}
