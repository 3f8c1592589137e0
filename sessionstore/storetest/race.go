package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// races: what many writers at once may and may not do. The trials below do the same as often as
// one likes.
var races = []contract{
	{"writers of different fields all win", func(t *trial) {
		t.update(fresh(), nil)
		const writers, rounds = 16, 10
		var want []sessionstore.Field
		for w := range writers {
			want = append(want, field(fmt.Sprint("writer ", w), fmt.Sprint(rounds-1)))
		}
		together(writers, func(w int) {
			for i := range rounds {
				t.update(sessionstore.Change{Set: []sessionstore.Field{field(fmt.Sprint("writer ", w), fmt.Sprint(i))}}, nil)
			}
		})
		t.holds(want...)
	}},
	{"of many creators one wins", func(t *trial) {
		t.winners(20, sessionstore.ErrExists, func(w int) sessionstore.Change { return fresh(field("winner", fmt.Sprint(w))) })
	}},
	{"of many with one condition one wins", func(t *trial) {
		t.update(fresh(versioned("a", "1", 7)), nil)
		t.winners(20, sessionstore.ErrConflict, func(w int) sessionstore.Change {
			return sessionstore.Change{
				If:  []sessionstore.Match{{Name: "a", Version: 7}},
				Set: []sessionstore.Field{versioned("a", "2", 8+uint64(w)), field("winner", fmt.Sprint(w))},
			}
		})
	}},
	{"of many takers one wins", func(t *trial) {
		t.update(fresh(versioned("a", "1", 7)), nil)
		t.winners(20, sessionstore.ErrConflict, func(w int) sessionstore.Change {
			return sessionstore.Change{
				If:     []sessionstore.Match{{Name: "a", Version: 7}},
				Delete: []string{"a"},
				Set:    []sessionstore.Field{field("winner", fmt.Sprint(w))},
			}
		})
	}},
	{"many creators of one field: absence decides", func(t *trial) {
		c := func(w int) sessionstore.Change {
			c := fresh(versioned("a", "1", 8+uint64(w)), field("winner", fmt.Sprint(w)))
			c.Mode, c.If = sessionstore.MayExist, []sessionstore.Match{{Name: "a"}}
			return c
		}
		t.winners(20, sessionstore.ErrConflict, c)
	}},
	{"a counter by compare and set counts all", func(t *trial) {
		t.update(fresh(versioned("n", "", 1)), nil)
		const writers, each = 8, 10
		together(writers, func(int) {
			for range each {
				for {
					f, _ := t.load().Field("n")
					err := t.store.Update(context.Background(), t.key, sessionstore.Change{
						If:  []sessionstore.Match{{Name: "n", Version: f.Version}},
						Set: []sessionstore.Field{versioned("n", "", f.Version+1)},
					})
					if err == nil {
						break
					}
					if !errors.Is(err, sessionstore.ErrConflict) {
						t.Errorf("Update: got error %v, want %v", err, sessionstore.ErrConflict)
						return
					}
				}
			}
		})
		t.holds(versioned("n", "", 1+writers*each))
	}},
	{"a reader never sees half a change", func(t *trial) {
		pair := func(v string) []sessionstore.Field { return []sessionstore.Field{field("a", v), field("b", v)} }
		t.update(fresh(pair("0")...), nil)
		together(4, func(w int) {
			for i := range 25 {
				if w > 0 {
					t.update(sessionstore.Change{Set: pair(fmt.Sprint(w, i))}, nil)
				}
				r := t.load()
				a, _ := r.Field("a")
				if b, _ := r.Field("b"); a.Value != b.Value {
					t.Errorf("got a=%q and b=%q, want them equal", a.Value, b.Value)
				}
			}
		})
	}},
	{"writers revive nothing", func(t *trial) {
		for range 25 {
			t.key = randomKey("test")
			t.update(fresh(field("a", "1")), nil)
			together(5, func(w int) {
				if w == 0 {
					t.delete()
					t.gone()
					return
				}
				err := t.store.Update(context.Background(), t.key, sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}, Expires: in(time.Hour)})
				if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
					t.Errorf("Update: got error %v, want %v or none", err, sessionstore.ErrNotFound)
				}
			})
			t.gone()
		}
	}},
}

// winners lets n writers make a change at once, and checks that one succeeded, that the others got
// the error of losers, and that the record says who won.
func (t *trial) winners(n int, loses error, change func(w int) sessionstore.Change) {
	t.Helper()
	var won atomic.Int64
	winner := int64(-1)
	together(n, func(w int) {
		err := t.store.Update(context.Background(), t.key, change(w))
		if err == nil {
			won.Add(1)
			atomic.StoreInt64(&winner, int64(w))
			return
		}
		wantError(t, "Update of a loser", err, loses)
	})
	if won.Load() != 1 {
		t.Fatalf("got %d winners, want 1", won.Load())
	}
	f, _ := t.load().Field("winner")
	if got, want := f.Value, fmt.Sprint(winner); got != want {
		t.Errorf("the record says that %q won, want %q", got, want)
	}
}

// together runs f n times at once and waits for all.
func together(n int, f func(i int)) {
	var ready atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			// All are started before the first begins, or else it is done before the last.
			for ready.Add(1); ready.Load() < int64(n); {
				runtime.Gosched()
			}
			f(i)
		})
	}
	wg.Wait()
}

// LostWrites makes trials in which two writers change different fields of one record at once, and
// returns in how many of them a write was lost.
func LostWrites(ctx context.Context, s sessionstore.Store, trials int) (lost int, err error) {
	k := randomKey("trial")
	if err := s.Update(ctx, k, fresh()); err != nil {
		return 0, err
	}
	names := [2]string{"a", "b"}
	for i := range trials {
		var errs [2]error
		value := fmt.Sprint(i)
		together(2, func(w int) {
			errs[w] = s.Update(ctx, k, sessionstore.Change{Set: []sessionstore.Field{field(names[w], value)}})
		})
		r, err := s.Load(ctx, k)
		if err := errors.Join(errs[0], errs[1], err); err != nil {
			return lost, err
		}
		a, _ := r.Field("a")
		if b, _ := r.Field("b"); a.Value != value || b.Value != value {
			lost++
		}
	}
	return lost, s.Delete(ctx, k)
}

// Revived makes trials in which a record is deleted and changed at once, and returns in how many
// of them it was there afterwards.
func Revived(ctx context.Context, s sessionstore.Store, trials int) (revived int, err error) {
	for range trials {
		k := randomKey("trial")
		if err := s.Update(ctx, k, fresh(field("a", "1"))); err != nil {
			return revived, err
		}
		var errs [2]error
		together(2, func(w int) {
			if w == 0 {
				errs[w] = s.Delete(ctx, k)
				return
			}
			errs[w] = s.Update(ctx, k, sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}})
		})
		if errors.Is(errs[1], sessionstore.ErrNotFound) {
			errs[1] = nil
		}
		_, err := s.Load(ctx, k)
		if err == nil {
			revived++
		} else if errors.Is(err, sessionstore.ErrNotFound) {
			err = nil
		}
		if err := errors.Join(errs[0], errs[1], err, s.Delete(ctx, k)); err != nil {
			return revived, err
		}
	}
	return revived, nil
}

// DoubleTakes makes trials in which two takers want one one-time value at once, and returns in how
// many of them not exactly one got it.
func DoubleTakes(ctx context.Context, s sessionstore.Store, trials int) (wrong int, err error) {
	k := randomKey("trial")
	if err := s.Update(ctx, k, fresh()); err != nil {
		return 0, err
	}
	for i := range trials {
		version := uint64(i) + 1
		if err := s.Update(ctx, k, sessionstore.Change{Set: []sessionstore.Field{versioned("a", "once", version)}}); err != nil {
			return wrong, err
		}
		var errs [2]error
		together(2, func(w int) {
			errs[w] = s.Update(ctx, k, sessionstore.Change{
				If:     []sessionstore.Match{{Name: "a", Version: version}},
				Delete: []string{"a"},
			})
		})
		got := 0
		for _, err := range errs {
			switch {
			case err == nil:
				got++
			case !errors.Is(err, sessionstore.ErrConflict):
				return wrong, err
			}
		}
		if got != 1 {
			wrong++
		}
	}
	return wrong, s.Delete(ctx, k)
}
