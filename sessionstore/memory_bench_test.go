package sessionstore_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// tenFields returns what a session of ten small values holds, values of their own for each i.
func tenFields(i int) []sessionstore.Field {
	fields := make([]sessionstore.Field, 10)
	for j := range fields {
		fields[j] = sessionstore.Field{Name: fmt.Sprintf("key%d", j), Value: fmt.Sprintf("value %d of session %024d", j, i)}
	}
	return fields
}

func sessionKey(i int) sessionstore.Key {
	return sessionstore.Key{Kind: "session", ID: fmt.Sprintf("%022d", i)}
}

func BenchmarkMemoryLoad(b *testing.B) {
	ctx := context.Background()
	var m sessionstore.Memory
	const records = 1000
	keys := make([]sessionstore.Key, records)
	for i := range keys {
		keys[i] = sessionKey(i)
		if err := m.Update(ctx, keys[i], create(tenFields(i)...)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, err := m.Load(ctx, keys[i%records])
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := r.Field("key9"); !ok {
			b.Fatal("no field")
		}
	}
}

func BenchmarkMemoryUpdate(b *testing.B) {
	ctx := context.Background()
	var m sessionstore.Memory
	k := sessionKey(1)
	if err := m.Update(ctx, k, create(tenFields(1)...)); err != nil {
		b.Fatal(err)
	}
	set := []sessionstore.Field{{Name: "key5", Value: "another"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Update(ctx, k, sessionstore.Change{Set: set}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealedLoad(b *testing.B) {
	ctx := context.Background()
	s := sessionstore.Sealed(new(sessionstore.Memory), sessionstore.NewKeyring())
	k := sessionKey(1)
	if err := s.Update(ctx, k, create(tenFields(1)...)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := s.Load(ctx, k)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := r.Field("key9"); !ok {
			b.Fatal("no field")
		}
	}
}

// BenchmarkMemoryBytes reports what a record takes, the heap's reserve included: B/record is what
// the process has, counted/record what the budget says.
func BenchmarkMemoryBytes(b *testing.B) {
	ctx := context.Background()
	const records = 200_000
	for b.Loop() {
		m := new(sessionstore.Memory)
		before := heap()
		for i := range records {
			if err := m.Update(ctx, sessionKey(i), create(tenFields(i)...)); err != nil {
				b.Fatal(err)
			}
		}
		after := heap()
		members, _ := m.Used()
		b.ReportMetric(float64(after-before)/records, "B/record")
		b.ReportMetric(float64(members)/records, "counted/record")
		runtime.KeepAlive(m)
	}
}

// BenchmarkMemorySweep makes a million records that expire in one second and then changes a live
// one until they are gone. It reports how long the slowest changes took: each holds a lock, and
// sweeps meanwhile. The garbage collector is off, because its pauses are not ours.
func BenchmarkMemorySweep(b *testing.B) {
	ctx := context.Background()
	const records = 1_000_000
	for b.Loop() {
		m := &sessionstore.Memory{MaxBytes: 1 << 32}
		end := time.Now().Add(45 * time.Second)
		c := create(sessionstore.Field{Name: "a", Value: "1"})
		c.Expires = end
		for i := range records {
			if err := m.Update(ctx, sessionKey(i), c); err != nil {
				b.Fatal(err)
			}
		}
		if left := time.Until(end); left > 0 {
			time.Sleep(left)
		}
		runtime.GC()
		gc := debug.SetGCPercent(-1)
		full, _ := m.Used()
		var took []time.Duration
		for i := 0; ; i++ {
			c := create(sessionstore.Field{Name: "a", Value: "1"})
			start := time.Now()
			if err := m.Update(ctx, sessionKey(records+i), c); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
			if members, _ := m.Used(); i > records || members < full/2 {
				break
			}
		}
		slices.Sort(took)
		b.ReportMetric(float64(len(took)), "changes")
		b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "ns/median")
		b.ReportMetric(float64(took[len(took)*9999/10000].Nanoseconds()), "ns/p99.99")
		b.ReportMetric(float64(took[len(took)-1].Nanoseconds()), "ns/max")

		// The rest at once: a store that is full looks for all the room it can find.
		m.MaxBytes = 1
		start := time.Now()
		m.Update(ctx, sessionstore.Key{Kind: "session", ID: "last"}, create())
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/reclaim-all")
		debug.SetGCPercent(gc)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return ms.HeapAlloc
}

// create returns the change that makes a record of fields, for an hour.
func create(fields ...sessionstore.Field) sessionstore.Change {
	return sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     fields,
		Expires: time.Now().Add(time.Hour),
	}
}
