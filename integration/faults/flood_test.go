package faults_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// flood sends n requests without a cookie to the app, from two clients that keep none, and returns
// how they were answered. No socket is in the way.
func flood(a *app, n int, target func(i int) string) map[int]int {
	var counts [600]atomic.Int64
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				r := httptest.NewRequest(http.MethodGet, baseURL+target(i), nil)
				r.Header.Set("Sec-Fetch-Dest", "document")
				r.Header.Set("Sec-Fetch-Mode", "navigate")
				r.Header.Set("Accept", "text/html")
				w := httptest.NewRecorder()
				a.ServeHTTP(w, r)
				counts[w.Code].Add(1)
			}
		})
	}
	wg.Wait()
	got := map[int]int{}
	for status := range counts {
		if n := counts[status].Load(); n > 0 {
			got[status] = int(n)
		}
	}
	return got
}

// TestStarts lets anonymous visitors start sign-ins and a crawler walk over gated pages: none of it
// leaves a key in Redis, and a person signs in meanwhile. RETURNLEG_STARTS=1000000 is the whole of it.
func TestStarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.app(w.settings())
	b := w.browser("ada", a.addr)
	n := trials(t, "RETURNLEG_STARTS", 10_000)
	rows := []struct {
		name   string
		n      int
		target func(i int) string
	}{
		{"starts", n, func(i int) string { return fmt.Sprintf("/auth/idp/login?return_to=/page/%d", i) }},
		{"starts with a long way back", n / 10, func(i int) string {
			return fmt.Sprintf("/auth/idp/login?return_to=/page/%d/%s", i, strings.Repeat("x", 100))
		}},
		{"gated pages", n / 10, func(i int) string { return fmt.Sprintf("/gated/%d", i) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b.sure()
			before := w.size()
			done := make(chan map[int]int)
			began := time.Now()
			go func() { done <- flood(a.app, row.n, row.target) }()
			again := w.browser("ada", a.addr).sure() // while it goes on
			got := <-done
			t.Logf("%v in %v", got, time.Since(began).Round(time.Millisecond))
			if got[http.StatusSeeOther] != row.n {
				t.Errorf("got %v, want %d times 303", got, row.n)
			}
			// The sign-in left its session, and the redemption of its code.
			if after := w.size(); after > before+3 {
				t.Errorf("%d keys, want those of one sign-in more than %d", after, before)
			}
			for _, b := range []*browser{b, again} {
				if got := b.open("/who"); got.body != b.subject() {
					t.Errorf("afterwards: got %v, want %s", got, b.subject())
				}
			}
		})
	}
}

// TestLongReturns is the one start that stores something: a way back too long for the state. It goes
// to a side table of 4096 places, however many starts there are, and each of them ends by itself.
func TestLongReturns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.app(w.settings())
	b := w.browser("ada", a.addr)
	callback := b.leave("/who?" + strings.Repeat("long", 300))
	n := trials(t, "RETURNLEG_STARTS", 10_000) / 2
	got := flood(a.app, n, func(i int) string {
		return fmt.Sprintf("/auth/idp/login?return_to=/page/%d/%s", i, strings.Repeat("long", 300))
	})
	if got[http.StatusSeeOther] != n {
		t.Errorf("got %v, want %d times 303", got, n)
	}
	if size := w.size(); size == 0 || size > 4096 {
		t.Errorf("%d keys, want 4096 at most", size)
	}
	for _, id := range w.ids("aside")[:100] {
		ms, err := redis.Int64(w.redis.Do(t, "PTTL", "rl:aside:"+id), nil)
		if err != nil || ms <= 0 || ms > (2*time.Hour).Milliseconds() {
			t.Fatalf("a side record ends in %d ms (%v), want two hours at most", ms, err)
		}
	}
	// Somebody who lost their place signs in, and lands at home.
	if got := b.open(callback); got.status != http.StatusSeeOther {
		t.Errorf("callback: got %v, want 303", got)
	}
	if got := b.open("/who"); got.body != b.subject() {
		t.Errorf("afterwards: got %v, want %s", got, b.subject())
	}
}

// TestGuests fills the store with anonymous sessions that the app makes. Whoever is signed in is not
// pushed out by them, and what they take comes back by itself.
func TestGuests(t *testing.T) {
	t.Parallel()
	fill := func(i int) string { return "/put?v=" + strings.Repeat("x", 2000) }
	t.Run("redis", func(t *testing.T) {
		w := newWorld(t)
		a := w.app(w.settings())
		c := newCrowd(w, a.addr, 3)
		used, err := redis.Int64(infoField(w, "memory", "used_memory"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.redis.Do(t, "CONFIG", "SET", "maxmemory", used+4<<20)
		got := flood(a.app, 3000, fill)
		t.Logf("%v", got)
		if got[http.StatusOK] == 0 || got[http.StatusServiceUnavailable] == 0 {
			t.Errorf("got %v, want some that fit and some that do not", got)
		}
		for _, b := range c.members {
			for _, path := range []string{"/who", "/gated/page"} {
				c.note(b, path, b.open(path))
			}
			if got := b.open("/who"); got.body != b.subject() {
				t.Errorf("got %v, want %s", got, b.subject())
			}
		}
		c.check()
		for _, id := range w.ids("session") {
			if isMember(t, a, id) {
				continue
			}
			ms, err := redis.Int64(w.redis.Do(t, "PTTL", "rl:session:"+id), nil)
			if err != nil || ms <= 0 || ms > (30*time.Minute).Milliseconds() {
				t.Fatalf("an anonymous session ends in %d ms (%v), want half an hour at most", ms, err)
			}
		}
	})
	t.Run("memory", func(t *testing.T) {
		w := newWorld(t)
		s := w.settings()
		s.Redis = ""
		a := w.app(s, func(c *middleware.Config) { c.Store = &sessionstore.Memory{MaxGuestBytes: 1 << 20} })
		b := w.browser("ada", a.addr).sure()
		got := flood(a.app, 3000, fill)
		t.Logf("%v", got)
		if got[http.StatusOK] == 0 || got[http.StatusServiceUnavailable] == 0 {
			t.Errorf("got %v, want some that fit and some that do not", got)
		}
		if got := b.open("/who"); got.body != b.subject() {
			t.Errorf("got %v, want %s", got, b.subject())
		}
		w.browser("grace", a.addr).sure() // there is room for one more
	})
}

// TestBudget lets strangers for whom the app keeps something flood two processes of one Redis. They
// stay within the budget together, at any moment; people stay signed in, and others sign in.
func TestBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	// Half of it within a window, and the one that lasts until 2034: no second one begins in the test.
	s.MaxGuests, s.GuestIdle = 60, 100_000*time.Hour
	const half, members, others = 30, 3, 5
	a, addrs := w.app(s), []string{w.spawn(s).addr, w.spawn(s).addr}
	c := newCrowd(w, addrs[0], members)
	stop := c.run()
	defer stop()
	guest := w.browser("ada", addrs[0])
	guest.open("/put?v=kept")

	var let, turned atomic.Int64
	flooded := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 60 {
				resp, err := http.Get("http://" + addrs[i%2] + "/put?v=" + strings.Repeat("x", 500))
				if err != nil {
					t.Errorf("flood: %v", err)
					return
				}
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
					let.Add(1)
				case http.StatusServiceUnavailable:
					turned.Add(1)
				default:
					t.Errorf("flood: got %d, want 200 or 503", resp.StatusCode)
				}
			}
		})
	}
	defer wg.Wait()
	go func() { wg.Wait(); close(flooded) }()
	var came []*browser
	for over := false; !over || len(came) < others; {
		select {
		case <-flooded:
			over = true
		default:
		}
		if len(came) < others {
			came = append(came, w.browser(person(members+len(came)), addrs[len(came)%2]).sure())
		}
		if n := len(w.ids("session")); n > half+members+len(came) {
			t.Fatalf("%d sessions, want %d guests and %d people at most", n, half, members+len(came))
		}
	}
	stop()
	c.check()
	t.Logf("let in %d, turned away %d", let.Load(), turned.Load())
	guests := 0
	for _, id := range w.ids("session") {
		if !isMember(t, a, id) {
			guests++
		}
	}
	if guests != half || let.Load() != half-1 {
		t.Errorf("%d guests, of whom %d came in the flood, want %d and %d", guests, let.Load(), half, half-1)
	}
	for _, b := range append(came, c.members...) {
		if got := b.open("/gated/page"); got.body != b.subject() {
			t.Errorf("afterwards: got %v, want %s", got, b.subject())
		}
	}
	if got := guest.open("/value"); got.body != "kept" {
		t.Errorf("the guest who came first has %v, want kept", got)
	}
	guest.sure() // signs in, in that session
	if got := guest.open("/value"); got.body != "kept" {
		t.Errorf("the guest who signed in has %v, want kept", got)
	}
}

func isMember(t *testing.T, a *local, id string) bool {
	t.Helper()
	rec, err := a.store.Load(t.Context(), sessionstore.Key{Kind: "session", ID: id})
	if err != nil {
		t.Fatal(err)
	}
	for f := range rec.All() {
		if f.Name == "user" {
			return true
		}
	}
	return false
}

// infoField returns a field of INFO, as a reply.
func infoField(w *world, section, name string) any {
	for line := range strings.Lines(w.redis.Text(w.t, "INFO", section)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return []byte(strings.TrimSpace(v))
		}
	}
	return nil
}
