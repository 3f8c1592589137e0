package middleware_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// dead is a store that a process which was killed has: nothing that it writes arrives.
type dead struct {
	sessionstore.Store
	gone atomic.Bool
}

func (d *dead) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if d.gone.Load() {
		return sessionstore.ErrUnavailable
	}
	return d.Store.Update(ctx, k, c)
}

// A process that is killed in the first sign-in of a person keeps the next one waiting for a moment only;
// one that takes its time in OnLogin keeps it for as long as it is at it, and is the first.
func TestReservation(t *testing.T) {
	rows := []struct {
		name        string
		killed      bool
		least, most time.Duration // that the next one waits
		news        int32         // calls of OnLogin for somebody who is new
	}{
		{"killed", true, 2 * time.Second, 4 * time.Second, 2},
		{"at it", false, 5 * time.Second, 9 * time.Second, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), _ func(*kit) func(time.Duration)) {
				var news atomic.Int32
				entered, over := make(chan bool), make(chan bool)
				store := &dead{}
				first := newKit(t, change)
				store.Store = first.auth.Store()
				first.auth.SetStore(store)
				first.onLogin(func(c loginContext) error {
					if c.login.IsNew {
						news.Add(1)
					}
					store.gone.Store(row.killed)
					close(entered)
					<-over
					return nil
				})
				second := newKit(t, change)
				second.auth.SetStore(store.Store)
				second.onLogin(func(c loginContext) error {
					if c.login.IsNew {
						news.Add(1)
					}
					return nil
				})
				b, ended := first.browser(), make(chan *http.Response)
				callback := b.approve(b.start("idp", "/"), "ada")
				go func() { ended <- b.back(callback) }()
				<-entered
				if !row.killed {
					time.AfterFunc(6*time.Second, func() { close(over) })
				}
				other, began := second.browser(), time.Now()
				other.signIn("idp", "ada", "/whoami")
				took := time.Since(began)
				if row.killed {
					close(over)
				}
				resp := <-ended
				if got := resp.StatusCode == http.StatusSeeOther; got == row.killed {
					t.Errorf("the first one: status %d", resp.StatusCode)
				}
				if strings.HasSuffix(t.Name(), "redis") {
					row.most += 20 * time.Second // of a busy machine
				}
				if took < row.least || took > row.most {
					t.Errorf("the next one waited for %v, want %v to %v", took, row.least, row.most)
				}
				if got := news.Load(); got != row.news {
					t.Errorf("new %d times, want %d", got, row.news)
				}
				if got := other.whoami(); got != ada {
					t.Errorf("signed in as %s", got)
				}
			})
		})
	}
}
