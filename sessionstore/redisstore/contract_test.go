//go:build unix

package redisstore_test

import (
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
