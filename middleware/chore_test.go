package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
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

// What came to nothing is not done for long: somebody who comes now and then keeps their session.
func TestChores_cameToNothing(t *testing.T) {
	rows := []struct {
		name string
		fail func(op string, k sessionstore.Key) error
		then time.Duration // the next request
	}{
		{"a guest who could not be counted, at once", func(_ string, k sessionstore.Key) error {
			if k.Kind == "tally" {
				return sessionstore.ErrUnavailable
			}
			return nil
		}, time.Second},
		{"a store that did not take it, later", func(op string, k sessionstore.Key) error {
			if op == "update" && k.Kind == "session" {
				return sessionstore.ErrConflict
			}
			return nil
		}, 14 * time.Minute},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, unlogged, change)
					notes(k)
					nextWindow(30 * time.Minute)
					time.Sleep(20 * time.Minute)
					b := k.arrive(1)[0]
					b.put("cart", "pears")
					time.Sleep(15 * time.Minute) // of the half hour that it lasts; the next window
					w := watch(k)
					w.on(row.fail)
					b.get("cart")
					w.on(nil)
					time.Sleep(row.then)
					b.get("cart")
					time.Sleep(25*time.Minute - row.then)
					if got := b.get("cart"); got != "pears" {
						t.Errorf("cart is %q, want pears", got)
					}
				})
			})
		})
	}
}
