package tokens_test

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// mostCommands is how many Redis commands a request may cost that waits for a refresh.
const mostCommands = 5

// A storm is many requests at once, of each of some visitors at each of some processes. Go run ./bench
// -only refresh measures storms without the race detector, and without a limit.
type storm struct {
	w         *world
	visitors  []*visitor
	processes []*process
	each      int // requests of a visitor at a process
}

// A calm is what is left after a storm.
type calm struct {
	answers  [][]answer // of each visitor
	commands int        // that the processes sent to Redis
	executed int        // that Redis executed, those within scripts included
}

func (s *storm) requests() int { return len(s.visitors) * len(s.processes) * s.each }

func (s *storm) rage(path string) calm {
	s.w.t.Helper()
	c := calm{answers: make([][]answer, len(s.visitors))}
	var mu sync.Mutex
	before := s.w.redis.Commands(s.w.t)
	together(s.requests(), func(i int) {
		v := i / (len(s.processes) * s.each)
		a := s.visitors[v].fetch(s.processes[i%len(s.processes)], path)
		mu.Lock()
		defer mu.Unlock()
		c.answers[v] = append(c.answers[v], a)
	})
	for name, n := range s.w.redis.Commands(s.w.t) {
		n -= before[name]
		switch name {
		case "INFO": // this one
		case "EXISTS", "HGET", "HSET", "HDEL", "PEXPIREAT": // of the script by which a record is changed
			c.executed += n
		default:
			c.executed += n
			c.commands += n
		}
	}
	return c
}

// one fails the test unless each visitor got one token, the same everywhere, and good.
func (s *storm) one(c calm, good func(token string) bool) {
	s.w.t.Helper()
	for i, as := range c.answers {
		tokens := map[string]int{}
		for _, a := range as {
			if err := s.visitors[i].got(a); err != nil {
				s.w.t.Error(err)
				return // the others have not much to add
			}
			tokens[a.token]++
		}
		if len(tokens) != 1 {
			s.w.t.Errorf("%s got %d tokens, want 1", s.visitors[i].who, len(tokens))
		}
		for token := range maps.Keys(tokens) {
			if !good(token) {
				s.w.t.Errorf("%s got a token that the provider does not take", s.visitors[i].who)
			}
		}
	}
}

// TestStorm lets tokens expire in front of two processes: DESIGN, invariant 7.
func TestStorm(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		sessions int
		each     int // requests of a session at each process
		slow     time.Duration
	}{
		{"F33 one session", 1, 500, 50 * time.Millisecond},
		{"F6 a provider slower than the mark lasts", 1, 500, 4 * time.Second},
		{"F24 500 sessions", 500, 5, 50 * time.Millisecond},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := newPractice(t)
			ps := []*process{w.spawn(false), w.spawn(false)}
			w.shortLived()
			s := &storm{w.world, w.visitors(row.sessions, ps[0]), ps, row.each}
			w.expire()
			w.idp.Set(func(b *providertest.Behavior) {
				b.Token = providertest.When(providertest.Grant("refresh_token"), providertest.Delay(row.slow))
			})
			c := s.rage("/token")
			w.refreshed(row.sessions)
			s.one(c, w.takes)
			each := float64(c.commands) / float64(s.requests())
			t.Logf("%d requests: %.2f commands each, %.2f with those within scripts", s.requests(), each, float64(c.executed)/float64(s.requests()))
			if each > mostCommands {
				t.Errorf("%.2f commands for each request, want at most %d", each, mostCommands)
			}
			s.one(s.rage("/token"), w.takes) // everybody is still there
			w.refreshed(row.sessions)
		})
	}
}

// refreshed fails the test unless the provider saw n refreshes, and liked them all.
func (p *practice) refreshed(n int) {
	p.t.Helper()
	l := p.idp.Ledger()
	rs := l.Refreshes()
	if len(rs) != n {
		p.t.Errorf("%d refreshes, want %d", len(rs), n)
	}
	for _, r := range rs {
		if r.Status != http.StatusOK {
			p.t.Errorf("a refresh was answered with %d %s", r.Status, r.Error)
		}
	}
	if reused := l.Reused(); len(reused) > 0 || l.FamiliesRevoked > 0 {
		p.t.Errorf("%d refresh tokens were sent again, %d families revoked", len(reused), l.FamiliesRevoked)
	}
}

// takes reports that the provider's API takes a token.
func (p *practice) takes(token string) bool {
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.idp.URL("/userinfo"), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := (&http.Client{Transport: p.idp.Transport()}).Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// TestStorm_refused has the provider end a grant, and asks a thousand times. It is asked once.
func TestStorm_refused(t *testing.T) {
	t.Parallel()
	w := newPractice(t)
	ps := []*process{w.spawn(false), w.spawn(false)}
	w.shortLived()
	s := &storm{w.world, w.visitors(1, ps[0]), ps, 500}
	w.expire()
	w.idp.EndGrants("")
	for _, when := range []string{"at once", "afterwards"} {
		for _, a := range s.rage("/token").answers[0] {
			if a.err != nil || a.status != http.StatusUnauthorized {
				t.Fatalf("%s: got %v, want 401", when, a)
			}
		}
	}
	if n := len(w.idp.Ledger().Refreshes()); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
	if err := s.visitors[0].signIn(ps[1]); err != nil {
		t.Fatal(err)
	}
	s.one(s.rage("/token"), w.takes)
}

// TestStorm_gone has the client who asked first go away while the provider is asked: F27. The refresh
// goes on, and is saved.
func TestStorm_gone(t *testing.T) {
	t.Parallel()
	w := newPractice(t)
	p := w.spawn(false)
	w.shortLived()
	v := w.visitors(1, p)[0]
	w.expire()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	w.once(p, answered, func() {
		leave()
		<-left
	})
	if a := v.do(ctx, p, "/token", "empty"); a.err == nil {
		t.Errorf("got %v, want a request that was given up", a)
	}
	close(left)
	if err := v.got(v.fetch(p, "/token")); err != nil {
		t.Error(err)
	}
	w.refreshed(1)
}
