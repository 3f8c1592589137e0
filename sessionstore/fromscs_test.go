package sessionstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/storetest"
)

func TestFromSCSContract(t *testing.T) {
	rows := []struct {
		name string
		open func() sessionstore.SCS
	}{
		{"plain", func() sessionstore.SCS { return memstore.NewWithCleanupInterval(0) }},
		{"with context", func() sessionstore.SCS { return newCtxStore() }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			storetest.Suite{
				Open:   func(*testing.T) sessionstore.Store { return sessionstore.FromSCS(row.open()) },
				Around: synctest.Test,
			}.Run(t)
		})
	}
}

func TestFromSCSTrials(t *testing.T) {
	rows := []struct {
		name  string
		trial func(ctx context.Context, s sessionstore.Store, trials int) (int, error)
	}{
		{"lost writes", storetest.LostWrites},
		{"revived", storetest.Revived},
		{"double takes", storetest.DoubleTakes},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got, err := row.trial(t.Context(), sessionstore.FromSCS(memstore.NewWithCleanupInterval(0)), 1000)
			if err != nil || got != 0 {
				t.Errorf("got %d of 1000 and error %v, want 0 and none", got, err)
			}
		})
	}
}

// TestFromSCSLast keeps a record until the last moment that a change may name, in a store that counts
// nanoseconds.
func TestFromSCSLast(t *testing.T) {
	s := sessionstore.FromSCS(memstore.NewWithCleanupInterval(0))
	c := create()
	c.Expires = time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
	if err := s.Update(t.Context(), sessionKey(1), c); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Load(t.Context(), sessionKey(1)); err != nil || !r.Expires.Equal(c.Expires) {
		t.Errorf("got end %v, %v, want %v", r.Expires, err, c.Expires)
	}
}

// TestFromSCSTwice shows why the comment of FromSCS warns: two of them, as two processes would have,
// lose writes.
func TestFromSCSTwice(t *testing.T) {
	slow := newCtxStore()
	one, two := sessionstore.FromSCS(slow), sessionstore.FromSCS(slow)
	k := sessionKey(1)
	if err := one.Update(t.Context(), k, create()); err != nil {
		t.Fatal(err)
	}
	slow.commit = func() { // between the first one's Find and its Commit
		slow.commit = nil
		if err := two.Update(t.Context(), k, sessionstore.Change{Set: []sessionstore.Field{{Name: "b", Value: "2"}}}); err != nil {
			t.Error(err)
		}
	}
	if err := one.Update(t.Context(), k, sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "1"}}}); err != nil {
		t.Fatal(err)
	}
	r, err := one.Load(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Field("b"); ok {
		t.Error("got both writes; if that is certain, FromSCS need not warn")
	}
	for _, s := range []sessionstore.Store{one, two, sessionstore.Sealed(one, sessionstore.NewKeyring())} {
		if p, ok := s.(sessionstore.SingleProcess); !ok || !p.SingleProcess() {
			t.Error("got a store for many processes, want one for a single process")
		}
	}
}

// TestFromSCSFailure checks that a store that fails is never taken for one that looked.
func TestFromSCSFailure(t *testing.T) {
	down := errors.New("connection refused")
	s := newCtxStore()
	store := sessionstore.FromSCS(s)
	k := sessionKey(1)
	if err := store.Update(t.Context(), k, create()); err != nil {
		t.Fatal(err)
	}
	s.err = down
	_, err := store.Load(t.Context(), k)
	rows := []struct {
		name string
		err  error
	}{
		{"load", err},
		{"update", store.Update(t.Context(), k, sessionstore.Change{})},
		{"create", store.Update(t.Context(), sessionKey(2), create())},
		{"delete", store.Delete(t.Context(), k)},
		{"ping", store.Ping(t.Context())},
	}
	for _, row := range rows {
		if !errors.Is(row.err, down) || errors.Is(row.err, sessionstore.ErrNotFound) {
			t.Errorf("%s: got error %v, want %v", row.name, row.err, down)
		}
	}
	s.err = nil
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("ping afterwards: got error %v, want none", err)
	}
	if _, err := store.Load(t.Context(), k); err != nil {
		t.Errorf("afterwards: got error %v, want none", err)
	}
}

// A value that is no record of ours is a record without fields: nothing is created in its place, nobody finds
// in it what they ask for, and a change that asks for nothing in it replaces it. One of a later version stays,
// until its record is deleted or ended.
func TestFromSCSUnread(t *testing.T) {
	whole := sessionstore.NewRecord(aTime, f("a", "1", 7)).Pack()
	values := []struct {
		name, value string
		later       bool
	}{
		{"another program's", "gob of some other program", false},
		{"nothing", "", false},
		{"cut off", whole[:len(whole)-1], false},
		{"too long", whole + "x", false},
		{"the layout before ours", "\x00" + whole[1:], false},
		{"the next layout", "\x02" + whole[1:], true},
		{"a later layout", "\x0f" + whole[1:], true},
		{"behind any layout", "\x10" + whole[1:], false},
	}
	set := []sessionstore.Field{f("b", "2", 1)}
	hour := time.Now().Add(time.Hour)
	rows := []struct {
		name        string
		c           sessionstore.Change
		want, later error // of a value of a later version
		left        int   // fields; -1: no record
	}{
		{"create", sessionstore.Change{Mode: sessionstore.MustNotExist, Set: set, Expires: hour}, sessionstore.ErrExists, sessionstore.ErrExists, 0},
		{"on what was there", sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 7}}, Set: set, Expires: hour}, sessionstore.ErrConflict, sessionstore.ErrConflict, 0},
		{"on nothing", sessionstore.Change{Mode: sessionstore.MayExist, If: []sessionstore.Match{{Name: "a"}}, Set: set, Expires: hour}, nil, sessionstore.ErrMisconfigured, 1},
		{"whatever was there", sessionstore.Change{Mode: sessionstore.MayExist, Set: set, Expires: hour}, nil, sessionstore.ErrMisconfigured, 1},
		{"without an end", sessionstore.Change{Set: set}, nil, sessionstore.ErrMisconfigured, 1},
		{"prolong", sessionstore.Change{Expires: hour}, nil, sessionstore.ErrMisconfigured, 0},
		{"nothing", sessionstore.Change{}, nil, nil, 0},
		{"end", sessionstore.Change{Expires: time.Unix(0, 0)}, nil, nil, -1},
	}
	k := sessionKey(1)
	for _, v := range values {
		for _, row := range rows {
			t.Run(v.name+", "+row.name, func(t *testing.T) {
				m, unread := memstore.NewWithCleanupInterval(0), 0
				if err := m.Commit(k.Kind+":"+k.ID, []byte(v.value), hour); err != nil {
					t.Fatal(err)
				}
				s := sessionstore.FromSCS(m)
				s.Unread = func(_ sessionstore.Key, err error) {
					if unread++; strings.Contains(err.Error(), "gob") {
						t.Errorf("%v tells of the value", err)
					}
				}
				r, err := s.Load(t.Context(), k)
				if err != nil || r.Len() != 0 || time.Until(r.Expires) <= 0 || unread != 1 {
					t.Errorf("Load: got %d fields until %v, %v; told %d times; want an empty record that has not ended, and to be told", r.Len(), r.Expires, err, unread)
				}
				want, left := row.want, row.left
				if v.later {
					if want = row.later; want != nil {
						left = 0
					}
				}
				if err := s.Update(t.Context(), k, row.c); !errors.Is(err, want) {
					t.Errorf("Update: got error %v, want %v", err, want)
				}
				b, found, _ := m.Find(k.Kind + ":" + k.ID)
				if (want != nil || row.name == "nothing") && string(b) != v.value {
					t.Error("the value has changed")
				}
				if r, err := s.Load(t.Context(), k); found && (err != nil || r.Len() != left) || found != (left >= 0) {
					t.Errorf("afterwards: got %d fields, %v, want %d", r.Len(), err, left)
				}
				if err := s.Delete(t.Context(), k); err != nil {
					t.Error(err)
				}
				if _, err := s.Load(t.Context(), k); !errors.Is(err, sessionstore.ErrNotFound) {
					t.Errorf("deleted: got error %v, want %v", err, sessionstore.ErrNotFound)
				}
			})
		}
	}
}

// TestFromSCSCanceled checks that who waits for a record leaves when canceled, and that a change
// which has begun to write does not.
func TestFromSCSCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCtxStore()
		store := sessionstore.FromSCS(s)
		k := sessionKey(1)
		if err := store.Update(t.Context(), k, create()); err != nil {
			t.Fatal(err)
		}
		goOn := make(chan struct{})
		s.commit = sync.OnceFunc(func() { <-goOn })
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var wg sync.WaitGroup
		wg.Go(func() {
			first = store.Update(ctx, k, sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "1"}}})
		})
		synctest.Wait()
		waiting := make(chan struct{})
		go func() {
			defer close(waiting)
			second = store.Delete(ctx, k)
		}()
		synctest.Wait()
		cancel()
		<-waiting
		close(goOn)
		wg.Wait()
		if first != nil || !errors.Is(second, context.Canceled) {
			t.Errorf("got errors %v of the writer and %v of the one that waited, want none and %v", first, second, context.Canceled)
		}
	})
}

// hung is a store that answers nothing until its caller has had enough.
type hung struct{ *ctxStore }

func (hung) FindCtx(ctx context.Context, _ string) ([]byte, bool, error) {
	<-ctx.Done()
	return nil, false, ctx.Err()
}

func (hung) DeleteCtx(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestFromSCSHung checks that every method returns in bounded time, as those above a store rely on.
func TestFromSCSHung(t *testing.T) {
	rows := []struct {
		name string
		do   func(ctx context.Context, s *sessionstore.SCSStore) error
	}{
		{"load", func(ctx context.Context, s *sessionstore.SCSStore) error {
			_, err := s.Load(ctx, sessionKey(1))
			return err
		}},
		{"update", func(ctx context.Context, s *sessionstore.SCSStore) error {
			return s.Update(ctx, sessionKey(1), create())
		}},
		{"delete", func(ctx context.Context, s *sessionstore.SCSStore) error { return s.Delete(ctx, sessionKey(1)) }},
		{"ping", func(ctx context.Context, s *sessionstore.SCSStore) error { return s.Ping(ctx) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := sessionstore.FromSCS(hung{newCtxStore()}), time.Now()
				err := row.do(t.Context(), s)
				if took := time.Since(began); took > 10*time.Second || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got error %v after %v, want %v within ten seconds", err, took, context.DeadlineExceeded)
				}
			})
		})
	}
}

// TestFromSCSPanic checks that a store that panics leaves no record locked.
func TestFromSCSPanic(t *testing.T) {
	s := newCtxStore()
	store := sessionstore.FromSCS(s)
	k := sessionKey(1)
	s.commit = sync.OnceFunc(func() { panic("a bug of the store") })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("got no panic")
			}
		}()
		store.Update(t.Context(), k, create())
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.commit = nil
	if err := store.Update(ctx, k, create()); err != nil {
		t.Errorf("got error %v, want none", err)
	}
}

// A ctxStore is a scs.CtxStore that can fail, and can be held up before it writes.
type ctxStore struct {
	*memstore.MemStore
	err    error
	commit func()
}

var _ scs.CtxStore = (*ctxStore)(nil)

func newCtxStore() *ctxStore { return &ctxStore{MemStore: memstore.NewWithCleanupInterval(0)} }

func (s *ctxStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return nil, false, err
	}
	return s.MemStore.Find(token)
}

func (s *ctxStore) CommitCtx(ctx context.Context, token string, b []byte, expiry time.Time) error {
	if s.commit != nil {
		s.commit()
	}
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return err
	}
	return s.MemStore.Commit(token, b, expiry)
}

func (s *ctxStore) DeleteCtx(ctx context.Context, token string) error {
	if err := errors.Join(s.err, ctx.Err()); err != nil {
		return err
	}
	return s.MemStore.Delete(token)
}

// Find, Commit and Delete fail: a store that knows contexts is asked with one.
func (s *ctxStore) Find(string) ([]byte, bool, error) {
	return nil, false, errors.New("without a context")
}

func (s *ctxStore) Commit(string, []byte, time.Time) error { return errors.New("without a context") }

func (s *ctxStore) Delete(string) error { return errors.New("without a context") }
