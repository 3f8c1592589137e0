package faults_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// comesBack opens a gated page after the session was lost, and goes through one sign-in: the gate
// starts it, and nothing on the way is an error.
func (b *browser) comesBack() error {
	a := b.open("/gated/page")
	if a.status != http.StatusSeeOther {
		return fmt.Errorf("gate: %v", a)
	}
	callback, err := b.approve(a.header.Get("Location"))
	if err != nil {
		return err
	}
	began := time.Now()
	if a = b.open(callback); a.status != http.StatusSeeOther || a.header.Get("Location") != "/gated/page" {
		return fmt.Errorf("callback: %v", a)
	}
	if took := time.Since(began); took > slack {
		return fmt.Errorf("callback took %v", took)
	}
	if a = b.open("/gated/page"); a.body != b.subject() {
		return fmt.Errorf("afterwards: %v", a)
	}
	return nil
}

// TestLost takes sessions away from people who were signed in: each signs in once more, cleanly.
func TestLost(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		lose func(t *testing.T, w *world)
	}{
		{"F9 restart without persistence", func(t *testing.T, w *world) {
			w.redis.Kill()
			w.redis.Restart(t)
		}},
		{"F14 evicted", func(t *testing.T, w *world) {
			w.redis.Do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
			w.redis.Do(t, "CONFIG", "SET", "maxmemory", 3<<20)
			junk := strings.Repeat("x", 16<<10)
			i := 0
			for ; w.size() > 0 && len(w.ids("session"))+len(w.ids("account")) > 0; i++ {
				if i == 10_000 {
					t.Fatal("nothing was evicted")
				}
				w.redis.Do(t, "SET", fmt.Sprint("junk", i), junk)
			}
			for ; i >= 0; i-- { // or it would go on with who has just signed in again
				w.redis.Do(t, "DEL", fmt.Sprint("junk", i))
			}
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			a := w.app(w.settings())
			c := newCrowd(w, a.addr, 6)
			authorized := w.idp.Count("authorize")
			row.lose(t, w)
			unknown := func() int { return strings.Count(w.logs.String(), "reason=session_unknown") }
			if n := unknown(); n != 0 {
				t.Errorf("%d events of an unknown session before anybody came, want 0", n)
			}
			for _, b := range c.members {
				was := b.cookies()["rl-8088"]
				if err := b.comesBack(); err != nil {
					t.Errorf("%s: %v", b.who, err)
				}
				if b.cookies()["rl-8088"] == was {
					t.Errorf("%s has the cookie of before", b.who)
				}
			}
			if n := unknown(); n != len(c.members) { // the gate's answer replaces the cookie
				t.Errorf("%d events of an unknown session for %d people, want one each", n, len(c.members))
			}
			t.Logf("%d requests to the provider's page for %d people", w.idp.Count("authorize")-authorized, len(c.members))
		})
	}
}

// TestKeys changes the key ring while people are signed in: F37.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	next := newKey()
	for {
		if _, err := sessionstore.ParseKeyring(next + "," + w.keys); err == nil {
			break
		}
		next = newKey() // one pair of keys in 256 has the same ID
	}
	ring := func(keys string) settings {
		s := w.settings()
		s.Keys = keys
		return s
	}
	old, both, alone := w.app(ring(w.keys)), w.app(ring(next+","+w.keys)), w.app(ring(next))
	b := w.browser("ada", old.addr).sure()
	callback := b.leave("/who")
	b.to(both.addr)
	if got := b.open("/who"); got.body != b.subject() {
		t.Errorf("with the new key in front: got %v, want %s", got, b.subject())
	}
	if got := b.open(callback); got.status != http.StatusSeeOther || got.header.Get("Location") != "/who" {
		t.Errorf("callback of a start under the old key: got %v, want the page", got)
	}
	b.to(alone.addr)
	if got := b.open("/who"); got.status != http.StatusOK || got.body != nobody {
		t.Errorf("without the old key: got %v, want %s", got, nobody)
	}
	if err := b.comesBack(); err != nil {
		t.Errorf("sign in again, without the old key: %v", err)
	}
	w.onceOnly()
}

// TestMemoryTwice gives each of two replicas a memory of its own, by mistake: F25. People bounce to
// the provider, and a gate stops that after a few automatic sign-ins.
func TestMemoryTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	s.Redis = ""
	first, second := w.app(s, memory), w.app(s, memory)
	b := w.browser("ada", first.addr).sure()
	b.to(second.addr)
	if got := b.open("/who"); got.status != http.StatusOK || got.body != nobody {
		t.Errorf("on the other one: got %v, want %s", got, nobody)
	}
	starts := 0
	for i := range 10 {
		b.to([]string{second.addr, first.addr}[i%2])
		a := b.open("/gated/page")
		if a.status != http.StatusSeeOther {
			if a.status >= 500 {
				t.Errorf("gate: got %v", a)
			}
			continue
		}
		starts++
		callback, err := b.approve(a.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		b.to([]string{first.addr, second.addr}[i%2]) // back at the other one
		if a := b.open(callback); a.status != http.StatusSeeOther {
			t.Errorf("callback: got %v, want 303", a)
		}
	}
	// Whoever reads the log can tell: a warning of each at the start, and sessions that nobody knows.
	log := w.logs.String()
	if n := strings.Count(log, "in the memory of this process"); n != 2 {
		t.Errorf("%d warnings at the start, want 2", n)
	}
	if n := strings.Count(log, "reason=session_unknown"); n < 5 {
		t.Errorf("%d events of an unknown session, want some", n)
	}
	if starts > 3 { // one, and two more once the gate has let the person through
		t.Errorf("the gates started %d sign-ins within a minute, want at most three", starts)
	}
	w.onceOnly()
}

func memory(c *middleware.Config) { c.Store = &sessionstore.Memory{} }
