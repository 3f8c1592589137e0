package redisstore

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// A probe looks whether an idle connection has ended, without a round trip.
type probe struct {
	raw syscall.RawConn // nil: cannot tell
	tls bool
}

func probeOf(c net.Conn) probe {
	var p probe
	if t, ok := c.(*tls.Conn); ok {
		p.tls = true
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return p
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return p
	}
	p.raw = raw
	return p
}

// ended reports whether c, from which nothing is expected, has ended or has something to say. The
// deadline for reading is then another one.
func (p probe) ended(c net.Conn) bool {
	if p.raw == nil {
		return false
	}
	pending, ended := peek(p.raw)
	if ended || !p.tls {
		return pending || ended
	}
	// TLS has messages of its own, such as session tickets, which Read takes in and does not
	// return. All of it is here already: it does not take long. And what it has taken from the
	// socket together with the last reply is not in the socket any more.
	var wait time.Duration
	if pending {
		wait = time.Millisecond
	}
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return true
	}
	var b [1]byte
	_, err := c.Read(b[:])
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
