package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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

// dies makes the process of w stop at its n-th change of a session from now on: it reaches nobody
// any more, until release.
func dies(w *watched, n int64) (release func()) {
	var left atomic.Int64
	left.Store(n)
	gone := make(chan struct{})
	w.on(func(op string, k sessionstore.Key) error {
		if op == "update" && k.Kind == "session" {
			left.Add(-1)
		}
		if left.Load() <= 0 {
			<-gone
			return errors.New("killed")
		}
		return nil
	})
	return func() { w.on(nil); close(gone) }
}

// FAULTS F2, F5: a process is killed before or after the provider has answered its refresh. The next one
// sends the token once more, and what comes of it is up to the provider: at most one sign-in.
func TestRefresh_killed(t *testing.T) {
	rows := []struct {
		name     string
		rotation providertest.Rotation
		updates  int64 // 1: before the mark, 2: with the answer
		want     error
		sent     int
	}{
		{"before the mark", providertest.RotateStrict, 1, nil, 1},
		{"F2 with the answer, some grace", providertest.RotateGrace, 2, nil, 2},
		{"F2 with the answer, no rotation", providertest.RotateNone, 2, nil, 2},
		{"F2 with the answer, strict", providertest.RotateStrict, 2, middleware.ErrReauthRequired, 2},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for range trials(t, 20) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, withShared)
					k.plain.Set(func(b *providertest.Behavior) { b.Rotation = row.rotation })
					b, other := k.browser(), k.browser()
					b.signIn("plain", "ada", "/")
					other.signIn("plain", "ada", "/")
					next := k.beside()
					time.Sleep(time.Hour)
					w := watch(k)
					release := dies(w, row.updates)
					gone := make(chan struct{})
					go func() { k.token(b, ""); close(gone) }()
					synctest.Wait()

					began := time.Now()
					for range 3 * (row.updates - 1) { // the token may have been sent, and whoever has may be alive
						if got := next.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) {
							t.Errorf("error %v, want unavailable", got.err)
						}
					}
					if took := time.Since(began); took > 4*time.Second { // a lease and a second
						t.Errorf("kept waiting for %v", took)
					}
					time.Sleep(time.Duration(row.updates-1) * 45 * time.Second)
					for range 3 {
						if got := next.token(b, ""); !errors.Is(got.err, row.want) {
							t.Errorf("error %v, want %v", got.err, row.want)
						}
					}
					if took := time.Since(began); took > 50*time.Second { // F5: as long as the mark lasts, a lease and a second
						t.Errorf("taken over after %v", took)
					}
					if got := len(k.plain.Ledger().Refreshes()); got != row.sent {
						t.Errorf("%d refreshes, want %d", got, row.sent)
					}
					b.k = next
					if got := b.whoami(); got != ada {
						t.Errorf("signed in as %q", got)
					}
					if row.want != nil { // one sign-in, and all is well
						b.signIn("plain", "ada", "/")
						if got := next.token(b, ""); got.err != nil {
							t.Errorf("after the sign-in: %v", got.err)
						}
					}
					if got := next.token(other, ""); got.err != nil {
						t.Errorf("another session: %v", got.err)
					}
					release()
					<-gone
					if err := k.auth.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		})
	}
}

// FAULTS F7: a process that stands still with its answer is waited for, for 45 seconds; one that stands still
// for longer comes too late.
func TestRefresh_paused(t *testing.T) {
	rows := []struct {
		pause    time.Duration
		rotation providertest.Rotation
		sent     int
	}{
		{9 * time.Second, providertest.RotateStrict, 1},
		{40 * time.Second, providertest.RotateStrict, 1},
		{70 * time.Second, providertest.RotateGrace, 2},
	}
	for _, row := range rows {
		t.Run(row.pause.String(), func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, withShared)
					k.plain.Set(func(b *providertest.Behavior) { b.Rotation = row.rotation })
					b := k.browser()
					b.signIn("plain", "ada", "/")
					next := k.beside()
					time.Sleep(time.Hour)
					w := watch(k)
					wake := time.Now().Add(row.pause)
					var updates atomic.Int64
					w.on(func(op string, key sessionstore.Key) error {
						if op == "update" && updates.Add(1) > 1 {
							time.Sleep(time.Until(wake))
						}
						return nil
					})
					late := make(chan asked)
					go func() { late <- k.token(b, "") }()
					synctest.Wait()
					if got := next.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) {
						t.Errorf("another process, while it stands still: error %v", got.err)
					}
					got := <-late
					won := next.token(b, "")
					if won.err != nil || got.err != nil || got.access != won.access {
						t.Errorf("two tokens: errors %v and %v", won.err, got.err)
					}
					w.on(nil)
					if got := k.token(b, ""); got.access != won.access {
						t.Errorf("the token was replaced by the late one's, error %v", got.err)
					}
					l := k.plain.Ledger()
					if l.Revoked != 0 || l.FamiliesRevoked != 0 || len(l.Refreshes()) != row.sent {
						t.Errorf("%d tokens and %d families revoked, %d refreshes, want 0, 0, %d", l.Revoked, l.FamiliesRevoked, len(l.Refreshes()), row.sent)
					}
					if err := next.auth.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		})
	}
}

// slowWriter is a store whose first change reaches it at once, and its caller late.
type slowWriter struct {
	sessionstore.Store
	late time.Duration
	once sync.Once
}

func (s *slowWriter) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	err := s.Store.Update(ctx, k, c)
	s.once.Do(func() { time.Sleep(s.late) })
	return err
}

// FAULTS F7: a process that was stopped between its mark and the request does not send the token, which
// another has traded meanwhile; and goes on if nobody has.
func TestRefresh_pausedBeforeItAsks(t *testing.T) {
	for _, taken := range []bool{true, false} {
		t.Run(fmt.Sprintf("taken over: %v", taken), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, withShared)
				b := k.browser()
				b.signIn("plain", "ada", "/")
				next := k.beside()
				time.Sleep(time.Hour)
				k.auth.SetStore(&slowWriter{Store: k.auth.Store(), late: 70 * time.Second})
				late := make(chan asked)
				go func() { late <- k.token(b, "") }()
				synctest.Wait()
				var won asked
				if taken {
					if got := next.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) {
						t.Errorf("while the other may be alive: error %v", got.err)
					}
					time.Sleep(time.Minute)
					won = next.token(b, "")
				}
				got := <-late
				if got.err != nil || won.err != nil || taken && got.access != won.access {
					t.Errorf("got errors %v and %v, and one token: %v", got.err, won.err, got.access == won.access)
				}
				if n := k.refreshes(k.plain); n != 1 {
					t.Errorf("%d refreshes, want 1", n)
				}
				if got := k.token(b, ""); got.err != nil {
					t.Errorf("afterwards: %v", got.err)
				}
			})
		})
	}
}

// FAULTS F3: the store takes no writes for a while. The token is used from memory, nothing is sent
// twice, and it is saved in the end.
func TestRefresh_notSaved(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			w := watch(k)
			b := k.browser()
			b.signIn("plain", "ada", "/")
			old := k.token(b, "").access
			time.Sleep(time.Hour)
			var updates atomic.Int64
			w.on(func(op string, key sessionstore.Key) error {
				if op == "update" && updates.Add(1) > 1 {
					return errors.New("read only")
				}
				return nil
			})
			began := time.Now()
			first := k.token(b, "")
			if first.err != nil || first.access == old || time.Since(began) > 2*time.Second {
				t.Fatalf("after %v: error %v", time.Since(began), first.err)
			}
			for range 30 {
				if got := k.token(b, ""); got != first {
					t.Errorf("another token while it is not saved, error %v", got.err)
				}
				time.Sleep(10 * time.Second)
			}
			w.on(nil)
			time.Sleep(10 * time.Second)
			if got := k.token(b, ""); got != first {
				t.Errorf("another token once it is saved, error %v", got.err)
			}
			if got := k.refreshes(k.plain); got != 1 {
				t.Errorf("%d refreshes, want 1", got)
			}
			if err := k.auth.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

// A store that fails before anything was sent: an error, no refresh, and nobody is signed out.
func TestRefresh_storeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		w := watch(k)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		var got asked
		k.within(b, func(ctx context.Context) {
			w.down(true)
			_, got.err = middleware.Token(ctx, "")
		})
		var p *middleware.Problem
		if !errors.As(got.err, &p) || p.Reason != middleware.ReasonStore {
			t.Errorf("error %v, want the store's", got.err)
		}
		w.down(false)
		if got := k.token(b, ""); got.err != nil || k.refreshes(k.plain) != 1 {
			t.Errorf("later: error %v, %d refreshes, want 1", got.err, k.refreshes(k.plain))
		}
		if err := k.auth.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// 120, and the like: what happens to the session while its token is being renewed.
func TestRefresh_meanwhile(t *testing.T) {
	rows := []struct {
		name    string
		left    time.Duration // that the old token is good for
		then    func(k *kit, b *browser)
		want    error
		revoked bool
		person  string
	}{
		{"nothing", 0, func(*kit, *browser) {}, nil, false, ada},
		{"120 sign-out", 0, func(_ *kit, b *browser) { b.post("/auth/logout", nil) }, middleware.ErrSignedOut, true, nobody},
		{"120 signed out by an admin", 0, func(k *kit, b *browser) {
			user := ""
			k.within(b, func(ctx context.Context) {
				if acc, err := middleware.User(ctx); err == nil {
					user = acc.ID
				}
			})
			if err := k.auth.SignOutUser(context.Background(), user); err != nil {
				k.t.Error(err)
			}
		}, middleware.ErrSignedOut, true, nobody},
		{"120 sign-out, a moment before its end", 3 * time.Second, func(_ *kit, b *browser) { b.post("/auth/logout", nil) }, middleware.ErrSignedOut, true, nobody},
		{"disconnected", 0, func(_ *kit, b *browser) { b.post("/auth/plain/disconnect", nil) }, middleware.ErrNotConnected, true, ada},
		{"signed in anew", 0, func(_ *kit, b *browser) { b.signIn("plain", "ada", "/") }, nil, false, ada},
		{"132 values written", 0, func(_ *kit, b *browser) { b.put("cart", "full") }, nil, false, ada},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					notes(k)
					b := k.browser()
					b.signIn("plain", "ada", "/")
					time.Sleep(time.Hour - row.left)
					k.plain.Set(slowRefresh(2 * time.Second))
					result := make(chan asked)
					go func() { result <- k.token(b, "") }()
					synctest.Wait()
					revoked := k.plain.Ledger().Revoked
					row.then(k, b)
					got := <-result
					if !errors.Is(got.err, row.want) {
						t.Errorf("error %v, want %v", got.err, row.want)
					}
					synctest.Wait()
					if now := k.plain.Ledger().Revoked; (now > revoked) != row.revoked {
						t.Errorf("%d tokens revoked, want some: %v", now-revoked, row.revoked)
					}
					b.is(row.person)
					if row.want == nil && b.k.token(b, "").access != got.access {
						t.Error("another token afterwards")
					}
					if strings.HasPrefix(row.name, "132") && b.get("cart") != "full" {
						t.Error("the value was lost")
					}
				})
			})
		})
	}
}

// 121, FAULTS F27: the client goes away, and the refresh ends all the same.
func TestRefresh_clientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		old := k.token(b, "").access
		time.Sleep(time.Hour)
		k.plain.Set(slowRefresh(5 * time.Second))
		k.within(b, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			began := time.Now()
			if _, err := middleware.Token(ctx, ""); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("error %v after %v", err, time.Since(began))
			}
		})
		time.Sleep(5 * time.Second)
		began := time.Now()
		if got := k.token(b, ""); got.err != nil || got.access == old || time.Since(began) != 0 {
			t.Errorf("afterwards: error %v after %v", got.err, time.Since(began))
		}
		if got := k.refreshes(k.plain); got != 1 {
			t.Errorf("%d refreshes, want 1", got)
		}
	})
}

// FAULTS F29: Close waits for refreshes, and none begins any more.
func TestRefresh_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withShared)
		next := k.beside()
		b, late := k.browser(), k.browser()
		b.signIn("plain", "ada", "/")
		late.signIn("plain", "grace", "/")
		time.Sleep(time.Hour)
		k.plain.Set(slowRefresh(5 * time.Second))
		result := make(chan asked, 1)
		go func() { result <- k.token(b, "") }()
		synctest.Wait()
		closed := make(chan error, 1)
		began := time.Now()
		go func() { closed <- k.auth.Close(context.Background()) }()
		synctest.Wait()
		var p *middleware.Problem
		if got := k.token(late, ""); !errors.As(got.err, &p) || p.Reason != middleware.ReasonClosing {
			t.Errorf("a refresh that is late: error %v", got.err)
		}
		if err := <-closed; err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("Close returned %v after %v", err, time.Since(began))
		}
		if got := <-result; got.err != nil || got != next.token(b, "") {
			t.Errorf("the token is not there for the next process: %v", got.err)
		}
		if got := k.refreshes(k.plain); got != 1 {
			t.Errorf("%d refreshes, want 1", got)
		}
	})
}

// FAULTS F31: processes whose clocks differ by two minutes refresh once, and do not take turns.
func TestRefresh_clocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withShared)
		ahead := k.beside()
		ahead.auth.SetNow(func() time.Time { return time.Now().Add(2 * time.Minute) })
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.plain.Set(slowRefresh(8 * time.Second))
		for hour := 1; hour <= 3; hour++ {
			time.Sleep(58 * time.Minute)
			for range 120 {
				for _, k := range []*kit{k, ahead} {
					if got := k.token(b, ""); got.err != nil {
						t.Fatal(got.err)
					}
				}
				time.Sleep(time.Second)
			}
			if got := k.refreshes(k.plain); got != hour {
				t.Errorf("hour %d: %d refreshes", hour, got)
			}
		}
	})
}

// 114: invalid_grant, while another process has saved what it got for that token.
func TestRefresh_sibling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stands atomic.Bool
		k := newKit(t, withShared, func(k *kit, c *middleware.Config) {
			c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := k.RoundTrip(r)
				if err == nil && stands.Load() {
					resp.Body = io.NopCloser(strings.NewReader(text(resp)))
					time.Sleep(70 * time.Second) // as the whole process does
				}
				return resp, err
			})}
		})
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		next := k.beside()
		// What k sends is refused, after next has renewed the token in spite of k's mark: it was
		// taken for dead.
		k.plain.Set(func(b *providertest.Behavior) {
			b.Token = providertest.First(1, providertest.Fail(400, "invalid_grant"))
		})
		w := watch(k)
		var updates atomic.Int64
		w.on(func(op string, _ sessionstore.Key) error {
			if op == "update" && updates.Add(1) > 1 {
				return errors.New("cut off")
			}
			return nil
		})
		stands.Store(true)
		result := make(chan asked)
		go func() { result <- k.token(b, "") }()
		synctest.Wait()
		next.token(b, "")
		time.Sleep(time.Minute)
		won := next.token(b, "")
		if got := <-result; got.err != nil || got.access != won.access {
			t.Errorf("error %v, want the other's token; %v", got.err, won.err)
		}
	})
}

type discarder struct{}

func (discarder) Header() http.Header         { return http.Header{} }
func (discarder) Write(b []byte) (int, error) { return len(b), nil }
func (discarder) WriteHeader(int)             {}

// brittle is a provider that panics when it refreshes.
type brittle struct{ providers.Provider }

func (brittle) Refresh(context.Context, *providers.Token) (*providers.Token, error) {
	panic("in the provider")
}

// FAULTS F36: a panic in a provider fails those who wait, and leaves nothing locked.
func TestRefresh_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, withShared, func(k *kit, c *middleware.Config) { c.Providers[1] = brittle{c.Providers[1]} })
		b := k.browser()
		b.signIn("plain", "ada", "/")
		time.Sleep(time.Hour)
		if got := k.token(b, ""); !errors.Is(got.err, providers.ErrUnavailable) {
			t.Errorf("error %v", got.err)
		}
		if err := k.auth.Close(t.Context()); err != nil {
			t.Error(err)
		}
		began := time.Now()
		if got := k.beside().token(b, ""); got.err != nil || time.Since(began) > time.Second {
			t.Errorf("another process: error %v after %v", got.err, time.Since(began))
		}
	})
}
