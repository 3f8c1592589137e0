package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// stuffed is a store that has no room for any change that makes a record larger.
type stuffed struct {
	sessionstore.Store
	full bool
}

func (s *stuffed) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if !s.full || len(c.Set) == 0 {
		return s.Store.Update(ctx, k, c)
	}
	rec, err := s.Store.Load(ctx, k)
	if err != nil && !errors.Is(err, sessionstore.ErrNotFound) {
		return err
	}
	after := sessionstore.NewRecord(rec.Expires, fieldsOf(rec)...)
	before := after.Size()
	if after, err = after.Apply(sessionstore.Change{Set: c.Set, Delete: c.Delete}); err == nil && after.Size() > before {
		return fmt.Errorf("no room: %w", sessionstore.ErrFull)
	}
	return s.Store.Update(ctx, k, c)
}

func fieldsOf(rec sessionstore.Record) (fs []sessionstore.Field) {
	for f := range rec.All() {
		fs = append(fs, f)
	}
	return fs
}

// A store that takes nothing that grows: who signs out is signed out, and what a sign-out of everything
// could not do is an error that says what it did.
func TestFull_signOut(t *testing.T) {
	rows := []struct {
		name string
		do   func(k *kit, bs []*browser) error
		full bool  // the error
		left []int // who is still signed in
	}{
		{"a browser", func(_ *kit, bs []*browser) error {
			if got := bs[0].post("/auth/logout", nil).StatusCode; got != http.StatusSeeOther {
				return fmt.Errorf("status %d", got)
			}
			return nil
		}, false, []int{1, 2}},
		{"everything", func(k *kit, _ []*browser) error { return k.auth.SignOutUser(k.t.Context(), adaUser) }, true, nil},
		{"the others", func(k *kit, bs []*browser) (err error) {
			k.within(bs[1], func(ctx context.Context) { err = middleware.SignOutOthers(ctx) })
			return err
		}, true, []int{1}},
		{"one of them", func(k *kit, _ []*browser) error {
			all, err := k.auth.SessionsOf(k.t.Context(), adaUser)
			if err != nil {
				return err
			}
			return k.auth.EndSession(k.t.Context(), adaUser, all[len(all)-1].ID)
		}, false, []int{1, 2}},
		{"everything, once more", func(k *kit, _ []*browser) error {
			err := k.auth.SignOutUser(k.t.Context(), adaUser)
			if again := k.auth.SignOutUser(k.t.Context(), adaUser); !errors.Is(again, sessionstore.ErrFull) {
				k.t.Errorf("once more: %v", again)
			}
			return err
		}, true, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachFresh(t, func(t *testing.T, again func(...func(*kit, *middleware.Config)) *kit) {
				k := again(asUser)
				var bs []*browser
				for range 3 {
					b := k.browser()
					b.signIn("idp", "ada", "/")
					b.whoami()
					bs = append(bs, b)
				}
				store := &stuffed{Store: k.auth.Store(), full: true}
				k.auth.SetStore(store)
				err := row.do(k, bs)
				if errors.Is(err, sessionstore.ErrFull) != row.full || err != nil && !row.full {
					t.Errorf("error %v", err)
				}
				if row.full && !strings.Contains(err.Error(), strconv.Itoa(3-len(row.left))+" sessions have ended") {
					t.Errorf("error %v, want one that says what has ended", err)
				}
				for i, b := range bs {
					want := nobody
					for _, n := range row.left {
						if n == i {
							want = ada
						}
					}
					if got := b.whoami(); got != want {
						t.Errorf("browser %d: signed in as %s, want %s", i, got, want)
					}
				}
				store.full = false
				k.browser().signIn("idp", "ada", "/")
			})
		})
	}
}

// A store with a budget that is used up to the last byte: a sign-out of everything makes its own room, and
// a sign-in that is under way does not outlive it.
func TestFull_memory(t *testing.T) {
	store := &sessionstore.Memory{MaxBytes: 256 << 10}
	k := newKit(t, asUser, func(_ *kit, c *middleware.Config) { c.Store = store })
	var bs []*browser
	for range 10 {
		b := k.browser()
		b.signIn("idp", "ada", "/")
		bs = append(bs, b)
	}
	b := k.browser()
	callback := b.approve(b.start("idp", "/"), "ada")
	met := false
	beforeSave(k, func() {
		met = true
		fill(t, store)
		if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
			t.Error(err)
		}
	})
	resp := b.back(callback)
	if !met || resp.StatusCode == http.StatusSeeOther || b.whoami() != nobody {
		t.Errorf("the sign-in under way: status %d, signed in as %s", resp.StatusCode, b.whoami())
	}
	for i, b := range bs {
		if got := b.whoami(); got != nobody {
			t.Errorf("browser %d: %s", i, got)
		}
	}
	if err := store.Delete(t.Context(), filler); err != nil {
		t.Fatal(err)
	}
	k.browser().signIn("idp", "ada", "/")
}

var filler = sessionstore.Key{Kind: "filler", ID: "x"}

// fill leaves no byte of a member's budget.
func fill(t *testing.T, s sessionstore.Store) {
	t.Helper()
	c := sessionstore.Change{Mode: sessionstore.MayExist, Expires: time.Now().Add(time.Hour), Tier: sessionstore.Member}
	n := 0
	for size := 64 << 10; size > 0; size /= 2 {
		for {
			c.Set = []sessionstore.Field{{Name: "x", Value: strings.Repeat("x", n+size)}}
			if err := s.Update(t.Context(), filler, c); errors.Is(err, sessionstore.ErrFull) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			n += size
		}
	}
}

// A Redis that may use no more memory, and evicts nothing.
func TestFull_redis(t *testing.T) {
	server := redistest.Start(t)
	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://" + server.Addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	store := redisstore.New(pool)
	store.Timeout = 10 * time.Second
	k := newKit(t, asUser, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, sessionstore.NewKeyring() })
	var bs []*browser
	for range 60 {
		b := k.browser()
		b.signIn("idp", "ada", "/")
		b.put("notes", "x")
		bs = append(bs, b)
	}
	info := fmt.Sprintf("%s", server.Do(t, "INFO", "memory"))
	_, used, _ := strings.Cut(info, "used_memory:")
	used, _, _ = strings.Cut(used, "\r")
	n, err := strconv.Atoi(used)
	if err != nil {
		t.Fatal(err)
	}
	server.Do(t, "CONFIG", "SET", "maxmemory", n-4096)
	if resp := bs[0].post("/auth/logout", nil); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("sign-out: status %d; log:\n%s", resp.StatusCode, k.log)
	}
	if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
		t.Errorf("sign-out of everything: %v", err)
	}
	for i, b := range bs {
		if got := b.whoami(); got != nobody {
			t.Errorf("browser %d: %s", i, got)
		}
	}
}
