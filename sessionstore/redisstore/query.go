package redisstore

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A query is one command, and what to do about its answer.
type query struct {
	op         string // for errors
	key        string // "" for a command without one
	command    string
	args       []any
	more       []string // further keys, each for a command of its own
	script     bool     // an EVALSHA of ours
	repeatable bool     // once or twice makes no difference
	replicas   int      // that must have the change
	check      func(reply any) error
}

// How often a query is sent again.
const (
	maxStale     = 1000 // dead before anything was sent: as many as a pool may hold
	maxBroken    = 3    // dead after it was sent; only what is repeatable
	maxRedirects = 4    // refused, because the record is on another node
)

// insist sends q and returns its reply. It repeats q on another connection where that is safe.
func (s *Store) insist(ctx context.Context, q *query) (reply any, err error) {
	if err := ctx.Err(); err != nil {
		return nil, failed(q.op, err)
	}
	deadline := time.Now().Add(s.timeout())
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	var stale, broken, redirects int
	for {
		reply, err = s.attempt(ctx, q, deadline)
		switch {
		case err == nil && q.next():
			broken, redirects = 0, 0 // each key may be on a node that is new to us
		case err == nil:
			return reply, nil
		case errors.Is(err, errStale) && stale < maxStale:
			stale++
		case errors.Is(err, errMoved) && redirects < maxRedirects:
			redirects++
		case q.repeatable && isBroken(err) && broken < maxBroken:
			broken++
		default:
			return nil, failed(q.op, err)
		}
		if time.Now().Before(deadline) && ctx.Err() == nil {
			continue
		}
		if err == nil {
			err = context.DeadlineExceeded
		}
		return nil, failed(q.op, err)
	}
}

// isBroken reports whether the connection had ended: the server was restarted, or has closed what
// was idle for too long. A timeout is something else: the server may be at it still.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// attempt sends q on a connection of the pool.
func (s *Store) attempt(ctx context.Context, q *query, deadline time.Time) (any, error) {
	c, err := s.borrow(ctx, deadline)
	if err != nil {
		return nil, err
	}
	if b, cluster := c.(binder); cluster {
		return s.attemptBound(ctx, q, b, deadline)
	}
	defer c.Close()
	reply, err := q.send(c, deadline)
	if err == nil {
		q.more = nil
	}
	return reply, err
}

// attemptBound sends q to the node of its key, or to any if it has none.
func (s *Store) attemptBound(ctx context.Context, q *query, c binder, deadline time.Time) (any, error) {
	if err := s.bind(c, q.key, deadline); err != nil {
		s.refresh.failed(s.pool, err)
		return nil, err
	}
	defer c.Close()
	one := *q
	one.more = nil
	reply, err := one.send(c, deadline)
	s.refresh.failed(s.pool, err)
	if addr, ok := redirect(err, "ASK"); ok && s.Dial != nil {
		reply, err = s.follow(ctx, &one, addr, deadline)
	}
	if _, ok := redirect(err, "MOVED"); ok {
		// The connection has told its cluster, which now knows the way.
		return nil, errMoved
	}
	return reply, err
}

// next turns q to the next of its keys. What is done need not be done again.
func (q *query) next() bool {
	if len(q.more) == 0 {
		return false
	}
	q.key, q.more = q.more[0], q.more[1:]
	q.args = []any{q.key}
	return true
}

// errMoved is what a cluster says that has moved a record, and now knows to where.
var errMoved = errors.New("record has moved to another node")

// redirect returns the address in a cluster's answer of that code.
func redirect(err error, code string) (addr string, ok bool) {
	e, ok := err.(redis.Error)
	if !ok {
		return "", false
	}
	words := strings.Fields(string(e))
	if len(words) != 3 || words[0] != code {
		return "", false
	}
	return words[2], true
}

// follow sends q to the node to which its slot is being moved.
func (s *Store) follow(ctx context.Context, q *query, addr string, deadline time.Time) (any, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := s.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ask := query{command: "ASKING"}
	if _, err := ask.do(c, deadline); err != nil {
		return nil, err
	}
	// ASKING is good for one command, and a node that has just joined does not know the script.
	if q.script {
		q = q.spelled()
	}
	return q.send(c, deadline)
}

// send sends q, and those for further keys right behind it, and checks the replies. A connection
// that cannot be trusted, or has been cut off from the master, does not go back to the pool.
func (q *query) send(c redis.Conn, deadline time.Time) (any, error) {
	reply, err := q.do(c, deadline)
	if q.script && codeOf(err) == "NOSCRIPT" {
		reply, err = q.spelled().do(c, deadline)
	}
	if err == nil {
		err = q.check(reply)
	}
	if err == nil {
		err = q.replicate(c, reply, deadline)
	}
	if err == errReply || isDeadEnd(codeOf(err)) {
		drop(c)
	}
	return reply, err
}

// spelled returns q with the script in place of its sum. EVAL keeps it for later.
func (q *query) spelled() *query {
	eval := *q
	eval.command, eval.args = "EVAL", slices.Clone(q.args)
	eval.args[scriptArg] = script
	return &eval
}

func (q *query) do(c redis.Conn, deadline time.Time) (any, error) {
	left := time.Until(deadline)
	if left <= 0 {
		return nil, context.DeadlineExceeded
	}
	if len(q.more) == 0 {
		return redis.DoWithTimeout(c, left, q.command, q.args...)
	}
	if err := c.Send(q.command, q.args...); err != nil {
		return nil, err
	}
	for _, key := range q.more {
		if err := c.Send(q.command, key); err != nil {
			return nil, err
		}
	}
	if err := c.Flush(); err != nil {
		return nil, err
	}
	var reply any
	var failure error
	for range 1 + len(q.more) {
		// Each reply is read, whatever the one before it says, to keep in step.
		one, err := redis.ReceiveWithTimeout(c, max(time.Until(deadline), time.Nanosecond))
		if err == nil {
			err = q.check(one)
			reply = one
		}
		if _, server := err.(redis.Error); err != nil && !server {
			return nil, err
		}
		if failure == nil {
			failure = err
		}
	}
	return reply, failure
}

// drop makes c one that its pool does not take back: a reply that is not there in no time is an
// error of the connection. Without a guard there may be some: those that shifted.
func drop(c redis.Conn) {
	for c.Err() == nil {
		_, err := redis.DoWithTimeout(c, time.Nanosecond, "PING")
		if _, server := err.(redis.Error); err != nil && !server {
			return
		}
	}
}
