package redisstore_test

import (
	"errors"
	"fmt"
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

func (c *movedConn) DoWithTimeout(time.Duration, string, ...any) (any, error) {
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
