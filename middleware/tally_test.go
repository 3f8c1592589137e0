package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// guests returns a budget of n guests.
func guests(n int) func(*kit, *middleware.Config) {
	return func(_ *kit, c *middleware.Config) { c.MaxGuests = n }
}

// longWindow makes windows of twelve years, one of which began in 2021, for tests on the clock on the
// wall. Another i is another record.
func longWindow(i int) func(*kit, *middleware.Config) {
	return func(_ *kit, c *middleware.Config) {
		c.AnonymousIdle = 100_000*time.Hour + time.Duration(i)*time.Millisecond
	}
}

// arrive lets n new visitors come, for each of whom the app keeps something, and returns those who
// were let in. Whoever is not gets the answer of a store that is full, and no cookie.
func (k *kit) arrive(n int) (in []*browser) {
	k.t.Helper()
	for range n {
		b := k.browser()
		resp := b.open("/put?key=cart&value=apples")
		if resp.StatusCode == http.StatusOK {
			in = append(in, b)
			continue
		}
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || b.session() != "" {
			k.t.Errorf("status %d, cookies %v, header %v, want 503 with Retry-After", resp.StatusCode, b.cookies(), resp.Header)
		}
	}
	return in
}

// Invariant 12. Whatever strangers do, their sessions stay within the budget, and nobody who has a
// session or signs in notices.
func TestGuests(t *testing.T) {
	rows := []struct{ budget, want int }{
		{1, 1}, // half of it, rounded up
		{2, 1},
		{7, 4},
		{2100, 1050}, // in tranches
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, row := range rows {
			t.Run(fmt.Sprint(row.budget), func(t *testing.T) {
				k := newKit(t, change, guests(row.budget), longWindow(row.budget))
				notes(k)
				k.handle("/page", func(w http.ResponseWriter, r *http.Request) {
					if err := middleware.SavePage(r.Context(), "draft"); err != nil {
						t.Error(err)
					}
				})
				w := watch(k)
				member := k.browser()
				member.signIn("plain", "ada", "/")
				in := k.arrive(row.want + 5)
				if len(in) != row.want {
					t.Errorf("%d guests, want %d", len(in), row.want)
				}
				if got, want := w.records("session"), row.want+1; got != want {
					t.Errorf("%d sessions, want %d", got, want)
				}
				if log := k.log.String(); !strings.Contains(log, "reason=store_full") || !strings.Contains(log, "guests: sessionstore: full") {
					t.Errorf("no event with reason store_full that names guests in the log:\n%s", log)
				}

				stranger := k.browser()
				if resp := stranger.open("/page"); resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("a page state of a stranger: status %d, want 503", resp.StatusCode)
				}
				if resp := stranger.open("/get?key=cart"); resp.StatusCode != http.StatusOK {
					t.Errorf("a stranger who needs no session: status %d, want 200", resp.StatusCode)
				}
				stranger.signIn("plain", "grace", "/") // a session that is new
				for _, b := range []*browser{member, stranger, in[0]} {
					b.put("cart", "pears")
					if got := b.get("cart"); got != "pears" {
						t.Errorf("a session that is there: cart is %q, want pears", got)
					}
				}
				in[0].signIn("plain", "ada", "/") // the rebind
				if got := in[0].get("cart"); got != "pears" || in[0].whoami() == "nobody" {
					t.Errorf("a guest who signed in: cart is %q, want pears", got)
				}
				if got := member.whoami(); got != "Ada Lovelace" {
					t.Errorf("the member is %s", got)
				}
			})
		}
	})
}

// Many at once, at two processes of one store, are exactly as many as may.
func TestGuests_together(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, withShared, guests(40), longWindow(0))
		kits := []*kit{k, k.beside(guests(40), longWindow(0))}
		watches := make([]*watched, len(kits))
		for i, k := range kits {
			notes(k)
			watches[i] = watch(k)
		}
		together(100, func(i int) { kits[i%2].arrive(1) })
		if got := watches[0].records("session") + watches[1].records("session"); got != 20 {
			t.Errorf("%d guests, want 20", got)
		}
	})
}

// nextWindow sleeps until a window begins, with a minute to spare.
func nextWindow(idle time.Duration) {
	w := (idle + idle/8).Milliseconds()
	time.Sleep(time.Until(time.UnixMilli((time.Now().UnixMilli()/w+1)*w)) + time.Minute)
}

// A rush is over when the window is, and those who stay take the places of those who would come.
func TestGuests_windows(t *testing.T) {
	const idle = 30 * time.Minute
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, guests(10))
			notes(k)
			var stay []*browser
			for i, row := range []struct {
				stay int // of those who came in the window before
				want int // who are let in
			}{
				{0, 5},
				{0, 5},
				{3, 5}, // eight have paid now
				{3, 2},
				{5, 5},
				{10, 0}, // all places are taken
				{10, 0},
				{0, 0}, // they have gone, but may have been there a moment ago
				{0, 5},
			} {
				nextWindow(idle)
				for _, b := range stay[:row.stay] {
					if got := b.get("cart"); got != "apples" {
						t.Errorf("window %d: who stays has %q in the cart", i, got)
					}
				}
				in := k.arrive(7)
				if len(in) != row.want {
					t.Errorf("window %d: %d came, want %d", i, len(in), row.want)
				}
				stay = append(in, stay[:row.stay]...)
				if len(stay) > 0 { // halfway, or who came early would not last until the next window
					time.Sleep(idle / 2)
					for _, b := range stay {
						b.get("cart")
					}
				}
			}
		})
	})
}

// A census is a store that knows its sessions.
type census struct {
	sessionstore.Store
	mu   sync.Mutex
	keys map[sessionstore.Key]bool
}

func (c *census) Update(ctx context.Context, k sessionstore.Key, change sessionstore.Change) error {
	err := c.Store.Update(ctx, k, change)
	if err == nil && k.Kind == "session" {
		c.mu.Lock()
		c.keys[k] = true
		c.mu.Unlock()
	}
	return err
}

// alive returns how many sessions there are.
func (c *census) alive() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.keys {
		if _, err := c.Store.Load(context.Background(), k); errors.Is(err, sessionstore.ErrNotFound) {
			delete(c.keys, k)
		}
	}
	return len(c.keys)
}

// FAULTS F31. Three processes whose clocks differ, for half a day of strangers and of guests who
// stay: there are never more than the budget, and nobody who comes often enough loses the session.
func TestGuests_clocks(t *testing.T) {
	const budget = 24
	rows := []struct {
		name   string
		clocks [3]time.Duration // before the store's
	}{
		{"one clock", [3]time.Duration{}},
		{"two minutes", [3]time.Duration{0, time.Minute, -time.Minute}},
		{"an eighth of the idle time", [3]time.Duration{0, 225 * time.Second, -8 * time.Minute}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &census{Store: &sessionstore.Memory{}, keys: map[sessionstore.Key]bool{}}
				k := newKit(t, unlogged, guests(budget), func(_ *kit, cfg *middleware.Config) { cfg.Store, cfg.Keys = c, shared })
				kits := []*kit{k, k.beside(unlogged, guests(budget)), k.beside(unlogged, guests(budget))}
				for i, k := range kits {
					notes(k)
					k.auth.SetNow(func() time.Time { return time.Now().Add(row.clocks[i]) })
				}
				random := rand.New(rand.NewPCG(12, uint64(len(row.name))))
				any := func() *kit { return kits[random.IntN(len(kits))] }
				var stay []*browser
				most := 0
				for range 600 {
					time.Sleep(time.Duration(random.IntN(120)) * time.Second)
					if random.IntN(40) == 0 { // a rush; else a few
						in := any().arrive(budget)
						if random.IntN(2) == 0 {
							stay = append(stay, in[:min(len(in), 4)]...)
						}
					}
					any().arrive(random.IntN(3))
					for _, b := range stay { // each two minutes or less
						b.k = any()
						if got := b.get("cart"); got != "apples" {
							t.Fatalf("who stays has %q in the cart", got)
						}
					}
					if len(stay) > budget/2 {
						stay = stay[random.IntN(len(stay)):]
					}
					n := c.alive()
					if n > budget {
						t.Fatalf("%d guests, want %d at most", n, budget)
					}
					most = max(most, n)
				}
				// Three rushes within the life of a session, the last at the fastest clock: wherever in
				// a window they begin, there is no third budget.
				for range 80 {
					time.Sleep(time.Hour + time.Duration(random.IntN(3600))*time.Second)
					for i, at := range []*kit{kits[0], any(), kits[1]} {
						at.arrive(budget)
						if n := c.alive(); n > budget {
							t.Fatalf("rush %d: %d guests, want %d at most", i, n, budget)
						}
						time.Sleep(14*time.Minute + 30*time.Second)
					}
				}
				if most <= budget/2 {
					t.Errorf("%d guests at most: half the budget of %d was never used", most, budget)
				}
			})
		})
	}
}

// A clock that was hours off for a while, in either direction, closes the door for two windows at most.
func TestGuests_wrongClock(t *testing.T) {
	for _, off := range []time.Duration{9 * time.Hour, -9 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, withShared, guests(10))
				wrong := k.beside(guests(10))
				notes(k)
				notes(wrong)
				wrong.auth.SetNow(func() time.Time { return time.Now().Add(off) })
				total := 0
				for range 20 { // they do not hand each other new budgets
					total += len(k.arrive(1)) + len(wrong.arrive(1))
				}
				if total > 10 {
					t.Errorf("%d guests, want 10 at most", total)
				}
				wrong.auth.SetNow(time.Now)
				nextWindow(30 * time.Minute)
				k.arrive(1)
				nextWindow(30 * time.Minute)
				for _, k := range []*kit{k, wrong} {
					if got := len(k.arrive(1)); got != 1 {
						t.Errorf("afterwards: %d came, want 1", got)
					}
				}
			})
		})
	}
}

// A store that cannot count lets no guest in, and costs nobody else anything. Who waits waits for
// one operation.
func TestGuests_fault(t *testing.T) {
	rows := []struct {
		name string
		most int64 // operations for 20 guests who come at once
		fail func() error
	}{
		{"fails", 20, func() error { return sessionstore.ErrUnavailable }},
		{"hangs", 1, func() error { time.Sleep(3 * time.Second); return sessionstore.ErrUnavailable }},
		{"panics", 20, func() error { panic(http.ErrAbortHandler) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, guests(10))
				notes(k)
				w := watch(k)
				early := k.arrive(1)[0]
				nextWindow(time.Hour) // another one than the purse is for
				early = append(k.arrive(1), early)[0]
				member := k.browser()
				member.signIn("plain", "ada", "/")
				var asked atomic.Int64
				w.on(func(_ string, key sessionstore.Key) error {
					if key.Kind == "tally" {
						asked.Add(1)
						return row.fail()
					}
					return nil
				})
				began := time.Now()
				together(20, func(int) {
					defer func() { _ = recover() }()
					k.arrive(1)
				})
				if took := time.Since(began); took > 3*time.Second || asked.Load() > row.most {
					t.Errorf("refused after %v and %d operations, want 3 s and %d at most", took, asked.Load(), row.most)
				}
				if got := w.records("session"); got > 3 {
					t.Errorf("%d sessions, want those from before", got)
				}
				for _, b := range []*browser{member, early} {
					b.put("cart", "pears")
					if got := b.get("cart"); got != "pears" {
						t.Errorf("cart is %q, want pears", got)
					}
				}
				k.browser().signIn("plain", "grace", "/")
				w.on(nil)
				if got := len(k.arrive(1)); got != 1 {
					t.Errorf("afterwards: %d came, want 1", got)
				}
			})
		})
	}
}

// A guest who cannot be counted anew is saved, and lasts as long as before.
func TestGuests_notProlonged(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			notes(k)
			w := watch(k)
			nextWindow(30 * time.Minute)
			time.Sleep(20 * time.Minute)
			b := k.arrive(1)[0]
			w.on(func(_ string, key sessionstore.Key) error {
				if key.Kind == "tally" {
					return sessionstore.ErrUnavailable
				}
				return nil
			})
			time.Sleep(20 * time.Minute) // the next window
			b.put("cart", "pears")
			if got := b.get("cart"); got != "pears" {
				t.Errorf("cart is %q, want pears", got)
			}
			if !strings.Contains(k.log.String(), "session not touched") {
				t.Errorf("nothing in the log:\n%s", k.log)
			}
			w.on(nil)
			time.Sleep(11 * time.Minute)
			if got := b.get("cart"); got != "" {
				t.Errorf("cart is %q half an hour after it was last paid for", got)
			}
		})
	})
}

// A session that is taken over from scs is nobody's place among the guests, then and later.
func TestGuests_former(t *testing.T) {
	f := newFormerApp(t) // its store has a goroutine, which no bubble would end
	synctest.Test(t, func(t *testing.T) {
		var was []*browser
		k := newKit(t, f.with, guests(2), idle(20*time.Minute, 24*time.Hour))
		notes(k)
		nextWindow(30 * time.Minute)
		k.arrive(2)
		for range 5 {
			was = append(was, k.browser().brings(f.cart()))
		}
		for range 12 {
			for _, b := range was {
				if got := b.get("cart"); got != "3 apples" {
					t.Fatalf("cart is %q, want 3 apples", got)
				}
			}
			time.Sleep(15 * time.Minute)
		}
		if got := len(k.arrive(1)); got != 1 {
			t.Errorf("%d came, want 1", got)
		}
	})
}

// Two tabs of a browser that was given its cookie by a start write at once: the one that comes
// second finds the session, although there is no place left.
func TestGuests_tabs(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, withShared, guests(1), longWindow(0))
		other := k.beside(guests(1), longWindow(0))
		notes(k)
		notes(other)
		w := watch(k)
		b := k.browser()
		b.start("plain", "/")
		first, second := b.request(http.MethodGet, "/put?key=a&value=1", nil), b.request(http.MethodGet, "/put?key=b&value=2", nil)
		var once sync.Once
		w.on(func(_ string, key sessionstore.Key) error {
			if key.Kind == "tally" {
				once.Do(func() { other.serve(first) })
			}
			return nil
		})
		if resp := b.do(second); resp.StatusCode != http.StatusOK {
			t.Errorf("status %d, want 200; log:\n%s", resp.StatusCode, k.log)
		}
		if got := b.get("a") + b.get("b"); got != "12" {
			t.Errorf("got %q, want what both have put", got)
		}
	})
}

// A count that nobody can read any more does not keep guests out.
func TestGuests_keyGone(t *testing.T) {
	store := sealed{&sessionstore.Memory{}}
	for range 2 {
		k := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, sessionstore.NewKeyring() }, guests(10))
		notes(k)
		if got := len(k.arrive(1)); got != 1 {
			t.Errorf("%d came, want 1; log:\n%s", got, k.log)
		}
	}
}

// What is counted costs nothing to who is signed in, and guests next to nothing.
func TestGuests_cost(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change, idle(20*time.Minute, 24*time.Hour))
			notes(k)
			w := watch(k)
			tallied := 0
			w.on(func(_ string, key sessionstore.Key) error {
				if key.Kind == "tally" {
					tallied++
				}
				return nil
			})
			b := k.browser()
			b.signIn("plain", "ada", "/")
			for range 20 {
				time.Sleep(15 * time.Minute)
				b.put("cart", "pears")
			}
			if b.whoami() != "Ada Lovelace" || tallied > 0 {
				t.Errorf("%d operations for %s, want none", tallied, b.whoami())
			}
			nextWindow(30 * time.Minute)
			if got := len(k.arrive(90)); got != 90 || tallied > 2 {
				t.Errorf("%d operations for %d guests, want 2 for 90", tallied, got)
			}
		})
	})
}

// Of a session nothing is stored before the app writes to it, and nothing is counted.
func TestGuests_starts(t *testing.T) {
	k := newKit(t, guests(2))
	w := watch(k)
	for i := range 20 {
		b := k.browser()
		b.open("/whoami")
		b.start("plain", fmt.Sprintf("/page/%d", i))
		r := httptest.NewRequest(http.MethodPost, "/auth/logout", strings.NewReader(url.Values{}.Encode()))
		r.Header.Set("Origin", appURL)
		k.serve(r)
	}
	if got := w.writes(""); got != 0 {
		t.Errorf("%d writes, want none", got)
	}
}
