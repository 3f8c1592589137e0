package middleware_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Who waits for another process learns soon what came of it, and does not ask all the time: a crowd asks
// less often, because it is the crowd that makes the others slow.
func TestRefresh_wait(t *testing.T) {
	rows := []struct {
		name     string
		sessions int
		slow     time.Duration
		late     time.Duration // at most, after the provider has answered
		loads    int           // at most, for each who waits
	}{
		{"one, a quick provider", 1, 50 * time.Millisecond, 10 * time.Millisecond, 10},
		{"one, a slow provider", 1, 4 * time.Second, 20 * time.Millisecond, 300},
		{"a crowd, a quick provider", 200, 50 * time.Millisecond, 100 * time.Millisecond, 10},
		{"a crowd, a slow provider", 200, 4 * time.Second, time.Second, 25},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, withShared, unlogged)
				browsers := make([]*browser, row.sessions)
				for i := range browsers {
					browsers[i] = k.browser()
					browsers[i].signIn("plain", "ada", "/")
				}
				k.plain.Set(slowRefresh(row.slow))
				next := k.beside(unlogged)
				time.Sleep(time.Hour)
				w := watch(next)
				began := time.Now()
				var wg sync.WaitGroup
				for _, b := range browsers {
					wg.Go(func() { k.token(b, "") })
				}
				synctest.Wait() // all of them have set their marks
				for _, b := range browsers {
					wg.Go(func() {
						if got := next.token(b, ""); got.err != nil {
							t.Error(got.err)
						}
						if late := time.Since(began) - row.slow; late > row.late {
							t.Errorf("%v late, want %v at most", late, row.late)
						}
					})
				}
				wg.Wait()
				if each := w.loads / row.sessions; each > row.loads {
					t.Errorf("%d loads for each who waits, want at most %d", each, row.loads)
				}
				if n := k.refreshes(k.plain); n != row.sessions {
					t.Errorf("%d refreshes, want %d", n, row.sessions)
				}
			})
		})
	}
}
