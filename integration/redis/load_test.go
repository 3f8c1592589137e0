// Package redis_test runs redisstore on a Redis Cluster and behind Redis Sentinel, and kills their
// masters under load.
package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/sessionstore"
)

// A load is many requests at once to records that are all there.
type load struct {
	store   sessionstore.Store
	records int

	mu    sync.Mutex
	acked map[int]ack // of each record: what was confirmed last
	lost  []ack       // what was confirmed, and is not there

	loads, updates, absent, failed atomic.Int64
	wrong                          atomic.Int64 // errors that are none of the expected
	lastFailure                    atomic.Int64 // in nanoseconds since 1970
}

// An ack is a change that was confirmed.
type ack struct {
	version uint64
	at      time.Time
}

func recordKey(i int) sessionstore.Key {
	return sessionstore.Key{Kind: "session", ID: fmt.Sprintf("record-%04d", i)}
}

// newLoad makes the records, each of them on one replica at least before it returns.
func newLoad(t *testing.T, store sessionstore.Store, records int, masters ...*redistest.Server) *load {
	t.Helper()
	l := &load{store: store, records: records, acked: map[int]ack{}}
	for i := range records {
		if err := store.Delete(t.Context(), recordKey(i)); err != nil { // of the load before this
			t.Fatal(err)
		}
		c := sessionstore.Change{
			Mode:    sessionstore.MustNotExist,
			Set:     []sessionstore.Field{{Name: "n", Version: 1}, {Name: "id", Value: fmt.Sprint(i)}},
			Expires: time.Now().Add(time.Hour),
		}
		if err := store.Update(t.Context(), recordKey(i), c); err != nil {
			t.Fatal(err)
		}
		l.acked[i] = ack{1, time.Now()}
	}
	for _, m := range masters {
		awaitReplicas(t, m)
	}
	return l
}

// awaitReplicas waits until the replicas of m have all that m had when it was called.
func awaitReplicas(t *testing.T, m *redistest.Server) {
	t.Helper()
	goal := int64(-1)
	m.AwaitFunc(t, func(info string) bool {
		var offset int64
		replicas, behind := 0, false
		for line := range lines(info) {
			var n, port, at, lag int64
			if c, _ := fmt.Sscanf(line, "master_repl_offset:%d", &n); c == 1 {
				offset = n
			}
			var index int
			if c, _ := fmt.Sscanf(line, "slave%d:ip=127.0.0.1,port=%d,state=online,offset=%d,lag=%d", &index, &port, &at, &lag); c == 4 {
				replicas++
				behind = behind || at < goal
			}
		}
		if goal < 0 { // a connection of one's own has written nothing that WAIT would wait for
			goal = offset
			return false
		}
		return replicas > 0 && !behind
	}, "INFO", "replication")
}

// run sends requests from n workers until ctx ends. Each record belongs to one worker.
func (l *load) run(ctx context.Context, n int) *sync.WaitGroup {
	wg := new(sync.WaitGroup)
	for w := range n {
		wg.Go(func() {
			for i := w; ctx.Err() == nil; i += n {
				if !l.request(i % l.records) {
					<-time.After(time.Millisecond) // a store that knows better answers at once
				}
			}
		})
	}
	return wg
}

// request loads a record and counts it up, and reports whether that went well.
func (l *load) request(i int) bool {
	ctx := context.Background() // a request that began is finished
	r, err := l.store.Load(ctx, recordKey(i))
	l.loads.Add(1)
	if l.note(err) {
		return false
	}
	if f, ok := r.Field("id"); !ok || f.Value != fmt.Sprint(i) {
		l.wrong.Add(1)
	}
	f, _ := r.Field("n")
	l.compare(i, f.Version)
	err = l.store.Update(ctx, recordKey(i), sessionstore.Change{
		If:  []sessionstore.Match{{Name: "n", Version: f.Version}},
		Set: []sessionstore.Field{{Name: "n", Version: f.Version + 1}},
	})
	l.updates.Add(1)
	if l.note(err) {
		return false
	}
	l.mu.Lock()
	l.acked[i] = ack{f.Version + 1, time.Now()}
	l.mu.Unlock()
	return true
}

// note counts an error, and reports whether there was one.
func (l *load) note(err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, sessionstore.ErrNotFound):
		l.absent.Add(1)
	case errors.Is(err, sessionstore.ErrUnavailable), errors.Is(err, sessionstore.ErrOverloaded):
		l.failed.Add(1)
		l.lastFailure.Store(time.Now().UnixNano())
	default:
		l.wrong.Add(1)
	}
	return true
}

// compare notes what a record has forgotten, which replication without acknowledgement may do. It has
// this version now.
func (l *load) compare(i int, version uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.acked[i]; version < last.version {
		l.lost = append(l.lost, ack{last.version - version, last.at})
		l.acked[i] = ack{version, last.at}
	}
}

// check compares all records, and returns how many changes are lost, and when the last of them was
// confirmed.
func (l *load) check(t *testing.T) (changes uint64, last time.Time) {
	t.Helper()
	for i := range l.records {
		r, err := l.store.Load(t.Context(), recordKey(i))
		if err != nil {
			t.Fatalf("record %d, afterwards: %v", i, err)
		}
		f, _ := r.Field("n")
		l.compare(i, f.Version)
	}
	for _, a := range l.lost {
		changes += a.version
		if a.at.After(last) {
			last = a.at
		}
	}
	return changes, last
}

// resumes is how long after a failover everything is well again, on a machine that is busy with other
// tests; how long it took is in the log.
const resumes = 20 * time.Second

// demoted is how long after a failover has begun a change may be confirmed by the former master, which is
// to lose it. On a machine at rest it is none.
const demoted = 3 * time.Second

// survive runs the load, kills a master in the middle, and checks what must hold.
func (l *load) survive(t *testing.T, kill func(), recovered func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	wg := l.run(ctx, 8)
	await(t, "load", func() bool { return l.updates.Load() > 2000 })
	before := l.failed.Load()
	killed := time.Now()
	kill()
	await(t, "failover", recovered)
	failover := time.Since(killed)
	// After it, every record can be changed again.
	changed := l.updates.Load()
	await(t, "all records", func() bool {
		if l.updates.Load() < changed+4000 {
			return false
		}
		last := time.Unix(0, l.lastFailure.Load())
		return time.Since(last) > time.Second
	})
	stop()
	wg.Wait()
	last := max(0, time.Unix(0, l.lastFailure.Load()).Sub(killed))
	changes, confirmed := l.check(t)
	if late := confirmed.Sub(killed); late > demoted {
		t.Errorf("a change is lost that was confirmed %v after the failover had begun", late)
	}
	t.Logf("failover after %v, last failure after %v; %d loads, %d updates, %d failed; %d confirmed changes lost to replication",
		failover.Round(10*time.Millisecond), last.Round(10*time.Millisecond), l.loads.Load(), l.updates.Load(), l.failed.Load(), changes)
	if before != 0 {
		t.Errorf("got %d failures before the failover, want 0", before)
	}
	if l.absent.Load() != 0 {
		t.Errorf("got %d times %v for records that are there, want 0", l.absent.Load(), sessionstore.ErrNotFound)
	}
	if l.wrong.Load() != 0 {
		t.Errorf("got %d errors of another class, or records of others, want 0", l.wrong.Load())
	}
	if last > failover+resumes {
		t.Errorf("the last failure came %v after the failover", last-failover)
	}
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-tick.C
	}
}
