//go:build unix

package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// bench is a session of ten values in Redis, plain and sealed, and a string of the same size.
type bench struct {
	plain, sealed sessionstore.Store
	pool          *redis.Pool // the store's
	bare          *redis.Pool // of redigo alone, no guard and no test
	key, other    sessionstore.Key
	blob          string
}

func newBench(b *testing.B) *bench {
	server := redistest.Start(b)
	s, pool := open(b, redisstore.Server{URL: server.URL()})
	x := &bench{
		plain:  s,
		sealed: sessionstore.Sealed(s, sessionstore.NewKeyring()),
		pool:   pool,
		bare: &redis.Pool{MaxIdle: 64, DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialContext(ctx, "tcp", server.Addr, redis.DialReadTimeout(time.Second), redis.DialWriteTimeout(time.Second))
		}},
		key:   sessionstore.Key{Kind: "session", ID: "plain"},
		other: sessionstore.Key{Kind: "session", ID: "sealed"},
	}
	b.Cleanup(func() { x.bare.Close() })
	c := sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: time.Now().Add(time.Hour)}
	for i := range 10 {
		c.Set = append(c.Set, sessionstore.Field{Name: fmt.Sprint("key", i), Value: strings.Repeat("v", 90)})
	}
	for _, err := range []error{x.plain.Update(b.Context(), x.key, c), x.sealed.Update(b.Context(), x.other, c)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	r, err := x.plain.Load(b.Context(), x.key)
	if err != nil {
		b.Fatal(err)
	}
	x.blob = r.Pack()
	server.Do(b, "SET", "blob", x.blob)
	return x
}

// A request's load, against a bare GET of the same bytes, through the same pool and through one
// of redigo alone.
func BenchmarkLoad(b *testing.B) {
	x := newBench(b)
	get := func(pool *redis.Pool) func() error {
		return func() error {
			c, err := pool.GetContext(b.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = redis.Bytes(redis.DoWithTimeout(c, time.Second, "GET", "blob"))
			return err
		}
	}
	load := func(s sessionstore.Store, k sessionstore.Key) func() error {
		return func() error {
			r, err := s.Load(b.Context(), k)
			if err != nil {
				return err
			}
			if _, ok := r.Field("key5"); !ok {
				return sessionstore.ErrNotFound
			}
			return nil
		}
	}
	run(b, []row{
		{"GET, redigo alone", get(x.bare)},
		{"GET, same pool", get(x.pool)},
		{"plain", load(x.plain, x.key)},
		{"sealed", load(x.sealed, x.other)},
	})
}

// A change of one value, against a bare SET of the whole with an end.
func BenchmarkUpdate(b *testing.B) {
	x := newBench(b)
	update := func(s sessionstore.Store, k sessionstore.Key) func() error {
		c := sessionstore.Change{Set: []sessionstore.Field{{Name: "key5", Value: strings.Repeat("w", 90)}}}
		return func() error { return s.Update(b.Context(), k, c) }
	}
	run(b, []row{
		{"SET", func() error {
			c := x.bare.Get()
			defer c.Close()
			_, err := c.Do("SET", "blob", x.blob, "PX", 3600_000)
			return err
		}},
		{"plain", update(x.plain, x.key)},
		{"sealed", update(x.sealed, x.other)},
	})
}

type row struct {
	name string
	do   func() error
}

// run runs the rows in turn, many short rounds of each, so that whatever else the machine does
// meets all of them. It reports each one's fastest round, and as × its share of the first's.
func run(b *testing.B, rows []row) {
	const each = 50
	fastest := make([]time.Duration, len(rows))
	for b.Loop() {
		for i, r := range rows {
			start := time.Now()
			for range each {
				if err := r.do(); err != nil {
					b.Fatal(r.name, err)
				}
			}
			if took := time.Since(start) / each; fastest[i] == 0 || took < fastest[i] {
				fastest[i] = took
			}
		}
	}
	for i, r := range rows {
		name := strings.ReplaceAll(r.name, " ", "-")
		b.ReportMetric(float64(fastest[i].Nanoseconds()), "ns/"+name)
		b.ReportMetric(float64(fastest[i])/float64(fastest[0]), "×/"+name)
	}
	for _, r := range rows {
		b.ReportMetric(testing.AllocsPerRun(100, func() { r.do() }), "allocs/"+strings.ReplaceAll(r.name, " ", "-"))
	}
}
