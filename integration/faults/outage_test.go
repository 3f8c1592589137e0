package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/faultproxy"
)

// slack is what a request may take besides the time of the store, and what everybody may need to be
// served again after a fault, besides two seconds. It tells a limit from none, on a machine that is busy
// with other tests; how long it took is in the log.
const slack = 20 * time.Second

// A crowd is people who are signed in and keep asking, while something breaks.
type crowd struct {
	w       *world
	members []*browser

	mu       sync.Mutex
	statuses map[string]int // "path status" since the last look
	slowest  time.Duration
	lastBad  time.Time
	mistakes []string
}

// newCrowd signs n people in.
func newCrowd(w *world, addr string, n int) *crowd {
	w.t.Helper()
	c := &crowd{w: w, statuses: map[string]int{}}
	for i := range n {
		c.members = append(c.members, w.browser(person(i), addr).sure())
	}
	return c
}

// run asks until the returned function is called, which waits for the last answers.
func (c *crowd) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, b := range c.members {
		wg.Go(func() {
			tick := time.NewTicker(30 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				<-tick.C
				path := [...]string{"/who", "/gated/page", "/free"}[i%3]
				c.note(b, path, b.open(path))
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// note checks an answer against what must hold, whatever is broken.
func (c *crowd) note(b *browser, path string, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statuses[fmt.Sprintf("%s %d", path, a.status)]++
	c.slowest = max(c.slowest, a.took)
	want := b.subject()
	if path == "/free" {
		want = nobody
	}
	ok := a.status == http.StatusOK && a.body == want
	if !ok {
		c.lastBad = time.Now()
	}
	switch {
	case a.err != nil:
		c.mistake("%s: %v", path, a.err)
	case len(a.cleared) > 0:
		c.mistake("%s: status %d clears %q", path, a.status, a.cleared)
	case ok:
	case a.status == http.StatusServiceUnavailable && path != "/free":
		if a.header.Get("Retry-After") == "" {
			c.mistake("%s: 503 without Retry-After", path)
		}
	default:
		c.mistake("%s as %s: %v", path, b.who, a)
	}
}

func (c *crowd) mistake(format string, args ...any) {
	if len(c.mistakes) < 10 {
		c.mistakes = append(c.mistakes, fmt.Sprintf(format, args...))
	}
}

// look returns the answers since the last look, and how long the slowest took.
func (c *crowd) look() (map[string]int, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	got, slowest := c.statuses, c.slowest
	c.statuses, c.slowest = map[string]int{}, 0
	return got, slowest
}

// check fails the test for what must never happen.
func (c *crowd) check() {
	c.w.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.mistakes {
		c.w.t.Error(m)
	}
}

// recovers waits until all answers have been good for a second, and fails the test if the last bad
// one came too late after the end of the fault.
func (c *crowd) recovers(ended time.Time) {
	c.w.t.Helper()
	last := func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.lastBad.Before(ended) {
			return ended
		}
		return c.lastBad
	}
	await(c.w.t, "good answers", func() bool { return time.Since(last()) > time.Second })
	late := last().Sub(ended)
	c.w.t.Logf("the last bad answer came %v after the fault had ended", late.Round(time.Millisecond))
	if limit := 2*time.Second + slack; late > limit {
		c.w.t.Errorf("the last bad answer came %v after the fault had ended, want %v at most", late, limit)
	}
}

// TestOutage breaks the store under a crowd, for a while. Rows F8, F10, F11, F12, F13, F16, F17, F35.
func TestOutage(t *testing.T) {
	t.Parallel()
	// What is answered to somebody who is signed in: all is served, or what needs no write, or 503
	// at some time, or any of it.
	const served, readable, refused, anything = 1, 2, 3, 4
	rows := []struct {
		name  string
		args  []string
		fault func(t *testing.T, w *world) (end func())
		want  int
	}{
		{"F8 killed and restarted", []string{"--appendonly", "yes", "--appendfsync", "always"}, func(t *testing.T, w *world) func() {
			w.redis.Kill()
			w.redis.Restart(t)
			return func() {}
		}, anything},
		{"F10 down", []string{"--appendonly", "yes", "--appendfsync", "always"}, func(t *testing.T, w *world) func() {
			w.redis.Kill()
			return func() { w.redis.Restart(t) }
		}, refused},
		{"F11 hangs", nil, func(t *testing.T, w *world) func() {
			w.redis.Stop(t)
			return func() { w.redis.Continue(t) }
		}, refused},
		{"F11 black hole", nil, broken(faultproxy.Fault{Blackhole: true}), refused},
		{"F11 CLIENT PAUSE", nil, func(t *testing.T, w *world) func() {
			w.redis.Do(t, "CLIENT", "PAUSE", 6000)
			return func() { w.redis.Await(t, "PONG", "PING") } // it takes no other command meanwhile
		}, refused},
		{"F12 latency of 200 ms", nil, broken(faultproxy.Fault{Delay: 200 * time.Millisecond}), served},
		{"F12 latency beyond the time of the store", nil, broken(faultproxy.Fault{Delay: 1500 * time.Millisecond}), refused},
		{"F16 READONLY", nil, func(t *testing.T, w *world) func() {
			w.redis.Do(t, "REPLICAOF", "127.0.0.1", "1")
			return func() { w.redis.Do(t, "REPLICAOF", "NO", "ONE") }
		}, readable},
		{"F13 full", nil, func(t *testing.T, w *world) func() {
			w.redis.Do(t, "CONFIG", "SET", "maxmemory", 1)
			return func() { w.redis.Do(t, "CONFIG", "SET", "maxmemory", 0) }
		}, readable},
		{"F16 MISCONF, F35 disk full", []string{"--save", "3600 1", "--enable-protected-configs", "yes"}, func(t *testing.T, w *world) func() {
			gone := w.redis.Dir + "/gone"
			if err := os.Mkdir(gone, 0o700); err != nil {
				t.Fatal(err)
			}
			w.redis.Do(t, "CONFIG", "SET", "dir", gone)
			if err := os.Remove(gone); err != nil {
				t.Fatal(err)
			}
			w.redis.Do(t, "BGSAVE")
			w.redis.AwaitFunc(t, func(info string) bool { return strings.Contains(info, "rdb_last_bgsave_status:err") }, "INFO", "persistence")
			return func() {
				w.redis.Do(t, "CONFIG", "SET", "dir", w.redis.Dir)
				w.redis.Do(t, "SAVE")
			}
		}, readable},
		{"F16 MASTERDOWN", nil, func(t *testing.T, w *world) func() {
			w.redis.Do(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
			w.redis.Do(t, "REPLICAOF", "127.0.0.1", "1")
			return func() { w.redis.Do(t, "REPLICAOF", "NO", "ONE") }
		}, refused},
		{"F16 BUSY", []string{"--lua-time-limit", "50", "--busy-reply-threshold", "50"}, func(t *testing.T, w *world) func() {
			go w.redis.Try("EVAL", "while true do end", 0)
			await(t, "BUSY", func() bool {
				_, err := w.redis.Try("PING")
				return err != nil && strings.HasPrefix(err.Error(), "BUSY")
			})
			return func() { w.redis.Do(t, "SCRIPT", "KILL") }
		}, refused},
		{"F16 NOAUTH", nil, func(t *testing.T, w *world) func() {
			c := w.conn()
			c("CONFIG", "SET", "requirepass", "another")
			w.proxy.Reset()
			return func() { c("CONFIG", "SET", "requirepass", "") }
		}, refused},
		{"F16 NOPERM", nil, func(t *testing.T, w *world) func() {
			w.redis.Do(t, "ACL", "SETUSER", "default", "-hgetall", "-evalsha")
			return func() { w.redis.Do(t, "ACL", "SETUSER", "default", "+hgetall", "+evalsha") }
		}, refused},
		{"F16 maxclients", nil, func(t *testing.T, w *world) func() {
			c := w.conn()
			c("CONFIG", "SET", "maxclients", 1)
			w.proxy.Reset()
			return func() { c("CONFIG", "SET", "maxclients", 1000) }
		}, refused},
		{"F17 cut in the middle of an answer", nil, broken(faultproxy.Fault{Cut: true, CutAfter: 3}), refused}, // those to a callback are short
		{"F17 connections are reset", nil, func(t *testing.T, w *world) func() {
			w.proxy.Reset()
			return func() {}
		}, anything},
		{"F17 answers shift", nil, broken(faultproxy.Fault{Rewrite: func(b []byte) []byte { return append(b, b...) }}), refused},
		{"F18 hostile lengths", nil, broken(faultproxy.Fault{Rewrite: func([]byte) []byte { return []byte("$99999999999999\r\n") }}), refused},
		{"not a Redis", nil, broken(faultproxy.Fault{Rewrite: func([]byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }}), refused},
	}
	outage := time.Duration(trials(t, "RETURNLEG_OUTAGE", 0)) * time.Second
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, row.args...)
			s := w.settings()
			patient := w.spawn(s) // people sign in and go on there, however busy the machine is
			if row.want >= refused {
				s.Timeout = hasty
			}
			a := w.spawn(s)
			c := newCrowd(w, patient.addr, 6)
			// Somebody is about to come back from the provider when it happens.
			late := w.browser(person(500), patient.addr)
			callback := late.leave("/gated/page")
			for _, b := range append(c.members, late) {
				b.to(a.addr)
			}
			await(t, "a good answer", func() bool { return c.members[0].open("/gated/page").status == http.StatusOK })
			begin := w.rest(a)
			redeems := len(w.idp.Ledger().Redeems())
			stop := c.run()
			defer stop()

			end := row.fault(t, w)
			c.look()
			if row.want == refused {
				c.refusal(late)
			}
			if row.want == refused || row.want == readable {
				if got := late.open(callback); got.status != http.StatusServiceUnavailable || len(got.cleared) > 0 {
					t.Errorf("callback: got %v, want 503 and no cookie cleared", got)
				}
				<-time.After(outage)
			}
			end()
			c.recovers(time.Now())
			stop()
			got, slowest := c.look()
			c.check()
			t.Logf("%v; the slowest took %v", got, slowest.Round(time.Millisecond))
			if limit := hasty + slack; slowest > limit {
				t.Errorf("the slowest answer took %v, want %v at most", slowest, limit)
			}
			if row.want < refused && got["/who 503"]+got["/gated/page 503"] > 0 {
				t.Errorf("got %v, want no 503", got)
			}
			late.to(patient.addr)
			late.goesOn(callback, len(w.idp.Ledger().Redeems()) > redeems)
			w.onceOnly()
			w.atRest(a, begin)
		})
	}
}

// refusal waits until a fault is seen, and checks what needs no store meanwhile.
func (c *crowd) refusal(late *browser) {
	t := c.w.t
	t.Helper()
	await(t, "the fault to be seen", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.statuses["/who 503"]+c.statuses["/gated/page 503"] > 0
	})
	if got := late.open("/free"); got.status != http.StatusOK || got.took > slack {
		t.Errorf("a path without a session: got %v after %v, want 200 at once", got, got.took)
	}
	stranger := c.w.browser("ada", late.network.addr)
	if got := stranger.open("/who"); got.status != http.StatusOK || got.body != nobody || got.took > slack {
		t.Errorf("a request without a cookie: got %v after %v, want 200 at once", got, got.took)
	}
	if got := stranger.open("/gated/page"); got.status != http.StatusSeeOther {
		t.Errorf("a gate, for a stranger: got %v, want the way to the provider", got)
	}
}

// goesOn opens a callback again that met a fault. If its code was not sent the same address works;
// otherwise its page says that the sign-in has to start again, and that works.
func (b *browser) goesOn(callback string, sent bool) {
	b.t.Helper()
	got := b.open(callback)
	switch {
	case !sent && (got.status != http.StatusSeeOther || got.header.Get("Location") != "/gated/page"):
		b.t.Errorf("callback afterwards: got %v, want the page", got)
	case sent && (got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "start again")):
		b.t.Errorf("callback afterwards: got %v, want a page that offers to start again", got)
	case sent:
		if err := b.signIn("/gated/page"); err != nil {
			b.t.Errorf("sign in again: %v", err)
		}
	}
	if got := b.open("/gated/page"); got.body != b.subject() {
		b.t.Errorf("afterwards: got %v, want %s", got, b.subject())
	}
}

// broken is a fault of the network between the app and its Redis.
func broken(f faultproxy.Fault) func(*testing.T, *world) func() {
	return func(_ *testing.T, w *world) func() {
		w.proxy.Set(f)
		return func() { w.proxy.Set(faultproxy.Fault{}) }
	}
}
