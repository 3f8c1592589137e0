// Package clusterpool makes a store on a cluster as an app makes it, for the tests of this module.
package clusterpool

import (
	"context"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/mna/redisc"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// New returns a store on the cluster that has nodes, and what to close afterwards.
func New(nodes []*redistest.Server) (*redisstore.Store, *redisc.Cluster) {
	server := redisstore.Server{URL: "redis://"}
	cluster := &redisc.Cluster{
		CreatePool: func(addr string, _ ...redis.DialOption) (*redis.Pool, error) {
			pool, err := redisstore.NewPool(server)
			if err != nil {
				return nil, err
			}
			pool.DialContext = func(ctx context.Context) (redis.Conn, error) { return server.Dial(ctx, addr) }
			return pool, nil
		},
		PoolWaitTime: time.Second,
	}
	for _, n := range nodes {
		cluster.StartupNodes = append(cluster.StartupNodes, n.Addr)
	}
	s := redisstore.New(cluster)
	s.Dial = server.Dial
	return s, cluster
}
