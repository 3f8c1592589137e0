//go:build unix

package redisstore_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A record may have any size: one that comes in many pieces is read as one that comes in one, and
// does not get in the way of the next.
func TestSizes(t *testing.T) {
	server := redistest.Start(t)
	s, pool := open(t, redisstore.Server{URL: server.URL()})
	for _, n := range []int{0, 1, 4000, 4096, 5000, 1 << 16, 1 << 20, 3} {
		k := sessionstore.Key{Kind: "session", ID: "size"}
		want := sessionstore.Field{Name: "a", Value: strings.Repeat("x", n), Version: 7}
		if err := s.Update(t.Context(), k, create(want)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, err := s.Load(t.Context(), k)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := r.Field("a"); !ok || got != want || r.Len() != 1 {
				t.Errorf("%d bytes: got %d, %v, in %d fields", n, len(got.Value), ok, r.Len())
			}
		}
		if err := s.Delete(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if n := pool.ActiveCount(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}
}

// The server's refusal of one load leaves the connection as good as it was.
func TestRefusedLoad(t *testing.T) {
	server := redistest.Start(t)
	s, pool := open(t, redisstore.Server{URL: server.URL()})
	server.Do(t, "SET", "rl:session:"+canary, "no hash")
	for range 2 {
		_, err := s.Load(t.Context(), key)
		wantClass(t, "load", err, sessionstore.ErrMisconfigured)
	}
	server.Do(t, "DEL", "rl:session:"+canary)
	_, err := s.Load(t.Context(), key)
	wantClass(t, "load", err, sessionstore.ErrNotFound)
	if active, idle := pool.ActiveCount(), pool.IdleCount(); active != 1 || idle != 1 {
		t.Errorf("got %d connections, %d of them idle, want one, idle", active, idle)
	}
}

// Commands that others have sent on the connection are answered before the load, and not to it.
func TestLoadBehindOthers(t *testing.T) {
	server := redistest.Start(t)
	s, pool := open(t, redisstore.Server{URL: server.URL()})
	if err := s.Update(t.Context(), key, create(sessionstore.Field{Name: "a", Value: "1"})); err != nil {
		t.Fatal(err)
	}
	c := pool.Get()
	defer c.Close()
	if err := errors.Join(c.Send("PING"), c.Flush()); err != nil {
		t.Fatal(err)
	}
	r, err := redisstore.New(onePool{c}).Load(t.Context(), key)
	if f, ok := r.Field("a"); err != nil || !ok || f.Value != "1" {
		t.Errorf("got %v, %v", ok, err)
	}
}

// A reply that is whole is a reply, even if the connection ends with it.
func TestReplyAndEnd(t *testing.T) {
	for _, row := range []struct {
		name, reply string
		want        []error
	}{
		{"whole", "*0\r\n", []error{sessionstore.ErrNotFound}},
		{"cut off", "*0\r", []error{sessionstore.ErrUnavailable}},
		{"more than it", "*0\r\n*0\r\n", []error{sessionstore.ErrUnavailable}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := redisstore.Reading(stream{r: iotest.DataErrReader(strings.NewReader(row.reply))}, 0)
			_, err := redisstore.New(onePool{c}).Load(t.Context(), key)
			wantClass(t, "load", err, row.want...)
		})
	}
}
