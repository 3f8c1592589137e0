//go:build unix

package redisstore_test

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

// patience is how long an operation may take that is to succeed, on a machine that is busy.
const patience = 20 * time.Second

// open returns a store on s with a pool of its own, which has patience where s says nothing else.
func open(t testing.TB, server redisstore.Server) (*redisstore.Store, *redis.Pool) {
	t.Helper()
	server.Timeout = cmp.Or(server.Timeout, patience)
	pool, err := redisstore.NewPool(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	s := redisstore.New(pool)
	s.Timeout = patience
	return s, pool
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
