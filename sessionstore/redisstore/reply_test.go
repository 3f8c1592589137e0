//go:build unix

package redisstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// onePool lends one connection.
type onePool struct{ conn redis.Conn }

func (p onePool) Get() redis.Conn { return p.conn }

// Whatever a server answers to a load, the outcome is a record of that key, "not found" for an
// empty hash and for nothing else, or an error. A connection that reads records by itself comes to the
// same, however the reply is cut.
func FuzzLoad(f *testing.F) {
	for _, row := range replies {
		if len(row.reply) < 1<<12 {
			f.Add([]byte(row.reply))
		}
	}
	for _, reply := range []string{
		"*2\r\n$0\r\n\r\n$28\r\n1900000000000 session:fuzz-1\r\n",
		"*4\r\n$1\r\na\r\n$2\r\n\x00b\r\n$0\r\n\r\n$28\r\n1900000000000 session:fuzz-1\r\n",
		"*4\r\n$0\r\n\r\n$28\r\n1900000000000 session:fuzz-1\r\n$1\r\na\r\n$10\r\n\x08\x00\x00\x00\x00\x00\x00\x00\x07b\r\n",
		"*4\r\n$0\r\n\r\n$28\r\n1900000000000 session:fuzz-1\r\n$1\r\na\r\n$5\r\n\x08\x00\x00\x00\x00\r\n",
		"*2\r\n$0\r\n\r\n$28\r\n1900000000000 session:fuzz-2\r\n",
	} {
		f.Add([]byte(reply))
	}
	f.Add([]byte("*2\r\n$0\r\n\r\n$28\r\n1900000000000 session:fuzz-1\r\n+more\r\n"))
	k := sessionstore.Key{Kind: "session", ID: "fuzz-1"}
	f.Fuzz(func(t *testing.T, reply []byte) {
		load := func(cut int, dial func(net.Conn) redis.Conn) (sessionstore.Record, error) {
			s := redisstore.New(onePool{dial(stream{r: chunked{bytes.NewReader(reply), cut}})})
			return s.Load(t.Context(), k)
		}
		plain := func(c net.Conn) redis.Conn { return redis.NewConn(redisstore.Guard(c, 4096), 0, 0) }
		reading := func(c net.Conn) redis.Conn { return redisstore.Reading(c, 4096) }
		one, oneErr := load(1, plain)
		if got, err := load(1, reading); got.Pack() != one.Pack() || !sameOutcome(err, oneErr) {
			t.Errorf("byte by byte: got %d fields, %v, want %d, %v", got.Len(), err, one.Len(), oneErr)
		}
		r, err := load(len(reply)+1, plain)
		if got, gotErr := load(len(reply)+1, reading); got.Pack() != r.Pack() || !sameOutcome(gotErr, err) {
			t.Errorf("at once: got %d fields, %v, want %d, %v", got.Len(), gotErr, r.Len(), err)
		}
		switch {
		case err == nil:
			if !bytes.Contains(reply, []byte(" session:fuzz-1")) {
				t.Errorf("got a record of %d fields that is not this key's", r.Len())
			}
			back, err := sessionstore.Unpack(r.Pack())
			if err != nil || back.Len() != r.Len() {
				t.Errorf("got a record that cannot be read: %v", err)
			}
		case errors.Is(err, sessionstore.ErrNotFound):
			if !strings.HasPrefix(string(reply), "*0") {
				t.Errorf("got %v for a reply that is no empty array", err)
			}
		}
	})
}

// sameOutcome reports whether both are a record, or none, or both an error: a reply that is malformed
// may be called by another name.
func sameOutcome(a, b error) bool {
	return (a == nil) == (b == nil) && errors.Is(a, sessionstore.ErrNotFound) == errors.Is(b, sessionstore.ErrNotFound)
}

// F38: what a later version writes behind the name of a record does not make it somebody else's.
func TestLoad_later(t *testing.T) {
	k := sessionstore.Key{Kind: "session", ID: "fuzz-1"}
	rows := []struct {
		name, header string
		found        bool
	}{
		{"as it is", "1900000000000 session:fuzz-1", true},
		{"a further member", "1900000000000 session:fuzz-1 further", true},
		{"two", "1900000000000 session:fuzz-1 further session:fuzz-2", true},
		{"another record's", "1900000000000 session:fuzz-2 session:fuzz-1", false},
		{"a longer name", "1900000000000 session:fuzz-1-further", false},
		{"no name", "1900000000000  session:fuzz-1", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			reply := fmt.Sprintf("*2\r\n$0\r\n\r\n$%d\r\n%s\r\n", len(row.header), row.header)
			for name, conn := range map[string]func(net.Conn) redis.Conn{
				"plain":   func(c net.Conn) redis.Conn { return redis.NewConn(redisstore.Guard(c, 4096), 0, 0) },
				"reading": func(c net.Conn) redis.Conn { return redisstore.Reading(c, 4096) },
			} {
				s := redisstore.New(onePool{conn(stream{r: strings.NewReader(reply)})})
				if _, err := s.Load(t.Context(), k); (err == nil) != row.found {
					t.Errorf("%s: got %v, want a record: %v", name, err, row.found)
				}
			}
		})
	}
}
