//go:build unix

package redisstore_test

import (
	"bytes"
	"errors"
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
// empty hash and for nothing else, or an error.
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
	k := sessionstore.Key{Kind: "session", ID: "fuzz-1"}
	f.Fuzz(func(t *testing.T, reply []byte) {
		s := redisstore.New(onePool{redis.NewConn(redisstore.Guard(stream{r: bytes.NewReader(reply)}, 4096), 0, 0)})
		r, err := s.Load(t.Context(), k)
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
