package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/FZambia/sentinel"
	"github.com/gomodule/redigo/redis"
	_ "github.com/jackc/pgx/v5/stdlib" // registers "pgx"
	"github.com/mna/redisc"
	_ "modernc.org/sqlite" // registers "sqlite"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
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
	case "sqlite", "postgres", "postgresql", "redis", "rediss":
		if strings.Trim(rest, "/") != "" {
			return nil
		}
	case "redis+cluster":
		if hosts, _ := nodes(s); len(hosts) > 0 {
			return nil
		}
	case "redis+sentinel":
		if hosts, master := nodes(s); len(hosts) > 0 && master != "" {
			return nil
		}
	}
	return fmt.Errorf("STORE is of the form %q: possible is: %s", scheme, storeForms)
}

// private reports whether the store dies with this process, so that its keys may be made up.
func private(s string) bool { return s == "" || s == "memory" }

// openStore returns the store that s names. It dials as little as it can: a server that is down does
// not keep the app from starting, but a database has to be there for its tables to be made.
func openStore(ctx context.Context, s string) (backend, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch scheme {
	case "", "memory":
		return backend{&sessionstore.Memory{}, func() error { return nil }}, nil
	case "sqlite":
		return openSQL(ctx, "sqlite", "file:"+rest+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	case "postgres", "postgresql":
		return openSQL(ctx, "pgx", s)
	case "redis", "rediss":
		return openRedis(redisstore.Server{URL: s})
	case "redis+cluster":
		return openCluster(s)
	case "redis+sentinel":
		return openSentinel(s)
	}
	return backend{}, checkStore(s)
}

func openSQL(ctx context.Context, driver, source string) (backend, error) {
	db, err := sql.Open(driver, source)
	if err != nil {
		return backend{}, errors.New("store: malformed data source") // the driver's text may hold the password
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	store, err := sqlstore.New(ctx, db, sqlstore.Config{})
	if err != nil {
		return backend{}, errors.Join(fmt.Errorf("store: %w", err), db.Close())
	}
	return backend{store, db.Close}, nil
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
	guide := &sentinel.Sentinel{
		Addrs: hosts, MasterName: master,
		Dial: func(addr string) (redis.Conn, error) {
			return redisstore.Server{URL: "redis://" + addr, Timeout: 500 * time.Millisecond}.Dial(context.Background(), "")
		},
	}
	b, err := openRedis(redisstore.Server{
		URL:     "redis://",
		Address: func(context.Context) (string, error) { return guide.MasterAddr() },
	})
	if err != nil {
		return backend{}, err
	}
	closePool := b.close
	b.close = func() error { return errors.Join(closePool(), guide.Close()) }
	return b, nil
}

// nodes returns the hosts of redis+cluster://a:1,b:2 and the name behind them, which is the master's of
// redis+sentinel://a:1,b:2/name.
func nodes(s string) (hosts []string, name string) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return nil, ""
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		if host == "" {
			return nil, ""
		}
		hosts = append(hosts, host)
	}
	return hosts, strings.Trim(path.Clean("/"+u.Path), "/")
}
