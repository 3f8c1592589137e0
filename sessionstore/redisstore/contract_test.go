//go:build unix

package redisstore_test

import (
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// open returns a store on s with a pool of its own.
func open(t testing.TB, server redisstore.Server) (*redisstore.Store, *redis.Pool) {
	t.Helper()
	pool, err := redisstore.NewPool(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	return redisstore.New(pool), pool
}

func contract(t *testing.T, wrap func(sessionstore.Store) sessionstore.Store) {
	server := redistest.Start(t)
	storetest.Suite{
		Open: func(t *testing.T) sessionstore.Store {
			server.Do(t, "CONFIG", "SET", "maxmemory", "0")
			s, _ := open(t, redisstore.Server{URL: server.URL()})
			return wrap(s)
		},
		Fill: func(t *testing.T, _ sessionstore.Store) {
			server.Do(t, "CONFIG", "SET", "maxmemory", "1")
			t.Cleanup(func() { server.Do(t, "CONFIG", "SET", "maxmemory", "0") })
		},
	}.Run(t)
}

func TestContract(t *testing.T) {
	contract(t, func(s sessionstore.Store) sessionstore.Store { return s })
}

func TestSealedContract(t *testing.T) {
	keys := sessionstore.NewKeyring()
	contract(t, func(s sessionstore.Store) sessionstore.Store { return sessionstore.Sealed(s, keys) })
}

// An account with the rights that docs/operating.md lists, and no other, will do.
func TestLeastAccountContract(t *testing.T) {
	server := redistest.Start(t)
	rights := strings.Fields("~rl:* -@all +hgetall +evalsha +eval +exists +hget +hset +hdel +pexpireat +del +ping")
	server.Do(t, "ACL", redis.Args{"SETUSER", "least", "on", ">canary"}.AddFlat(rights)...)
	url := strings.Replace(server.URL(), "redis://", "redis://least:canary@", 1)
	storetest.Run(t, func(t *testing.T) sessionstore.Store {
		s, _ := open(t, redisstore.Server{URL: url})
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		return s
	})
}
