package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// accessTTL is how long an access token is good: it is renewed all the time.
const accessTTL = time.Second

// run lets people use the app while faults come and go, and returns what was seen.
func run(t testing.TB, o options, log io.Writer) (*report, error) {
	w := &world{t: t, seed: o.seed, keys: sessionstore.NewKeyring(), report: newReport(), log: &locked{w: log}, random: rand.New(rand.NewPCG(o.seed, 1<<32))}
	var accounts []providertest.Account
	for i := range o.people {
		id := fmt.Sprint("person-", i)
		accounts = append(accounts, providertest.Account{ID: id, Name: id})
	}
	var err error
	if w.backend, err = newBackend(t, o, w); err != nil {
		return nil, err
	}
	w.idp = providertest.NewServer(t, providertest.Config{Accounts: accounts, Algorithm: "ES256", AccessTTL: accessTTL, CodeTTL: time.Hour, Limit: 1 << 20})
	transport := &http.Transport{MaxIdleConnsPerHost: 4 * o.people}
	w.transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	w.url = server.URL
	w.apps = []*app{w.start(0), w.start(1)}
	t.Logf("seed %d: %s, replicas %d, %d people, for %v", o.seed, o.store, o.replicas, o.people, o.length)

	w.report.begun = time.Now()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	people := make([]*person, o.people)
	for i := range people {
		people[i] = w.person(i)
		wg.Go(func() { people[i].live(ctx, o.pace) })
	}
	end := func() { stop(); wg.Wait() }
	defer end()
	w.harass(o)
	end()
	w.awaitWell()
	for _, p := range people {
		wg.Go(p.last)
	}
	wg.Wait()
	w.audit()
	for _, a := range w.apps {
		a.bury()
	}
	return w.report, nil
}

// harass lets one fault after another happen until the time is over.
func (w *world) harass(o options) {
	var faults, failovers []fault
	for _, f := range append(w.backend.faults(w), w.common()...) {
		switch {
		case f.kind == "":
			faults = append(faults, f)
		case o.failover == "both" || o.failover == f.kind:
			failovers = append(failovers, f)
		}
	}
	until := time.Now().Add(o.length)
	w.calm(until, 1500*time.Millisecond)
	for i := 0; time.Now().Before(until); i++ {
		f := faults[w.random.IntN(len(faults))]
		if len(failovers) > 0 && i%2 == 0 {
			f = failovers[w.random.IntN(len(failovers))]
		}
		at := time.Since(w.report.begun)
		f.do(w)
		w.report.add("fault: " + f.name)
		took := time.Since(w.report.begun) - at
		well := w.awaitWell()
		w.t.Logf("%7s  %s, %v; well %v later", at.Round(100*time.Millisecond), f.name, took.Round(100*time.Millisecond), well.Round(100*time.Millisecond))
		w.calm(until, 1500*time.Millisecond)
	}
}

// calm waits, but not beyond until.
func (w *world) calm(until time.Time, d time.Duration) {
	rest(max(0, min(d, time.Until(until))))
}

// common are the faults of every store.
func (w *world) common() []fault {
	during := func(name string, t trouble) fault {
		return fault{name, "", func(w *world) {
			i := w.random.IntN(len(w.apps))
			w.trouble(i, t)
			rest(1500 * time.Millisecond)
			w.trouble(i, trouble{})
		}}
	}
	return []fault{
		during("one app in ten answers of its store is lost", trouble{lost: 0.1}),
		during("one app is refused by its store every tenth time", trouble{refused: 0.1}),
		during("one app has a slow store", trouble{delay: 80 * time.Millisecond}),
		{"an app is killed, and another one started", "", func(w *world) { w.restart(w.random.IntN(len(w.apps))) }},
	}
}

// died notes that a server is about to be ended or demoted whose last changes no replica need have, unless
// it is safe: all of them must.
func (w *world) died(safe bool) {
	w.report.change()
	if !safe {
		w.report.open(time.Now())
	}
}

// awaitWell waits until both apps serve a guest who writes and reads, and returns how long that took.
func (w *world) awaitWell() time.Duration {
	begun := time.Now()
	for good := 0; good < 4; {
		b := w.browser()
		b.next = good
		a := b.post("/put", map[string][]string{"k": {"w"}, "v": {"1"}})
		s, _, ok := b.state()
		switch {
		case a.ok() && ok && s.Values["w"] == "1":
			good++
			continue
		case time.Since(begun) > 2*time.Minute:
			w.report.violate(neverWell, time.Now(), time.Now(), "%v", a)
			return time.Since(begun)
		}
		good = 0
		rest(100 * time.Millisecond)
	}
	return time.Since(begun)
}

// audit looks at what the provider saw.
func (w *world) audit() {
	ledger := w.idp.Ledger()
	for _, c := range ledger.Repeated() {
		w.report.violate(codeTwice, c.Issued, c.Issued.Add(time.Minute), "%d times, %s's", c.Sent, c.Account)
	}
	w.report.mu.Lock()
	defer w.report.mu.Unlock()
	for _, r := range ledger.Refresh {
		if r.Sent > 1 {
			w.report.counts["refresh tokens sent again"]++
		}
	}
	w.report.counts["tokens renewed"] = len(ledger.Refreshes())
	w.report.counts["grants ended by a token used again"] = ledger.FamiliesRevoked
	w.report.counts["operations of the stores"] = int(w.calls.n.Load())
}

// locked is a writer for several goroutines.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
