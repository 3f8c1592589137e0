package redisstore

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A conn is redigo's connection, and reads records by itself. redigo makes three objects of each
// field and each value, which takes as long as all the rest of a load: here a record is copied once,
// from what the socket has received into the string that it stays in.
type conn struct {
	redigo
	net    *guarded
	buf    []byte
	queued bool // a command was sent whose reply nobody has asked for

	addr    string    // that was dialed
	checked time.Time // when the server was asked for its role
}

var _ redigo = (*conn)(nil)

// reading returns c, which is redigo's connection to addr over g, as one that reads records by itself.
func reading(c redis.Conn, g *guarded, addr string) redis.Conn {
	r, ok := c.(redigo)
	if !ok {
		return c
	}
	return &conn{redigo: r, net: g, addr: addr, checked: time.Now()}
}

// redigo is what redigo's own connections can do.
type redigo interface {
	redis.ConnWithTimeout
	redis.ConnWithContext
}

// Sizes of a connection's buffer. What a larger record needed is given back.
const (
	minBuffer = 4 << 10
	maxBuffer = 64 << 10
)

// Send implements [redis.Conn].
func (c *conn) Send(command string, args ...any) error {
	c.queued = true
	return c.redigo.Send(command, args...)
}

// Do implements [redis.Conn].
func (c *conn) Do(command string, args ...any) (any, error) {
	c.queued = false
	return c.redigo.Do(command, args...)
}

// DoWithTimeout implements [redis.ConnWithTimeout]. The reply to a load is that load. The time is that
// of the whole command, where redigo's begins when all of it is sent.
func (c *conn) DoWithTimeout(timeout time.Duration, command string, args ...any) (any, error) {
	if l, ok := loadOf(command, args); ok && !c.queued {
		return c.load(l, timeout)
	}
	c.queued = false
	if timeout > 0 {
		c.net.until = time.Now().Add(timeout)
		defer func() { c.net.until = time.Time{} }()
	}
	return c.redigo.DoWithTimeout(timeout, command, args...)
}

// load asks for a record and reads it. Nothing else is under way on the connection.
func (c *conn) load(l *load, timeout time.Duration) (any, error) {
	if err := c.Err(); err != nil {
		return nil, err
	}
	reply, err := c.exchange(l.query.key, timeout)
	if err != nil {
		c.Close() // its pool asks Err, and does not take it back
		return nil, err
	}
	if len(c.buf) > maxBuffer {
		defer func() { c.buf = nil }()
	}
	if reply[0] == '-' {
		return nil, redis.Error(bytes.TrimSuffix(reply[1:], []byte("\r\n")))
	}
	l.scan(reply)
	return l, nil
}

// exchange sends HGETALL and returns the reply, whole, in the connection's buffer.
func (c *conn) exchange(name string, timeout time.Duration) ([]byte, error) {
	deadline := time.Now().Add(timeout)
	if err := c.net.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if c.buf == nil {
		c.buf = make([]byte, minBuffer)
	}
	b := append(c.buf[:0], "*2\r\n$7\r\nHGETALL\r\n$"...)
	b = strconv.AppendInt(b, int64(len(name)), 10)
	b = append(b, "\r\n"...)
	b = append(b, name...)
	if _, err := c.net.Write(append(b, "\r\n"...)); err != nil {
		return nil, err
	}
	// The probe of TLS had a deadline of its own.
	if c.net.probe.tls {
		if err := c.net.SetReadDeadline(deadline); err != nil {
			return nil, err
		}
	}
	// The guard has judged every length by the time that the bytes are here: a buffer that is twice
	// as long as what has come is no more than the reply may have.
	n, ended := 0, c.net.in.ended
	for c.net.in.ended == ended {
		if n == len(c.buf) {
			c.buf = append(c.buf, make([]byte, n)...)
		}
		read, err := c.net.Read(c.buf[n:])
		n += read
		// With TLS, the end of a connection may come together with the reply before it.
		if err != nil && (err != io.EOF || c.net.in.ended == ended) {
			return nil, err
		}
	}
	return c.buf[:n], nil
}
