package middleware_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// ATTACKS 158, FAULTS F21: a provider that does not come to an end with any code is asked about 256 at a
// time. The rest is told so after a moment, nothing of theirs is used up, and nobody else waits.
func TestAttack_P158_slowProvider(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) { slowProvider(t, change) })
	})
	t.Run("redis", func(t *testing.T) {
		store := realRedis(t)
		slowProvider(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, shared })
	})
}

func slowProvider(t *testing.T, change func(*kit, *middleware.Config)) {
	const all, asked = 300, 256
	k := newKit(t, unlogged, change)
	callbacks := make([]string, all)
	browsers := make([]*browser, all)
	for i := range callbacks {
		browsers[i] = k.browser()
		callbacks[i] = browsers[i].approve(browsers[i].start("plain", "/"), "ada")
	}
	release, reached, told := make(chan struct{}), make(chan int, all), make(chan int, all)
	k.plain.Set(func(b *providertest.Behavior) {
		b.Token = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			reached <- 1
			<-release
			next(w, r)
		}
	})
	var again [all]bool
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		together(all, func(i int) {
			resp := browsers[i].back(callbacks[i])
			if resp.StatusCode == http.StatusSeeOther {
				return
			}
			if resp.StatusCode == http.StatusAccepted { // on a machine that stood still for three seconds
				again[i] = true
				return
			}
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(text(resp), "Many are signing in") {
				t.Errorf("status %d: %s", resp.StatusCode, text(resp))
			}
			again[i] = true
			told <- 1
		})
	}()
	for range asked {
		<-reached
	}
	for range all - asked {
		<-told
	}
	if got := k.plain.Count("token"); got != asked {
		t.Errorf("%d token requests, want %d", got, asked)
	}
	k.browser().signIn("idp", "grace", "/") // at another provider, while those hang
	close(release)
	<-gone
	for i, callback := range callbacks {
		if again[i] {
			browsers[i].lands(callback, "/", ada)
		}
		browsers[i].is(ada)
	}
	if got := k.plain.Count("token"); got != all {
		t.Errorf("%d token requests, want one for each of %d", got, all)
	}
}
