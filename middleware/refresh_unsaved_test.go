package middleware_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// unsavable makes the store of k take no change of a session after the first, which is the mark, or no
// operation at all, until the returned function is called. first is closed with the first refusal.
func unsavable(k *kit, loads bool) (first chan struct{}, end func()) {
	w := watch(k)
	first = make(chan struct{})
	var once sync.Once
	var updates atomic.Int64
	w.on(func(op string, key sessionstore.Key) error {
		if op == "update" && key.Kind == "session" && updates.Add(1) > 1 || op == "load" && loads && updates.Load() > 1 {
			once.Do(func() { close(first) })
			return sessionstore.ErrUnavailable
		}
		return nil
	})
	return first, func() { w.on(nil) }
}

// The store is out for longer than the renewed token lives. The process that has it goes on trying; what was
// traded for it is never sent again.
func TestRefresh_savedLate(t *testing.T) {
	for name, loads := range map[string]bool{"it takes no writes": false, "it is gone": true} {
		t.Run(name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, withShared)
					b := k.browser()
					b.signIn("plain", "ada", "/")
					next := k.beside()
					time.Sleep(time.Hour)
					_, end := unsavable(k, loads)
					if got := k.token(b, ""); got.err != nil {
						t.Fatal(got.err)
					}
					time.Sleep(5 * time.Hour)
					var p *middleware.Problem
					if got := k.token(b, ""); !loads && (!errors.As(got.err, &p) || p.Reason != middleware.ReasonStore) {
						t.Errorf("once it has ended: error %v, want the store's", got.err)
					}
					if got := k.refreshes(k.plain); got != 1 {
						t.Errorf("%d refreshes while it is not saved, want 1", got)
					}
					end()
					time.Sleep(10 * time.Second)
					for _, k := range []*kit{next, k} {
						if got := k.token(b, ""); got.err != nil {
							t.Errorf("once it is saved: %v", got.err)
						}
					}
					if got := k.refreshes(k.plain); got != 2 {
						t.Errorf("%d refreshes in all, want 2", got)
					}
					for _, k := range []*kit{next, k} {
						if err := k.auth.Close(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			})
		})
	}
}

// One of two processes loses the store for longer than its mark lasts, after it has traded the token. The
// other one tells its people to come again, and does not send that token.
func TestRefresh_oneCutOff(t *testing.T) {
	run := func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, withShared)
		next := k.beside()
		b := k.browser()
		b.signIn("plain", "ada", "/")
		first, end := unsavable(k, false)
		renewed := make(chan *providers.Token, 1)
		go k.within(b, func(ctx context.Context) {
			tok, err := middleware.Refresh(ctx, "")
			if err != nil {
				t.Error(err)
			}
			renewed <- tok
		})
		<-first
		next.within(b, func(ctx context.Context) {
			began := time.Now()
			if _, err := middleware.Refresh(ctx, ""); !errors.Is(err, providers.ErrUnavailable) {
				t.Errorf("the other process, after %v: error %v", time.Since(began), err)
			}
		})
		got := <-renewed
		end()
		if err := k.auth.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		next.within(b, func(ctx context.Context) { // which has watched the mark, and need not have seen yet
			if tok, err := middleware.Refresh(ctx, ""); err != nil || got != nil && tok.Access != got.Access {
				t.Errorf("at once: error %v", err)
			}
		})
		if later := next.token(b, ""); later.err != nil || got == nil || later.access != got.Access {
			t.Errorf("afterwards: another token, or error %v", later.err)
		}
		if n := k.refreshes(k.plain); n != 1 {
			t.Errorf("%d refreshes, want 1", n)
		}
		if err := next.auth.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) { run(t, change) })
	})
	t.Run("redis", func(t *testing.T) {
		store := realRedis(t)
		run(t, func(_ *kit, c *middleware.Config) { c.Store = store })
	})
}

// A renewed token that is not saved when the connection ends by other means is given back.
func TestRefresh_unsavedEnds(t *testing.T) {
	rows := []struct {
		name string
		then func(next *kit, b *browser) // at another process
	}{
		{"signed out", func(_ *kit, b *browser) { b.post("/auth/logout", nil) }},
		{"signed out everywhere", func(next *kit, b *browser) {
			if err := next.auth.SignOutUser(context.Background(), b.userID()); err != nil {
				next.t.Error(err)
			}
		}},
		{"disconnected", func(_ *kit, b *browser) { b.post("/auth/plain/disconnect", nil) }},
		{"the session has run out", func(*kit, *browser) { time.Sleep(24 * time.Hour) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, withShared)
					next := k.beside()
					notes(next)
					b := k.browser()
					b.signIn("plain", "ada", "/")
					time.Sleep(time.Hour)
					_, end := unsavable(k, false)
					if got := k.token(b, ""); got.err != nil {
						t.Fatal(got.err)
					}
					b.k = next
					row.then(next, b)
					if row.name != "the session has run out" {
						end()
					}
					if err := k.auth.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := next.auth.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					l := k.plain.Ledger()
					revoked := map[string]bool{}
					for _, r := range l.Of("revoke") {
						revoked[r.Form.Get("token")] = true
					}
					if newest := l.Refresh[len(l.Refresh)-1].Token; len(l.Refresh) != 2 || !revoked[newest] {
						t.Errorf("%d tokens revoked, and not the newest of %d", len(revoked), len(l.Refresh))
					}
				})
			})
		})
	}
}

// Close waits for a renewed token that is not saved as long as it may.
func TestRefresh_unsavedClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		_, end := unsavable(k, false)
		if got := k.token(b, ""); got.err != nil {
			t.Fatal(got.err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := k.auth.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v", err)
		}
		end()
		if err := k.auth.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whatever answer of the store is lost during a refresh: the token is sent once, and who waits for another
// process waits for no longer than that takes.
func TestRefresh_storeAnswerLost(t *testing.T) {
	for _, row := range []struct {
		name string
		n    int64 // of the changes
	}{
		{"to the mark", 1}, {"to the mark, while the provider is at it", 2}, {"to a later one", 4}, {"to the token", 11},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					var told atomic.Int64
					k := newKit(t, change, withShared, func(_ *kit, c *middleware.Config) {
						c.OnToken = func(context.Context, *middleware.TokenChange) { told.Add(1) }
					})
					next := k.beside()
					b := k.browser()
					b.signIn("plain", "ada", "/")
					time.Sleep(time.Hour)
					k.plain.Set(slowRefresh(9500 * time.Millisecond))
					k.auth.SetStore(&lostAnswer{Store: k.auth.Store(), n: row.n})
					began := time.Now()
					result := make(chan asked)
					go func() { result <- k.token(b, "") }()
					synctest.Wait()
					other := next.token(b, "")
					got := <-result
					if got.err != nil || other.err != nil || got.access != other.access {
						t.Errorf("two tokens: errors %v and %v", got.err, other.err)
					}
					if n := k.refreshes(k.plain); n != 1 || time.Since(began) > 10*time.Second {
						t.Errorf("%d refreshes in %v, want 1", n, time.Since(began))
					}
					if err := k.auth.Close(t.Context()); err != nil || told.Load() != 1 {
						t.Errorf("OnToken was told %d times, %v, want once", told.Load(), err)
					}
				})
			})
		})
	}
}

// A process that keeps as many renewed tokens as it may renews no others: what it cannot save it would throw away.
func TestRefresh_unsavedMost(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			b := k.browser()
			b.signIn("plain", "ada", "/")
			most := k.auth.AddUnsaved(0)
			k.auth.AddUnsaved(most)
			first := k.token(b, "")
			time.Sleep(time.Hour - 30*time.Second)
			if got := k.token(b, ""); got.err != nil || got.access != first.access {
				t.Errorf("while its token is good: error %v, or another token", got.err)
			}
			time.Sleep(time.Hour)
			var p *middleware.Problem
			if got := k.token(b, ""); !errors.As(got.err, &p) || p.Reason != middleware.ReasonStore {
				t.Errorf("once it has ended: error %v, want the store's", got.err)
			}
			if n := k.refreshes(k.plain); n != 0 {
				t.Errorf("%d refreshes, want none", n)
			}
			k.auth.AddUnsaved(-1)
			if got := k.token(b, ""); got.err != nil {
				t.Errorf("when one is saved: %v", got.err)
			}
		})
	})
}

// A mark that could not be given back, because the store was down, is given back when it is there again:
// nobody waits for a minute then.
func TestRefresh_markGivenBack(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, withShared)
			next := k.beside()
			b := k.browser()
			b.signIn("plain", "ada", "/")
			time.Sleep(time.Hour)
			down := k.plain.Behavior()
			k.plain.Set(func(b *providertest.Behavior) { b.Token = providertest.Fail(503, "temporarily_unavailable") })
			_, end := unsavable(k, false)
			if got := k.token(b, ""); got.err == nil {
				t.Error("renewed")
			}
			k.plain.SetBehavior(down)
			time.Sleep(10 * time.Second)
			end()
			time.Sleep(6 * time.Second)
			began := time.Now()
			if got := next.token(b, ""); got.err != nil || time.Since(began) > time.Second {
				t.Errorf("another process, after %v: error %v", time.Since(began), got.err)
			}
			if err := k.auth.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}
