package redisstore

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gomodule/redigo/redis"
)

// errBehind is a change that the server has made, and its replicas have not confirmed.
var errBehind = errors.New("too few replicas have it yet")

// replicate waits until the replicas that q asks for have what was done on c.
//
// "This command blocks the current client until all the previous write commands are successfully
// transferred and acknowledged by at least the number of replicas you specify."
// https://redis.io/docs/latest/commands/wait/
func (q *query) replicate(c redis.Conn, reply any, deadline time.Time) error {
	if q.replicas <= 0 {
		return nil
	}
	if n, ok := reply.(int64); q.script && (!ok || n != 0) {
		return nil // refused: nothing has changed
	}
	// The answer takes its time, too. Without one, nobody knows more.
	wait := max(time.Until(deadline)*7/8, time.Millisecond)
	w := query{command: "WAIT", args: []any{q.replicas, wait.Milliseconds()}}
	n, err := redis.Int(w.do(c, deadline))
	switch {
	case errors.Is(err, errStale):
		// WAIT was not sent, but the change was: whoever repeats that would find it made.
		return fmt.Errorf("%w before the replicas were asked", io.ErrUnexpectedEOF)
	case err == nil && n < q.replicas:
		return errBehind
	}
	return err
}
