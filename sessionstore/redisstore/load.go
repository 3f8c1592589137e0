package redisstore

import (
	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
)

// A load asks for one record. It is the argument of HGETALL in the place of the key: a [conn] reads
// the reply into it and returns it, and any other connection takes it for the key.
type load struct {
	query query
	arg   [1]any // the query's: the load itself
	of    sessionstore.Key

	record sessionstore.Record
	found  bool
	err    error
}

var _ redis.Argument = (*load)(nil)

// newLoad returns the load of k's record, whose key in Redis is name.
func newLoad(k sessionstore.Key, name string) *load {
	l := &load{of: k}
	l.arg[0] = l
	l.query = query{op: "load", key: name, command: "HGETALL", args: l.arg[:], repeatable: true, check: l.check}
	return l
}

// RedisArg implements [redis.Argument].
func (l *load) RedisArg() any { return l.query.key }

// String returns the key: connections of a cluster print it, to know its slot.
func (l *load) String() string { return l.query.key }

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
	l.found, l.err = h.read(l.of, reply)
	l.finish(&h)
	return l.err
}

// scan reads the reply as it is on the wire.
func (l *load) scan(reply []byte) {
	var h hash
	l.found, l.err = h.scan(l.of, reply)
	l.finish(&h)
}

func (l *load) finish(h *hash) {
	if l.found && l.err == nil {
		l.record, l.err = h.record()
	}
}
