package middleware_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// The log says that a provider refused something as often as it did, and never of what was not sent.
func TestLog_neverSent(t *testing.T) {
	rows := []struct {
		name    string
		fault   func() providertest.Fault
		refused int // how often the provider said no
	}{
		{"a provider that does not answer", func() providertest.Fault { return providertest.Hang }, 0},
		{"connections that are reset", func() providertest.Fault { return providertest.Reset }, 0},
		{"one refusal, with a time to wait", func() providertest.Fault {
			return providertest.First(1, providertest.Respond(429, "text/plain", "", "Retry-After", "60"))
		}, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					k.mux.Handle("/api", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
						_, err := middleware.Token(r.Context(), "plain")
						if !errors.Is(err, providers.ErrUnavailable) {
							t.Errorf("error %v, want unavailable", err)
						}
						return err
					}))
					b := k.browser()
					b.signIn("plain", "ada", "/")
					time.Sleep(time.Hour)
					k.plain.Set(func(b *providertest.Behavior) { b.Token = row.fault() })
					for range 10 {
						if resp := b.open("/api"); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
							t.Errorf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
						}
					}
					// A refusal is logged where it came, and where it was answered.
					if got := strings.Count(k.log.String(), "token refused"); got != 2*row.refused {
						t.Errorf("%d lines of refusals, want %d:\n%s", got, 2*row.refused, k.log)
					}
				})
			})
		})
	}
}
