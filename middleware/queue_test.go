package middleware_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// ATTACKS 158, FAULTS F21: a provider that takes 30 seconds for each code is asked about 256 at a time. The
// rest is told so at once, nothing of theirs is used up, and nobody else waits.
func TestAttack_P158_slowProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, unlogged)
		callbacks := make([]string, 300)
		browsers := make([]*browser, len(callbacks))
		for i := range callbacks {
			browsers[i] = k.browser()
			callbacks[i] = browsers[i].approve(browsers[i].start("plain", "/"), "ada")
		}
		k.plain.Set(func(b *providertest.Behavior) { b.Token = providertest.Delay(30 * time.Second) })
		var busy atomic.Int64
		gone := make(chan struct{})
		go func() {
			together(len(callbacks), func(i int) {
				began := time.Now()
				resp := browsers[i].back(callbacks[i])
				if time.Since(began) > 2*time.Second {
					return
				}
				if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
					t.Errorf("status %d after %v", resp.StatusCode, time.Since(began))
				}
				busy.Add(1)
				callbacks[i] = "again " + callbacks[i]
			})
			close(gone)
		}()
		synctest.Wait()
		began := time.Now()
		k.browser().signIn("idp", "grace", "/") // at another provider
		if took := time.Since(began); took != 0 {
			t.Errorf("another provider's sign-in took %v", took)
		}
		<-gone
		if got := k.plain.Count("token"); got != 256 || busy.Load() != 44 {
			t.Errorf("%d token requests, %d told to wait; want 256 and 44", got, busy.Load())
		}
		k.plain.SetBehavior(providertest.Behavior{})
		for i, callback := range callbacks {
			if len(callback) > 6 && callback[:6] == "again " {
				browsers[i].lands(callback[6:], "/", ada)
			}
		}
	})
}
