package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/faultproxy"
	"github.com/returnleg/returnleg/internal/required"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// TestPool asks with many more requests at once than there are connections, and a slow network: F19.
func TestPool(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	b := w.browser("ada", w.spawn(s).addr).sure()
	s.MaxActive, s.Timeout = 4, 3*time.Second // for a third of them
	a := w.spawn(s)
	b.to(a.addr)
	await(t, "a good answer", func() bool { return b.open("/gated/page").body == b.subject() })
	begin := w.rest(a)
	w.proxy.Set(faultproxy.Fault{Delay: 100 * time.Millisecond})
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses, slowest := map[int]int{}, time.Duration(0)
	for range 300 {
		wg.Go(func() {
			got := b.open("/gated/page")
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
			slowest = max(slowest, got.took)
			if got.status == http.StatusOK && got.body != b.subject() || len(got.cleared) > 0 ||
				got.status != http.StatusOK && got.status != http.StatusServiceUnavailable {
				t.Errorf("got %v", got)
			}
		})
	}
	wg.Wait()
	t.Logf("%v; the slowest took %v", statuses, slowest)
	if limit := s.Timeout + slack; slowest > limit {
		t.Errorf("the slowest took %v, want %v at most", slowest, limit)
	}
	if statuses[http.StatusOK] == 0 || statuses[http.StatusServiceUnavailable] == 0 {
		t.Errorf("got %v, want both", statuses)
	}
	w.proxy.Set(faultproxy.Fault{})
	// So many failures have opened the store's breaker: one request a second finds out that it is over.
	await(t, "a good answer", func() bool { return b.open("/gated/page").body == b.subject() })
	w.atRest(a, begin)
}

// TestDisconnect closes the browser's connection at a random moment of a callback: F26. The same
// address works afterwards, its code is sent once, and the process keeps nothing of it.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idp.Set(func(b *providertest.Behavior) { b.Token = providertest.Linger(5 * time.Millisecond) })
	s := w.settings()
	a := w.spawn(s)
	w.browser("ada", a.addr).sure()
	begin := w.rest(a)
	var cut atomic.Int64
	var wg sync.WaitGroup
	n := trials(t, "RETURNLEG_CUTS", 100)
	const workers = 8
	browsers := make([]*browser, n)
	for i := range browsers {
		browsers[i] = w.browser(person(i), a.addr)
	}
	for worker := range workers {
		wg.Go(func() {
			for i := worker; i < n; i += workers {
				if err := browsers[i].disconnect(&cut); err != nil {
					t.Errorf("%s: %v", browsers[i].who, err)
				}
				browsers[i].client.CloseIdleConnections()
				browsers[i].idp.CloseIdleConnections()
			}
		})
	}
	wg.Wait()
	t.Logf("%d of %d requests were cut", cut.Load(), n)
	if cut.Load() == 0 {
		t.Error("no request was cut")
	}
	w.onceOnly()
	// Each worker may leave an idle connection to the provider behind: a file, and two goroutines.
	begin.goroutines, begin.files = begin.goroutines+2*workers, begin.files+workers
	w.atRest(a, begin)
}

// disconnect comes back from the provider, gives up at a random moment, and loads the page again.
func (b *browser) disconnect(cut *atomic.Int64) error {
	authURL, err := b.start("/who")
	if err != nil {
		return err
	}
	callback, err := b.approve(authURL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), rand.N(60*time.Millisecond))
	if got := b.do(b.request(http.MethodGet, callback, nil).WithContext(ctx)); got.err != nil {
		cut.Add(1)
	}
	cancel()
	if got := b.settles(b.t, callback); got.status != http.StatusSeeOther || got.header.Get("Location") != "/who" {
		return fmt.Errorf("again: got %v, want the page", got)
	}
	if got := b.open("/who"); got.body != b.subject() {
		return fmt.Errorf("afterwards: got %v, want %s", got, b.subject())
	}
	return nil
}

// TestTwice opens a callback twice at once, at two processes: F28.
func TestTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	addrs := []string{w.spawn(w.settings()).addr, w.spawn(w.settings()).addr}
	for i := range 20 {
		b := w.browser(person(i), addrs[i%2])
		callback := b.leave("/who")
		before := w.idp.Count("token")
		var wg sync.WaitGroup
		for _, addr := range addrs {
			r := b.request(http.MethodGet, callback, nil)
			wg.Go(func() {
				b.to(addr) // of these two requests; whichever comes second takes both
				if got := b.do(r); got.status != http.StatusSeeOther || got.header.Get("Location") != "/who" {
					t.Errorf("got %v, want the page", got)
				}
			})
		}
		wg.Wait()
		if n := w.idp.Count("token") - before; n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
		for _, addr := range addrs {
			b.to(addr)
			if got := b.open("/who"); got.body != b.subject() {
				t.Errorf("afterwards: got %v, want %s", got, b.subject())
			}
		}
	}
	w.onceOnly()
}

// TestTerminate ends a process by SIGTERM while people come back and tokens are renewed: F29.
func TestTerminate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, other := w.spawn(w.settings()), w.spawn(w.settings())
	const n = 20
	var back, renew []*browser
	var callbacks []string
	for i := range n {
		back = append(back, w.browser(person(i), p.addr))
		callbacks = append(callbacks, back[i].leave("/who"))
		renew = append(renew, w.browser(person(n+i), p.addr).sure())
	}
	w.idp.Set(func(b *providertest.Behavior) { b.Token = providertest.Linger(500 * time.Millisecond) })
	before := w.idp.Count("token")
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got := back[i].open(callbacks[i])
			if got.late && got.err != nil { // the process has gone, when the page loaded itself again
				back[i].to(other.addr)
				got = back[i].open(callbacks[i])
			}
			if got.status != http.StatusSeeOther {
				t.Errorf("callback: got %v, want 303", got)
			}
		})
		wg.Go(func() {
			if got := renew[i].open("/token"); got.status != http.StatusOK {
				t.Errorf("refresh: got %v, want 200", got)
			}
		})
	}
	await(t, "all token requests", func() bool { return w.idp.Count("token") == before+2*n })
	began := time.Now()
	if err := p.Stop(); err != nil {
		t.Errorf("SIGTERM: the process ended with %v", err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("the process took %v to end", took)
	}
	wg.Wait()
	w.idp.Set(func(b *providertest.Behavior) { b.Token = nil })
	for _, b := range append(back, renew...) {
		b.to(other.addr)
		if got := b.open("/who"); got.body != b.subject() {
			t.Errorf("afterwards: got %v, want %s", got, b.subject())
		}
	}
	for _, b := range back { // those of renew were renewed a moment ago
		if got := b.open("/token"); got.status != http.StatusOK {
			t.Errorf("refresh afterwards: got %v, want 200", got)
		}
	}
	if reused := w.idp.Ledger().Reused(); len(reused) > 0 {
		t.Errorf("%d refresh tokens were sent again", len(reused))
	}
	w.onceOnly()
}

// TestFiles lets a process have 64 files, and more connections than that: F34.
func TestFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	s.Files = 64
	a := w.spawn(s)
	b := w.browser("ada", a.addr).sure()
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 200 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			got := b.do(b.request(http.MethodGet, "/gated/page", nil).WithContext(ctx))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
			if len(got.cleared) > 0 || got.err == nil && got.status != http.StatusServiceUnavailable && got.body != b.subject() {
				t.Errorf("got %v", got)
			}
		})
	}
	wg.Wait()
	b.network.CloseIdleConnections()
	t.Logf("%v", statuses)
	await(t, "a good answer", func() bool { return b.open("/gated/page").body == b.subject() })
	b.network.CloseIdleConnections()

	// Others hold all that there is, until they go.
	held := make([]net.Conn, 2*s.Files)
	for i := range held {
		c, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		held[i] = c
	}
	await(t, "the last file", func() bool {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.Pid()))
		if uint64(len(files)) > s.Files+8 { // it may have inherited some
			t.Fatalf("the process has %d files, and may have %d", len(files), s.Files)
		}
		return err == nil && uint64(len(files)) >= s.Files
	})
	for _, c := range held {
		c.Close()
	}
	await(t, "a good answer", func() bool { return b.open("/gated/page").body == b.subject() })
	select {
	case <-a.Ended():
		t.Error("the process has ended")
	default:
	}
}

// TestPanic panics in what belongs to the app: F36. The process goes on, and so does the person.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var inLogin, inStore trigger
	a := w.app(w.settings(), func(c *middleware.Config) {
		c.OnLogin = func(context.Context, *middleware.Login) error { inLogin.pull(); return nil }
		c.Store = &fragile{c.Store, &inStore}
	})
	b := w.browser("ada", a.addr).sure()
	b.network.DisableKeepAlives = true // or else the request would be sent again, as browsers do
	b.open("/put?v=kept")

	if got := b.open("/panic"); got.err == nil {
		t.Errorf("handler: got %v, want a connection that ends", got)
	}
	if got := b.open("/value"); got.body != "kept" {
		t.Errorf("after a panic in a handler: got %v, want kept", got)
	}

	inStore.arm(1)
	if got := b.open("/put?v=lost"); got.err == nil {
		t.Errorf("store: got %v, want a connection that ends", got)
	}
	if got := b.open("/value"); got.body != "kept" {
		t.Errorf("after a panic in the store: got %v, want kept", got)
	}

	for n := 1; n <= 5; n++ { // of the writes of a sign-in of somebody who is known
		w.browser(person(n), a.addr).sure()
		late := w.browser(person(n), a.addr)
		late.network.DisableKeepAlives = true
		callback := late.leave("/gated/page")
		sent := len(w.idp.Ledger().Redeems())
		inStore.arm(n)
		got := late.open(callback)
		if got.late && got.status == http.StatusSeeOther { // another load has gone on
			continue
		}
		if got.err == nil && !got.late {
			t.Errorf("store, write %d: got %v, want a connection that ends", n, got)
		}
		late.goesOn(callback, len(w.idp.Ledger().Redeems()) > sent)
	}

	late := w.browser("grace", a.addr)
	late.network.DisableKeepAlives = true
	callback := late.leave("/gated/page")
	inLogin.arm(1)
	if got := late.open(callback); got.err == nil && !got.late { // a late one is for the log
		t.Errorf("OnLogin: got %v, want a connection that ends", got)
	}
	late.goesOn(callback, true)
	w.onceOnly()
}

// A trigger panics once, at the n-th call after it was armed.
type trigger struct {
	mu   sync.Mutex
	left int
}

func (g *trigger) arm(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.left = n
}

func (g *trigger) pull() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 {
		return
	}
	if g.left--; g.left == 0 {
		panic(http.ErrAbortHandler) // the one that net/http does not log
	}
}

// A fragile store panics in Update.
type fragile struct {
	sessionstore.Store
	trigger *trigger
}

func (f *fragile) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	f.trigger.pull()
	return f.Store.Update(ctx, k, c)
}

// TestLogFull writes the log to a disk that is full: F35. Everything else goes on.
func TestLogFull(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		required.Missing(t, "/dev/full", err)
	}
	t.Cleanup(func() { full.Close() })
	if _, err := full.WriteString("x"); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("/dev/full: %v, want ENOSPC", err)
	}
	w := newWorld(t)
	a, err := newApp(w.settings(), full)
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser("ada", w.listen(a)).sure()
	b.open("/put?v=kept")
	for _, row := range []struct {
		target string
		status int
		body   string
	}{
		{"/gated/page", 200, b.subject()},
		{"/value", 200, "kept"},
		{"/token", 200, ""},                            // renews it
		{"/auth/idp/callback?state=x&code=y", 303, ""}, // of the history
		{"/auth/nothing", 404, ""},                     // refused
		{"/everywhere", 200, ""},                       // signs out
		{"/who", 200, nobody},
	} {
		if got := b.open(row.target); got.status != row.status || row.body != "" && got.body != row.body {
			t.Errorf("%s: got %v, want %d %s", row.target, got, row.status, row.body)
		}
	}
	b.sure() // signs in again
}

// TestRoundTrips counts what requests of somebody who is signed in cost Redis: F12.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.browser("ada", w.app(w.settings()).addr).sure()
	before := w.redis.Commands(t)
	const n = 50
	for range n {
		if got := b.open("/gated/page"); got.body != b.subject() {
			t.Fatalf("got %v, want %s", got, b.subject())
		}
	}
	after := w.redis.Commands(t)
	for _, row := range []struct {
		command string
		want    int
	}{{"HGETALL", n}, {"EVALSHA", 0}, {"EVAL", 0}, {"DEL", 0}} {
		if got := after[row.command] - before[row.command]; got != row.want {
			t.Errorf("%s: got %d, want %d", row.command, got, row.want)
		}
	}
}
