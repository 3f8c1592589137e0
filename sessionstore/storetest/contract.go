// Package storetest is the contract of [sessionstore.Store] as a test suite. A store passes it:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) sessionstore.Store { return mystore.New(…) })
//	}
//
// Run it with -race. [Suite] has the settings. [LostWrites], [Revived] and [DoubleTakes] are trials that
// count what must never happen: run them for as long as it takes to believe the count, from several
// processes at once if the store is shared.
package storetest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A Suite runs the contract against one store.
type Suite struct {
	// Open returns the store under test; required. It is called once for each test. The store
	// need not be empty: tests use random keys.
	Open func(t *testing.T) sessionstore.Store

	// Around runs one test. Nil: as it is. [testing/synctest.Test] fits, for stores that live
	// in one process: records then expire without waiting.
	Around func(t *testing.T, test func(t *testing.T))

	// Advance lets time pass for the store. Nil: [time.Sleep]; without Around, the tests that
	// wait then do so in parallel, for a good second in all.
	Advance func(d time.Duration)

	// Fill makes a store full: for one more record, or one of 1 MiB more, it has no room. Nil:
	// the store has no bounds, and their tests are left out.
	Fill func(t *testing.T, s sessionstore.Store)
}

// Run runs the contract against the store that open returns, in real time.
func Run(t *testing.T, open func(t *testing.T) sessionstore.Store) {
	Suite{Open: open}.Run(t)
}

// Run runs every test of the contract.
func (s Suite) Run(t *testing.T) {
	parallel := s.Around == nil && s.Advance == nil
	if s.Around == nil {
		s.Around = func(t *testing.T, test func(t *testing.T)) { test(t) }
	}
	if s.Advance == nil {
		s.Advance = time.Sleep
	}
	s.run(t, false, records, values, limits, conditions, batches, races)
	s.run(t, parallel, endings)
	if s.Fill != nil {
		s.run(t, false, bounds)
	}
}

func (s Suite) run(t *testing.T, parallel bool, groups ...[]contract) {
	for _, group := range groups {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				if parallel {
					t.Parallel()
				}
				s.Around(t, func(t *testing.T) {
					c.test(&trial{T: t, store: s.Open(t), key: randomKey("test"), suite: s})
				})
			})
		}
	}
}

// A contract is one sentence of it, and the test of that.
type contract struct {
	name string
	test func(t *trial)
}

// A trial is one test: a store, and a key that nobody else uses.
type trial struct {
	*testing.T
	store sessionstore.Store
	key   sessionstore.Key
	suite Suite
}

func randomKey(kind string) sessionstore.Key {
	return sessionstore.Key{Kind: kind, ID: rand.Text()}
}

// in returns the time d from now, as stores keep it.
func in(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Millisecond) }

func field(name, value string) sessionstore.Field {
	return sessionstore.Field{Name: name, Value: value}
}

func versioned(name, value string, version uint64) sessionstore.Field {
	return sessionstore.Field{Name: name, Value: value, Version: version}
}

// fresh is the change that makes a record of fields, for an hour.
func fresh(fields ...sessionstore.Field) sessionstore.Change {
	return sessionstore.Change{Mode: sessionstore.MustNotExist, Set: fields, Expires: in(time.Hour)}
}

// update applies c to the trial's record; want is the error, nil for none.
func (t *trial) update(c sessionstore.Change, want error) {
	t.Helper()
	wantError(t, "Update", t.store.Update(context.Background(), t.key, c), want)
}

// advance lets time pass for the store.
func (t *trial) advance(d time.Duration) { t.suite.Advance(d) }

func (t *trial) delete() {
	t.Helper()
	wantError(t, "Delete", t.store.Delete(context.Background(), t.key), nil)
}

func (t *trial) load() sessionstore.Record {
	t.Helper()
	r, err := t.store.Load(context.Background(), t.key)
	wantError(t, "Load", err, nil)
	return r
}

// gone checks that the trial's record is not there.
func (t *trial) gone() {
	t.Helper()
	_, err := t.store.Load(context.Background(), t.key)
	wantError(t, "Load", err, sessionstore.ErrNotFound)
}

// ends checks when the trial's record does.
func (t *trial) ends(want time.Time) {
	t.Helper()
	if got := t.load().Expires; !got.Equal(want) {
		t.Errorf("got end %v, want %v", got, want)
	}
}

// holds checks that the trial's record has these fields and no other.
func (t *trial) holds(want ...sessionstore.Field) {
	t.Helper()
	r := t.load()
	for _, w := range want {
		got, ok := r.Field(w.Name)
		switch {
		case !ok:
			t.Errorf("field %.20q is not there", w.Name)
		case got.Name != w.Name || got.Version != w.Version:
			t.Errorf("got field %.20q version %d, want %.20q version %d", got.Name, got.Version, w.Name, w.Version)
		case got.Value != w.Value:
			t.Errorf("field %.20q: got %d bytes %.20q, want %d bytes %.20q", w.Name, len(got.Value), got.Value, len(w.Value), w.Value)
		}
	}
	n := 0
	for range r.All() {
		n++
	}
	if n != len(want) {
		t.Errorf("got %d fields, want %d", n, len(want))
	}
}
