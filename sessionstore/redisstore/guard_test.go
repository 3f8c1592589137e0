//go:build unix

package redisstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A stream is a connection that sends bytes and takes whatever it is given.
type stream struct {
	net.Conn
	r io.Reader
}

func (s stream) Read(p []byte) (int, error)       { return s.r.Read(p) }
func (stream) Write(p []byte) (int, error)        { return len(p), nil }
func (stream) Close() error                       { return nil }
func (stream) SetDeadline(time.Time) error        { return nil }
func (stream) SetReadDeadline(time.Time) error    { return nil }
func (stream) SetWriteDeadline(t time.Time) error { return nil }

// guarded returns a connection of redigo that reads from r, behind a guard for replies of a
// thousand bytes.
func guarded(r io.Reader) redis.Conn {
	return redis.NewConn(redisstore.Guard(stream{r: r}, 1000), 0, 0)
}

var replies = []struct {
	name, reply string
	err         string // a part of it; empty: redigo returns the reply, or an error of its own
}{
	{"simple string", "+OK\r\n", ""},
	{"error", "-ERR no\r\n", ""},
	{"integer", ":12\r\n", ""},
	{"bulk", "$3\r\nabc\r\n", ""},
	{"empty bulk", "$0\r\n\r\n", ""},
	{"null bulk", "$-1\r\n", ""},
	{"bulk of line ends", "$4\r\n\r\n\r\n\r\n", ""},
	{"bulk that looks like a length", "$9\r\n$99999999\r\n", ""},
	{"array", "*3\r\n$1\r\na\r\n:1\r\n+b\r\n", ""},
	{"empty array", "*0\r\n", ""},
	{"null array", "*-1\r\n", ""},
	{"arrays in arrays", "*2\r\n*1\r\n*0\r\n*2\r\n:1\r\n$-1\r\n", ""},
	{"eight deep", strings.Repeat("*1\r\n", 8) + ":1\r\n", ""},
	{"as large as allowed", "$960\r\n" + strings.Repeat("x", 960) + "\r\n", ""},

	{"one byte too large", "$961\r\n", "too large"},
	{"2 GB", "$2147483647\r\n", "too large"},
	{"100 TB", "$99999999999999\r\n", "too large"},
	{"more than an int64", "$99999999999999999999\r\n", "too large"},
	{"wraps to 1 in an int64", "$18446744073709551617\r\n", "too large"},
	{"100 M elements", "*100000000\r\n", "too large"},
	{"elements that add up", "*60\r\n" + strings.Repeat("$40\r\n"+strings.Repeat("x", 40)+"\r\n", 60), "too large"},
	{"lines that add up", "*60\r\n" + strings.Repeat("+"+strings.Repeat("x", 40)+"\r\n", 60), "too large"},
	{"short lines that add up", "*60\r\n" + strings.Repeat(":1\r\n", 60), "too large"},
	{"arrays that add up", "*30\r\n" + strings.Repeat("*30\r\n", 30), "too large"},
	{"nine deep", strings.Repeat("*1\r\n", 9), "too large"},
	{"deep without end", strings.Repeat("*1\r\n", 1_000_000), "too large"},
	{"line without end", "+" + strings.Repeat("x", 1<<17), "too large"},
	{"error without end", "-" + strings.Repeat("x", 1<<17), "too large"},

	{"length -2", "$-2\r\n", "malformed"},
	{"length --1", "$--1\r\n", "malformed"},
	{"length 1-", "$1-\r\n", "malformed"},
	{"length +1", "$+1\r\n", "malformed"},
	{"no length", "$\r\n", "malformed"},
	{"length of letters", "$abc\r\n", "malformed"},
	{"length of zeroes without end", "$" + strings.Repeat("0", 1000), "malformed"},
	{"length of zeroes with an end", "*1\r\n$" + strings.Repeat("0", 30) + "\r\n\r\n", "malformed"},
	{"length without carriage return", "$1\nx\r\n", "malformed"},
	{"length with two", "$1\r\r\nx\r\n", "malformed"},
	{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "not a Redis"},
	{"TLS", "\x15\x03\x01\x00\x02\x02\x50", "not a Redis"},
	{"RESP3", "%1\r\n+a\r\n+b\r\n", "not a Redis"},
	{"HTML in an array", "*1\r\n<html>", "malformed"},
	{"a second reply", "+OK\r\n+OK\r\n", "without a command"},
	{"the beginning of a second reply", "+OK\r\n$5\r\nhe", "without a command"},
}

func TestGuard(t *testing.T) {
	for _, row := range replies {
		for _, chunk := range []int{1, 7, 4096} {
			t.Run(row.name+" by "+strconv.Itoa(chunk), func(t *testing.T) {
				got, err := guarded(chunked{strings.NewReader(row.reply), chunk}).Do("PING")
				if row.err != "" {
					// What was not asked for may come after the reply, and is then found by
					// whoever asks next.
					if err == nil && strings.HasPrefix(row.reply, "+OK") && chunk < 4096 {
						return
					}
					if err == nil || !strings.Contains(err.Error(), row.err) {
						t.Fatalf("got %v, %v, want error %q", got, err, row.err)
					}
					return
				}
				want, wantErr := redis.NewConn(stream{r: strings.NewReader(row.reply)}, 0, 0).Do("PING")
				if !same(got, want) || (err == nil) != (wantErr == nil) {
					t.Errorf("got %v, %v, want %v, %v as without a guard", got, err, want, wantErr)
				}
			})
		}
	}
}

func same(a, b any) bool {
	x, ok := a.([]any)
	y, ok2 := b.([]any)
	if !ok || !ok2 {
		p, ok := a.([]byte)
		q, ok2 := b.([]byte)
		if ok && ok2 {
			return bytes.Equal(p, q)
		}
		return a == b
	}
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if !same(x[i], y[i]) {
			return false
		}
	}
	return true
}

// chunked gives at most n bytes at a time.
type chunked struct {
	r io.Reader
	n int
}

func (c chunked) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

// What the guard lets through never makes redigo panic, and is what redigo reads without it.
func FuzzGuard(f *testing.F) {
	for _, row := range replies {
		if len(row.reply) < 1<<12 {
			f.Add([]byte(row.reply), uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, reply []byte, chunk uint8) {
		got, err := guarded(chunked{bytes.NewReader(reply), int(chunk)%64 + 1}).Do("PING")
		if _, answered := err.(redis.Error); err != nil && !answered {
			return
		}
		want, wantErr := redis.NewConn(stream{r: bytes.NewReader(reply)}, 0, 0).Do("PING")
		if !same(got, want) || err != wantErr {
			t.Errorf("got %v, %v, want %v, %v", got, err, want, wantErr)
		}
	})
}

// A fake is a server that answers each command with bytes, whatever they are.
func fake(t testing.TB, answer func(command string, n int) string) redisstore.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					command, err := readCommand(r)
					if err != nil {
						return
					}
					if _, err := io.WriteString(c, answer(command, n)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return redisstore.Server{URL: "redis://" + l.Addr().String()}
}

// readCommand returns the words of a command, joined by blanks.
func readCommand(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "*")))
	if err != nil {
		return "", err
	}
	words := make([]string, n)
	for i := range words {
		if line, err = r.ReadString('\n'); err != nil {
			return "", err
		}
		size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
		if err != nil {
			return "", err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		words[i] = string(b[:size])
	}
	return strings.Join(words, " "), nil
}

// F17: a reply that nobody asked for is noticed before it is taken for another one.
func TestUnaskedReply(t *testing.T) {
	server := fake(t, func(command string, n int) string {
		if n == 0 {
			return "*0\r\n*2\r\n$0\r\n\r\n$9\r\n1 kind:id\r\n"
		}
		return "*0\r\n"
	})
	s, pool := open(t, server)
	for range 20 {
		// The unasked reply comes with the first or after it: then it is found, unread, before
		// the next command is sent.
		r, err := s.Load(context.Background(), sessionstore.Key{Kind: "kind", ID: "id"})
		if err == nil {
			t.Fatalf("got a record with end %v that nobody asked for", r.Expires)
		}
		if !errors.Is(err, sessionstore.ErrNotFound) && !errors.Is(err, sessionstore.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n := pool.ActiveCount(); n > 1 {
		t.Errorf("got %d connections, want at most 1", n)
	}
}
