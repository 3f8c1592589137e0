package redisstore

import (
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
)

// A load asks for one record. It is the argument of HGETALL in the place of the key: a [conn] reads
// the reply into it and returns it, and any other connection takes it for the key.
type load struct {
	key  sessionstore.Key
	name string // of the key in Redis

	record sessionstore.Record
	found  bool
	err    error
}

var _ redis.Argument = (*load)(nil)

// RedisArg implements [redis.Argument].
func (l *load) RedisArg() any { return l.name }

// loadOf returns the load that a command is.
func loadOf(command string, args []any) (*load, bool) {
	if command != "HGETALL" || len(args) != 1 {
		return nil, false
	}
	l, ok := args[0].(*load)
	return l, ok
}

// check judges the reply, which a conn has read already.
func (l *load) check(reply any) error {
	if got, ok := reply.(*load); ok && got == l {
		return l.err
	}
	var h hash
	l.found, l.err = h.read(l.key, reply)
	l.finish(&h)
	return l.err
}

// scan reads the reply as it is on the wire.
func (l *load) scan(reply []byte) {
	var h hash
	l.found, l.err = h.scan(l.key, reply)
	l.finish(&h)
}

func (l *load) finish(h *hash) {
	if l.found && l.err == nil {
		l.record, l.err = h.record()
	}
}
