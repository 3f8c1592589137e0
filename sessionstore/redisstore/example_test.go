package redisstore_test

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// One server. Package middleware seals by itself: its Config has redisstore.New(pool) as Store, and
// Keys. Whoever uses the store without it seals values before they leave the process, as here.
func Example() {
	pool, err := redisstore.NewPool(redisstore.Server{URL: os.Getenv("REDIS_URL")})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := sessionstore.ParseKeyring(os.Getenv("SESSION_KEYS"))
	if err != nil {
		log.Fatal(err)
	}
	store := sessionstore.Sealed(redisstore.New(pool), keys)
	if err := store.Ping(context.Background()); errors.Is(err, sessionstore.ErrMisconfigured) {
		log.Fatal(err) // it will not get better by itself
	}
}

// Sentinels. The pool follows the master: nothing that is done after a planned failover has begun is
// lost by it. A Sentinel of its own password is "redis://:password@sentinel-1.internal:26379".
func ExampleServer_sentinels() {
	pool, err := redisstore.NewPool(redisstore.Server{
		URL:        "redis://app:password@/0", // of the servers that they watch over: all but the address
		Sentinels:  []string{"sentinel-1.internal:26379", "sentinel-2.internal:26379", "sentinel-3.internal:26379"},
		MasterName: "app",
	})
	if err != nil {
		log.Fatal(err)
	}
	_ = redisstore.New(pool)
}

// A cluster, with github.com/mna/redisc. Each of its nodes has a pool of its own; the store
// follows records that move from one node to another with Dial.
func ExampleStore_cluster() {
	server := redisstore.Server{URL: "redis://app:password@/"}
	createPool := func(addr string, _ ...redis.DialOption) (*redis.Pool, error) {
		pool, err := redisstore.NewPool(server)
		if err != nil {
			return nil, err
		}
		pool.DialContext = func(ctx context.Context) (redis.Conn, error) { return server.Dial(ctx, addr) }
		return pool, nil
	}
	var cluster redisstore.Pool // &redisc.Cluster{StartupNodes: …, CreatePool: createPool, PoolWaitTime: time.Second}

	store := redisstore.New(cluster)
	store.Dial = server.Dial
	_ = createPool
}

// A dial of one's own, with the guard that redigo lacks.
func ExampleGuard() {
	_ = &redis.Pool{
		MaxIdle: 64,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "unix", "/run/redis.sock",
				redis.DialContextFunc(func(ctx context.Context, network, addr string) (net.Conn, error) {
					var d net.Dialer
					c, err := d.DialContext(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return redisstore.Guard(c, 0), nil
				}),
				redis.DialReadTimeout(time.Second),
				redis.DialWriteTimeout(time.Second),
			)
		},
	}
}
