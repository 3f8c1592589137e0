package middleware_test

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A login on Redis takes at most seven commands for a person who returns, and nine for a new one: as the server
// counts them.
func TestCallback_commands(t *testing.T) {
	server := redistest.Start(t)
	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://" + server.Addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	store := redisstore.New(pool)
	store.Timeout = 10 * time.Second // of a busy machine
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, sessionstore.NewKeyring() })
	count := func() (n int) {
		for name, times := range server.Commands(t) {
			if name == "HGETALL" || name == "EVALSHA" || name == "EVAL" || name == "DEL" || name == "UNLINK" {
				n += times
			}
		}
		return n
	}
	k.browser().signIn("idp", "grace", "/") // the server knows the script
	b := k.browser()
	for _, row := range []struct {
		name string
		b    *browser
		most int
	}{
		{"new", b, 9},
		{"returns in the same browser", b, 7},
		{"returns in another browser", k.browser(), 7},
	} {
		callback := row.b.approve(row.b.start("idp", "/"), "ada")
		before := count()
		k.location(row.b.back(callback))
		if got := count() - before; got > row.most || got < 5 {
			t.Errorf("%s: %d commands, want at most %d", row.name, got, row.most)
		}
	}
}

// only returns the record of the only account, and its key.
func (w *watched) only(t *testing.T) (key sessionstore.Key, rec sessionstore.Record) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for k := range w.live {
		if r, err := w.Store.Load(t.Context(), k); err == nil && k.Kind == "account" {
			key, rec, n = k, r, n+1
		}
	}
	if n != 1 {
		t.Fatalf("%d accounts, want one", n)
	}
	return key, rec
}

// versionOf returns the version of a field, and how many sessions the record lists.
func versionOf(rec sessionstore.Record, field string) (version uint64, sessions int) {
	for name, v := range rec.Versions() {
		if name == field {
			version = v
		}
		if len(name) >= 22 {
			sessions++
		}
	}
	return version, sessions
}

// The profile, the sessions and the mark of an account are one record. What takes one of them away leaves the
// others, and for as long as they are needed.
func TestAccount_oneRecord(t *testing.T) {
	const mark = "!"
	disconnect := func(b *browser) { b.post("/auth/plain/disconnect", url.Values{"label": {"work"}}) }
	isNew := func(k *kit) func() bool {
		var last atomic.Bool
		k.onLogin(func(l loginContext) error { last.Store(l.login.IsNew); return nil })
		return last.Load
	}
	lasts := func(t *testing.T, rec sessionstore.Record, least time.Duration) {
		t.Helper()
		if got := time.Until(rec.Expires); got < least {
			t.Errorf("the record ends in %v, want at least %v", got, least)
		}
	}
	// linked signs grace in elsewhere by an account that b's ada has linked, and watches the store from before.
	linked := func(k *kit) (w *watched, b, elsewhere *browser) {
		b = k.browser()
		b.signIn("idp", "ada", "/")
		w = watch(k)
		b.link("plain", "work", "grace")
		elsewhere = k.browser()
		elsewhere.signIn("plain", "grace", "/")
		return w, b, elsewhere
	}
	rows := []struct {
		name string
		run  func(t *testing.T, k *kit)
	}{
		{"unlinked", func(t *testing.T, k *kit) {
			w, b, elsewhere := linked(k)
			disconnect(b)
			elsewhere.is(nobody)
			_, rec := w.only(t)
			if v, _ := versionOf(rec, mark); v == 0 {
				t.Error("no mark is left")
			}
			lasts(t, rec, 20*time.Hour)
		}},
		{"unlinked, does not open", func(t *testing.T, k *kit) {
			w, b, elsewhere := linked(k)
			w.garble(t, "account", "account", func(was string) string { return "\x02" + was })
			disconnect(b)
			elsewhere.is(nobody)
			_, rec := w.only(t)
			if v, _ := versionOf(rec, mark); v == 0 {
				t.Error("no mark is left")
			}
			lasts(t, rec, 20*time.Hour)
		}},
		{"does not open, its person signs in", func(t *testing.T, k *kit) {
			w := watch(k)
			first, second := k.browser(), k.browser()
			first.signIn("idp", "ada", "/")
			w.garble(t, "account", "account", func(was string) string { return "\x02" + was })
			second.signIn("idp", "ada", "/")
			if _, sessions := versionOf(recordOf(w.only(t)), mark); sessions != 2 {
				t.Errorf("%d sessions are listed, want 2", sessions)
			}
			if err := k.auth.SignOutUser(t.Context(), second.userID()); err != nil {
				t.Error(err)
			}
			first.is(nobody)
			second.is(nobody)
		}},
		{"abandoned", func(t *testing.T, k *kit) {
			w, b, _ := linked(k)
			disconnect(b)
			before, sessions := versionOf(recordOf(w.only(t)), mark)
			k.onLogin(func(loginContext) error { return middleware.Refuse("Not today.") })
			other := k.browser()
			k.rejected(other.back(other.approve(other.start("plain", "/"), "grace")), "refused_by_app")
			_, rec := w.only(t)
			if after, left := versionOf(rec, mark); after != before || left != sessions {
				t.Errorf("the mark changed: %v; %d sessions are listed, before %d", after != before, left, sessions)
			}
			lasts(t, rec, 20*time.Hour)
			last := isNew(k)
			if other.signIn("plain", "grace", "/"); !last() {
				t.Error("the next one is not new")
			}
		}},
		{"abandoned, with nothing else in it", func(t *testing.T, k *kit) {
			w := watch(k)
			k.onLogin(func(loginContext) error { return middleware.Refuse("Not today.") })
			b := k.browser()
			k.rejected(b.back(b.approve(b.start("plain", "/"), "grace")), "refused_by_app")
			if got := time.Until(recordOf(w.only(t)).Expires); got > time.Minute {
				t.Errorf("the record ends in %v, want less than a minute", got)
			}
		}},
		{"a record without a profile is of somebody new", func(t *testing.T, k *kit) {
			_, b, elsewhere := linked(k)
			user := b.userID()
			disconnect(b)
			last := isNew(k)
			if elsewhere.signIn("plain", "grace", "/"); !last() || elsewhere.userID() == user {
				t.Errorf("new: %v, as the one who disconnected it: %v", last(), elsewhere.userID() == user)
			}
			if elsewhere.signIn("plain", "grace", "/"); last() {
				t.Error("new twice")
			}
		}},
		{"of several at once one is new", func(t *testing.T, k *kit) {
			_, b, _ := linked(k)
			disconnect(b)
			var news atomic.Int64
			k.onLogin(func(l loginContext) error {
				if l.login.IsNew {
					news.Add(1)
				}
				return nil
			})
			const n = 6
			bs, callbacks := make([]*browser, n), make([]string, n)
			for i := range n {
				bs[i] = k.browser()
				callbacks[i] = bs[i].approve(bs[i].start("plain", "/"), "grace")
			}
			together(n, func(i int) { bs[i].patiently(callbacks[i]) })
			for _, b := range bs {
				b.is(grace)
			}
			if all, err := k.auth.SessionsOf(t.Context(), bs[0].userID()); err != nil || len(all) != n || news.Load() != 1 {
				t.Errorf("%d were new, want one; %d sessions, %v, want %d", news.Load(), len(all), err, n)
			}
		}},
		{"an older deadline", func(t *testing.T, k *kit) {
			w, b, _ := linked(k)
			disconnect(b)
			key, _ := w.only(t)
			later := time.Now().Add(90 * 24 * time.Hour)
			if err := k.auth.Store().Update(t.Context(), key, sessionstore.Change{Expires: later}); err != nil {
				t.Fatal(err)
			}
			last := func(least time.Duration) {
				t.Helper()
				rec, err := w.Store.Load(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				lasts(t, rec, least)
			}
			k.onLogin(func(loginContext) error { last(89 * 24 * time.Hour); return middleware.Refuse("Not today.") })
			other := k.browser()
			other.back(other.approve(other.start("plain", "/"), "grace"))
			last(20 * time.Hour)
			k.onLogin(func(loginContext) error { return nil })
			other.signIn("plain", "grace", "/")
			if err := k.auth.SignOutUser(t.Context(), other.userID()); err != nil {
				t.Error(err)
			}
			last(365 * 24 * time.Hour) // an account is for good
		}},
		{"the app ends the others while it is asked", func(t *testing.T, k *kit) {
			first, second := k.browser(), k.browser()
			first.signIn("idp", "ada", "/")
			k.onLogin(func(l loginContext) error {
				return k.auth.SignOutUser(context.Background(), l.login.Account.ID)
			})
			second.signIn("idp", "ada", "/")
			second.is(ada)
			first.is(nobody)
		}},
		{"signed out after the app was asked", func(t *testing.T, k *kit) {
			calls, news, user := 0, 0, ""
			k.onLogin(func(l loginContext) error {
				calls, user = calls+1, l.login.Account.ID
				if l.login.IsNew {
					news++
				}
				return nil
			})
			w := watch(k)
			for _, when := range []string{"new", "known"} {
				b, out := k.browser(), false
				callback := b.approve(b.start("plain", "/"), "emmy")
				calls = 0
				w.on(func(op string, key sessionstore.Key) error {
					if op == "update" && key.Kind == "account" && calls > 0 && !out {
						out = true
						return k.auth.SignOutUser(t.Context(), user)
					}
					return nil
				})
				resp := b.back(callback)
				w.on(nil)
				if b.is(nobody); resp.StatusCode != http.StatusConflict || !out {
					t.Errorf("%s: status %d, want 409; log:\n%s", when, resp.StatusCode, k.log)
				}
			}
			b := k.browser()
			b.signIn("plain", "emmy", "/")
			if news != 1 {
				t.Errorf("new %d times, want once", news)
			}
		}},
		{"a logout has named the session at the provider", func(t *testing.T, k *kit) {
			k.idp.Set(func(b *providertest.Behavior) { b.Claims = providertest.With("sid", "one") })
			w := watch(k)
			b := k.browser()
			b.signIn("idp", "ada", "/")
			w.mu.Lock()
			for key := range w.live {
				if key.Kind == "index" {
					set := []sessionstore.Field{{Name: mark, Version: 7}}
					if err := w.Store.Update(t.Context(), key, sessionstore.Change{Set: set}); err != nil {
						t.Error(err)
					}
				}
			}
			w.mu.Unlock()
			b.signIn("idp", "ada", "/") // begins after that logout
			b.is(ada)
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) { row.run(t, newKit(t, change)) })
		})
	}
}

// A process whose sessions are shorter does not end a list before the longer sessions that are in it.
func TestAccount_shorterLifetime(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		lifetime := func(d time.Duration) { k.auth.Sessions().Lifetime = d }
		w := watch(k)
		k.idp.Set(func(b *providertest.Behavior) { b.Claims = providertest.With("sid", "one") })
		b, other := k.browser(), k.browser()
		lifetime(90 * 24 * time.Hour)
		b.signIn("idp", "ada", "/")
		lifetime(time.Hour)
		other.signIn("idp", "ada", "/")
		lists := 0
		w.mu.Lock()
		defer w.mu.Unlock()
		for key := range w.live {
			rec, err := w.Store.Load(t.Context(), key)
			if key.Kind != "index" || err != nil {
				continue
			}
			if _, sessions := versionOf(rec, ""); sessions == 2 {
				lists++
			}
			if left := time.Until(rec.Expires); left < 89*24*time.Hour {
				t.Errorf("the list ends in %v, a session in 90 days", left)
			}
		}
		if lists != 1 {
			t.Errorf("%d lists of two sessions, want one", lists)
		}
	})
}

// recordOf returns the record of what [watched.only] returns.
func recordOf(_ sessionstore.Key, rec sessionstore.Record) sessionstore.Record { return rec }
