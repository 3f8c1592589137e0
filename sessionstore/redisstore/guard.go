package redisstore

import (
	"errors"
	"math"
	"net"
	"sync/atomic"
	"time"
)

// defaultMaxReply is how large a reply may be, in bytes, where nothing else is said: sixteen times
// what a store must take as one value.
const defaultMaxReply = 16 << 20

// errStale is a connection that ended, or got what nobody asked for, while it was idle. Nothing
// was sent.
var errStale = errors.New("connection ended while it was idle")

// errUnasked is a reply without a command. From here on, replies would be taken for those to other
// commands.
var errUnasked = errors.New("reply without a command")

// Guard returns c for use by redigo, with three checks that redigo lacks. [NewPool] and
// [Server.Dial] use it; put it into dials of your own with [redis.DialContextFunc], around the TLS
// connection if there is one.
//
//   - A reply larger than max bytes is an error before anything is allocated for it. redigo
//     allocates whatever length the other end announces, and more than there is ends the process.
//   - A reply to no command is an error, so that replies cannot shift from one command to
//     another.
//   - A connection that ended while it was idle is an error before the next command is sent, so
//     that any command may be sent again on another connection. [Store] does.
//
// What comes or ends while a connection is idle is seen on Unix systems only.
//
// max is at most what a hostile server can make this connection allocate. 0: 16 MiB.
// The connection must be for commands only: Redis answers SUBSCRIBE and MONITOR without end.
func Guard(c net.Conn, max int) net.Conn { return newGuarded(c, max) }

func newGuarded(c net.Conn, max int) *guarded {
	if max <= 0 {
		max = defaultMaxReply
	}
	return &guarded{
		Conn:  c,
		probe: probeOf(c),
		in:    scanner{max: int64(max)},
		out:   scanner{max: math.MaxInt64 / elementCost / 100},
	}
}

// guarded is what Guard returns. As with any connection, one goroutine may read while another one
// writes.
type guarded struct {
	net.Conn
	probe probe

	in  scanner // of the goroutine that reads
	out scanner // of the goroutine that writes

	waiting atomic.Int64 // commands without a reply
	used    atomic.Bool  // a command was answered
	uncount atomic.Bool  // commands cannot be counted

	until time.Time // no deadline is later; zero: any may be
}

// SetReadDeadline implements [net.Conn].
func (g *guarded) SetReadDeadline(t time.Time) error { return g.Conn.SetReadDeadline(g.bounded(t)) }

// SetWriteDeadline implements [net.Conn].
func (g *guarded) SetWriteDeadline(t time.Time) error { return g.Conn.SetWriteDeadline(g.bounded(t)) }

func (g *guarded) bounded(t time.Time) time.Time {
	if !g.until.IsZero() && (t.IsZero() || t.After(g.until)) {
		return g.until
	}
	return t
}

func (g *guarded) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	ended := g.in.ended
	if bad := g.in.scan(p[:n]); bad != nil {
		return 0, bad
	}
	if g.in.ended > ended {
		g.used.Store(true)
	}
	waiting := g.waiting.Add(ended - g.in.ended)
	if !g.uncount.Load() && (waiting < 0 || waiting == 0 && !g.in.between()) {
		return 0, errUnasked
	}
	return n, err
}

func (g *guarded) Write(p []byte) (int, error) {
	if g.used.Load() && g.out.between() && g.waiting.Load() == 0 && !g.uncount.Load() && g.probe.ended(g.Conn) {
		return 0, errStale
	}
	started := g.out.started
	if err := g.out.scan(p); err != nil {
		g.uncount.Store(true)
	}
	// Counted as soon as it begins: a server may refuse it before its end.
	g.waiting.Add(g.out.started - started)
	return g.Conn.Write(p)
}
