package sql_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/sqlstore"
)

// TestGuests lets strangers come to two apps, each with connections of its own to one database:
// there are as many as one window of the budget has room for.
func TestGuests(t *testing.T) {
	const want, came = 20, 100
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			open, keys := d.empty(t), sessionstore.NewKeyring()
			idp := providertest.New(providertest.Config{})
			var apps []http.Handler
			for range 2 {
				store, err := sqlstore.New(t.Context(), open(), sqlstore.Config{Timeout: 30 * time.Second}) // of a busy machine
				if err != nil {
					t.Fatal(err)
				}
				auth, err := middleware.New(middleware.Config{
					BaseURL:       "https://app.example",
					Providers:     []providers.Provider{idp.OIDC("idp")},
					Store:         store,
					Keys:          keys,
					Logger:        slog.New(slog.DiscardHandler),
					MaxGuests:     2 * want,
					AnonymousIdle: 100_000 * time.Hour, // one window lasts until 2034
				})
				if err != nil {
					t.Fatal(err)
				}
				apps = append(apps, auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					auth.Sessions().Put(r.Context(), "cart", "apples")
				})))
			}
			var in, out atomic.Int64
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for range came / 4 {
						w := httptest.NewRecorder()
						apps[i%2].ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://app.example/", nil))
						switch w.Code {
						case http.StatusOK:
							in.Add(1)
						case http.StatusServiceUnavailable:
							out.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if in.Load() != want || out.Load() != came-want {
				t.Errorf("%d came in and %d did not, want %d and %d", in.Load(), out.Load(), want, came-want)
			}
			db := open()
			var n int
			if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM returnleg_record WHERE kind = 'session'`).Scan(&n); err != nil || n != want {
				t.Errorf("%d sessions (%v), want %d", n, err, want)
			}
		})
	}
}
