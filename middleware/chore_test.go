package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// What requests that change nothing write about their session, one of them writes: the store is not asked
// by a thousand to do the same.
func TestChores(t *testing.T) {
	const n = 200
	rows := []struct {
		name   string
		before time.Duration // the requests come
		fails  bool          // what the first one writes
		want   int           // writes by all of them
		later  int           // by one that comes after them
	}{
		{"the new cookie is seen", time.Minute, false, 1, 0},
		{"the session is used", time.Hour, false, 1, 0},
		{"the store could not take it", time.Minute, true, 0, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, unlogged, change, func(_ *kit, c *middleware.Config) {
					c.Sessions = &scs.SessionManager{Lifetime: 24 * time.Hour, IdleTimeout: 5 * time.Hour}
				})
				var loaded sync.WaitGroup
				k.handle("/page", func(w http.ResponseWriter, _ *http.Request) {
					loaded.Done()
					loaded.Wait() // all have read the same
					fmt.Fprint(w, "page")
				})
				pass, b := at(k), k.browser()
				b.signIn("plain", "ada", "/")
				if row.before >= time.Hour {
					b.whoami()
				}
				pass(row.before)
				w := watch(k)
				if row.fails {
					w.on(func(op string, _ sessionstore.Key) error {
						if op == "update" {
							return errors.New("full")
						}
						return nil
					})
				}
				loaded.Add(n)
				together(n, func(int) {
					if got := text(k.serve(b.request(http.MethodGet, "/page", nil))); got != "page" {
						t.Error(got)
					}
				})
				if got := w.writes(""); got != row.want {
					t.Errorf("%d writes, want %d", got, row.want)
				}
				w.on(nil)
				b.whoami()
				if got := w.writes("") - row.want; got != row.later {
					t.Errorf("then %d writes, want %d", got, row.later)
				}
			})
		})
	}
}
