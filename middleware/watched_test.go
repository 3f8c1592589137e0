package middleware_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// watched is a store that counts what is asked of it, and can be made to fail or to wait.
type watched struct {
	sessionstore.Store

	mu      sync.Mutex
	loads   int
	updates map[string]int            // by kind
	live    map[sessionstore.Key]bool // records made and not deleted
	before  func(op string, k sessionstore.Key) error
}

// watch puts a watched store under k, above the sealing.
func watch(k *kit) *watched {
	w := &watched{Store: k.auth.Store(), updates: map[string]int{}, live: map[sessionstore.Key]bool{}}
	k.auth.SetStore(w)
	return w
}

func (w *watched) ask(op string, k sessionstore.Key) error {
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(op, k)
}

func (w *watched) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if err := w.ask("load", k); err != nil {
		return sessionstore.Record{}, err
	}
	w.mu.Lock()
	w.loads++
	w.mu.Unlock()
	return w.Store.Load(ctx, k)
}

func (w *watched) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if err := w.ask("update", k); err != nil {
		return err
	}
	err := w.Store.Update(ctx, k, c)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.updates[k.Kind]++
	if err == nil {
		w.live[k] = true
	}
	return err
}

func (w *watched) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	for _, k := range ks {
		if err := w.ask("delete", k); err != nil {
			return err
		}
	}
	err := w.Store.Delete(ctx, ks...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range ks {
		delete(w.live, k)
	}
	return err
}

// on sets what happens before each operation; nil is nothing.
func (w *watched) on(f func(op string, k sessionstore.Key) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = f
}

// down makes the store fail, or work again.
func (w *watched) down(yes bool) {
	if !yes {
		w.on(nil)
		return
	}
	w.on(func(string, sessionstore.Key) error { return errors.New("the store is down") })
}

// records returns how many records of a kind there are.
func (w *watched) records(kind string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for k := range w.live {
		if _, err := w.Store.Load(context.Background(), k); err == nil && k.Kind == kind {
			n++
		}
	}
	return n
}

// writes returns how often records of a kind were changed, or all if kind is "".
func (w *watched) writes(kind string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind != "" {
		return w.updates[kind]
	}
	n := 0
	for _, u := range w.updates {
		n += u
	}
	return n
}

// trials returns how often a race is tried: modest, or what RETURNLEG_TRIALS says.
func trials(t *testing.T, modest int) int {
	t.Helper()
	s := os.Getenv("RETURNLEG_TRIALS")
	if s == "" {
		if testing.Short() {
			return max(1, modest/10)
		}
		return modest
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("RETURNLEG_TRIALS %q: want a number", s)
	}
	return n
}

// together calls f(0) … f(n-1) at once, and waits.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// with returns r with every header of h.
func with(r *http.Request, h map[string]string) *http.Request {
	for name, v := range h {
		if v == "" {
			r.Header.Del(name)
			continue
		}
		r.Header.Set(name, v)
	}
	return r
}

// loginContext is a call of OnLogin.
type loginContext struct {
	ctx   context.Context
	login *middleware.Login
}

// onLogin sets what OnLogin does.
func (k *kit) onLogin(f func(loginContext) error) {
	k.auth.SetOnLogin(func(ctx context.Context, l *middleware.Login) error { return f(loginContext{ctx, l}) })
}

// quiet is a log that nobody reads.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
