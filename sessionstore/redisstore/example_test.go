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

// Sentinels: before each dial, they are asked for the master. With github.com/FZambia/sentinel,
// Address is a call of MasterAddr.
func ExampleServer_address() {
	pool, err := redisstore.NewPool(redisstore.Server{
		URL: "redis://app:password@/0", // all but the address
		Address: func(ctx context.Context) (string, error) {
			sentinel, err := redisstore.Server{URL: "redis://sentinel.internal:26379"}.Dial(ctx, "")
			if err != nil {
				return "", err
			}
			defer sentinel.Close()
			addr, err := redis.Strings(sentinel.Do("SENTINEL", "get-master-addr-by-name", "app"))
			if err != nil || len(addr) != 2 {
				return "", errors.New("the sentinel knows no master")
			}
			return net.JoinHostPort(addr[0], addr[1]), nil
		},
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
