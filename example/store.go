package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/mna/redisc"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

const storeForms = "memory, sqlite:FILE, postgres://…, redis://…, rediss://…, redis+cluster://HOST:PORT,… or redis+sentinel://HOST:PORT,…/MASTER"

// A backend is the store that STORE names, and its end.
type backend struct {
	sessionstore.Store
	close func() error
}

// checkStore returns what is wrong with the form of STORE.
func checkStore(s string) error {
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme {
	case "", "memory":
		return nil
	case "sqlite": // a database in memory is one of each connection
		if strings.Trim(rest, "/") != "" && rest != ":memory:" {
			return nil
		}
	case "postgres", "postgresql", "redis", "rediss":
		if strings.Trim(rest, "/") != "" {
			return nil
		}
	case "redis+cluster":
		if hosts, name := nodes(s); len(hosts) > 0 && name == "" {
			return nil
		}
	case "redis+sentinel":
		if hosts, master := nodes(s); len(hosts) > 0 && master != "" {
			return nil
		}
	}
	return fmt.Errorf("STORE is of the form %q: possible is: %s", scheme, storeForms)
}

// checkDriver returns an error if STORE is a database in SQL and this program is built without the drivers.
func checkDriver(s string) error {
	scheme, _, _ := strings.Cut(s, ":")
	if !withSQL && (scheme == "sqlite" || scheme == "postgres" || scheme == "postgresql") {
		return fmt.Errorf("STORE is of the form %q, which needs the build tag sql: go run -tags sql ./example", scheme)
	}
	return nil
}

// private reports whether the store dies with this process, so that its keys may be made up.
func private(s string) bool { return s == "" || s == "memory" }

// openStore returns the store that s names. It dials as little as it can: a server that is down does
// not keep the app from starting, but a database has to be there for its tables to be made.
func openStore(ctx context.Context, s string) (backend, error) {
	scheme, _, _ := strings.Cut(s, ":")
	switch scheme {
	case "", "memory":
		return backend{&sessionstore.Memory{}, func() error { return nil }}, nil
	case "sqlite", "postgres", "postgresql":
		return openSQL(ctx, s)
	case "redis", "rediss":
		return openRedis(redisstore.Server{URL: s})
	case "redis+cluster":
		return openCluster(s)
	case "redis+sentinel":
		return openSentinel(s)
	}
	return backend{}, checkStore(s)
}

func openRedis(server redisstore.Server) (backend, error) {
	pool, err := redisstore.NewPool(server)
	if err != nil {
		return backend{}, fmt.Errorf("store: %w", err)
	}
	return backend{redisstore.New(pool), pool.Close}, nil
}

func openCluster(s string) (backend, error) {
	hosts, _ := nodes(s)
	server := redisstore.Server{URL: "redis://"}
	cluster := &redisc.Cluster{
		StartupNodes: hosts,
		PoolWaitTime: time.Second,
		CreatePool: func(addr string, _ ...redis.DialOption) (*redis.Pool, error) {
			pool, err := redisstore.NewPool(server)
			if err != nil {
				return nil, err
			}
			pool.DialContext = func(ctx context.Context) (redis.Conn, error) { return server.Dial(ctx, addr) }
			return pool, nil
		},
	}
	store := redisstore.New(cluster)
	store.Dial = server.Dial
	return backend{store, cluster.Close}, nil
}

func openSentinel(s string) (backend, error) {
	hosts, master := nodes(s)
	return openRedis(redisstore.Server{Sentinels: hosts, MasterName: master})
}

// nodes returns the hosts of redis+cluster://a:1,b:2 and the name behind them, which is the master's of
// redis+sentinel://a:1,b:2/name. With anything else in it, such as a password, there are none: it would
// not be used.
func nodes(s string) (hosts []string, name string) {
	_, rest, _ := strings.Cut(s, "://")
	list, name, _ := strings.Cut(rest, "/")
	name = strings.TrimSuffix(name, "/")
	if strings.ContainsAny(list, "@?#%") || strings.ContainsAny(name, "/?#%") {
		return nil, ""
	}
	for addr := range strings.SplitSeq(list, ",") {
		host, port, err := net.SplitHostPort(addr)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
			return nil, ""
		}
		hosts = append(hosts, addr)
	}
	return hosts, name
}
