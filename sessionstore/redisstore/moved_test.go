package redisstore_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
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
