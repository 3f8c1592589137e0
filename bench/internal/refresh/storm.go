package refresh

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// A Storm is what expires, and who wants it at once.
type Storm struct {
	Contender string
	Sessions  int           // of the peers: 1
	Requests  int           // of each session, at each of two processes
	Slow      time.Duration // that the provider takes for a refresh
}

// All returns the storms of a whole run.
func All() []Storm {
	const usual = 50 * time.Millisecond
	var all []Storm
	for _, kind := range []string{ours, perRequest, shared, goth} {
		all = append(all, Storm{kind, 1, 50, usual})
	}
	return append(all,
		Storm{ours, 1, 500, usual},
		Storm{ours, 1, 500, 4 * time.Second},
		Storm{ours, 500, 5, usual},
	)
}

// All is how many requests there are.
func (s Storm) All() int { return s.Sessions * s.Requests * processes }

const processes = 2

// A Result is what a storm came to.
type Result struct {
	Calls    int           // refreshes that the provider was asked for
	Refused  int           // those that it refused
	Answered int           // requests that got a token
	Tokens   int           // different ones
	P99      time.Duration // of the requests, beyond the time that the provider takes
	Control  time.Duration // P99 of as many requests at once whose tokens are good
	Sent     float64       // Redis commands for each request
	Executed float64       // the same, with those that scripts execute
}

// Run signs people in, lets their tokens expire, and asks for them at both processes at once; then once
// more, with the tokens that came of it.
func (r *Rig) Run(s Storm) (Result, error) {
	var res Result
	r.provider.Set(func(b *providertest.Behavior) { *b = providertest.Behavior{AccessTTL: time.Second} })
	addrs, people, end, err := r.prepare(s)
	defer end()
	if err != nil {
		return res, err
	}
	if _, err := r.rage(s, addrs, people, "/"); err != nil { // connections are made
		return res, err
	}
	r.provider.Set(func(b *providertest.Behavior) {
		b.AccessTTL = time.Hour
		b.Token = providertest.When(providertest.Grant("refresh_token"), providertest.Delay(s.Slow))
	})
	time.Sleep(1100 * time.Millisecond) // until the last token is over
	r.provider.ResetLedger()
	var all *answers
	calls, err := r.redis.Calls(func() (err error) {
		all, err = r.rage(s, addrs, people, "/token")
		return err
	})
	if err != nil {
		return res, err
	}
	for name, n := range calls {
		res.Executed += float64(n) / float64(s.All())
		if name == "HGETALL" || name == "EVALSHA" || name == "EVAL" || name == "DEL" {
			res.Sent += float64(n) / float64(s.All())
		}
	}
	for _, request := range r.provider.Ledger().Refreshes() {
		if res.Calls++; request.Error != "" {
			res.Refused++
		}
	}
	res.Answered, res.Tokens, res.P99 = all.good, len(all.tokens), all.p99()-s.Slow
	if all, err = r.rage(s, addrs, people, "/token"); err != nil {
		return res, err
	}
	res.Control = all.p99()
	return res, nil
}

// prepare starts two processes and signs everybody in.
func (r *Rig) prepare(s Storm) (addrs []string, people []*person, end func(), err error) {
	var running []*process
	end = func() {
		r.client.CloseIdleConnections()
		for _, p := range running {
			p.close()
		}
	}
	t, err := r.token()
	if err != nil {
		return nil, nil, end, err
	}
	for range processes {
		p, err := r.spawn(s.Contender, t)
		if err != nil {
			return nil, nil, end, err
		}
		running, addrs = append(running, p), append(addrs, p.addr)
	}
	if s.Contender != ours {
		return addrs, []*person{{rig: r}}, end, nil
	}
	// One more, so that both processes know the provider.
	for i := range s.Sessions + 1 {
		p := &person{rig: r}
		if err := p.signIn(addrs[i%processes]); err != nil {
			return nil, nil, end, err
		}
		people = append(people, p)
	}
	return addrs, people[:s.Sessions], end, nil
}

// answers are those of a storm.
type answers struct {
	mu     sync.Mutex
	took   []time.Duration
	tokens map[string]bool
	good   int
	err    error
}

func (r *Rig) rage(s Storm, addrs []string, people []*person, path string) (*answers, error) {
	all := &answers{tokens: map[string]bool{}}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range s.All() {
		wg.Go(func() {
			<-start
			began := time.Now()
			resp, body, err := people[i%len(people)].fetch(addrs[i/len(people)%len(addrs)], path)
			all.add(resp, body, err, time.Since(began))
		})
	}
	close(start)
	wg.Wait()
	if all.err != nil {
		return nil, fmt.Errorf("refresh: %s: %w", s.Contender, all.err)
	}
	slices.Sort(all.took)
	return all, nil
}

func (a *answers) add(resp *http.Response, body string, err error, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	a.took = append(a.took, took)
	if err == nil && resp.StatusCode == http.StatusOK {
		a.good++
		a.tokens[body] = true
	}
}

func (a *answers) p99() time.Duration { return a.took[(len(a.took)*99+99)/100-1] }
