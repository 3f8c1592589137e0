package capacity

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Starts lets n browsers start to sign in and never come back, and one person sign in meanwhile. It
// returns what the starts have taken of the store's budgets, in bytes.
func Starts(n int) (stored int64, err error) {
	store := &sessionstore.Memory{}
	idp := providertest.New(providertest.Config{})
	auth, err := middleware.New(middleware.Config{
		BaseURL:    visit.Site,
		Providers:  []providers.Provider{idp.OIDC("idp")},
		Store:      store,
		Logger:     slog.New(slog.DiscardHandler),
		HTTPClient: idp.Client(),
	})
	if err != nil {
		return 0, err
	}
	h := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := middleware.User(r.Context()); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	start := func(b *visit.Browser) (string, error) {
		a, err := b.Open(h, "/auth/idp/login?return_to=/me")
		if err == nil && a.Location() == "" {
			err = fmt.Errorf("capacity: start: status %d", a.Status())
		}
		return a.Location(), err
	}
	strangers := func(n int) error {
		for range n {
			if _, err := start(new(visit.Browser)); err != nil {
				return err
			}
		}
		return nil
	}
	var person visit.Browser
	authURL, err := start(&person)
	if err != nil {
		return 0, err
	}
	if err := strangers(n / 2); err != nil {
		return 0, err
	}
	stored = used(store)
	callback, err := idp.Approve(context.Background(), idp.Client(), authURL, "ada")
	if err != nil {
		return 0, err
	}
	if _, err := person.Open(h, callback); err != nil {
		return 0, err
	}
	one := used(store)
	if err := strangers(n - n/2); err != nil {
		return 0, err
	}
	stored += used(store) - one
	me, err := person.Open(h, "/me")
	if err == nil && me.Status() != http.StatusNoContent {
		err = fmt.Errorf("capacity: the person who signed in meanwhile gets status %d", me.Status())
	}
	return stored, err
}

func used(m *sessionstore.Memory) int64 {
	members, guests := m.Used()
	return members + guests
}
