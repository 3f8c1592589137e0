// Package capacity measures a million sessions: how much memory they take, how long the ones that
// expire hold everybody up, and what a million visitors leave behind who only start to sign in.
package capacity

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/bench/internal/signedin"
	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// room is more than any measurement needs: what is measured is not the budget.
const room = 1 << 36

// app returns an app on store that answers /fill by putting the ten values of the next session.
func app(store *sessionstore.Memory, fill func(put func(key, value string))) (http.Handler, error) {
	idp := providertest.New(providertest.Config{})
	auth, err := middleware.New(middleware.Config{
		BaseURL:    visit.Site,
		Providers:  []providers.Provider{idp.OIDC("idp")},
		Store:      store,
		MaxGuests:  math.MaxInt,
		Logger:     slog.New(slog.DiscardHandler),
		HTTPClient: idp.Client(),
	})
	if err != nil {
		return nil, err
	}
	return auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fill(func(key, value string) { auth.Sessions().Put(r.Context(), key, value) })
		w.WriteHeader(http.StatusNoContent)
	})), nil
}

// Bytes returns what one of n sessions with ten values takes of the heap, in our store and in scs's.
// They are made by n requests each, so that everything that comes with a session is there.
func Bytes(n int) (ours, scsBytes float64, err error) {
	store := &sessionstore.Memory{MaxBytes: room, MaxGuestBytes: room}
	session := 0
	next := func(put func(key, value string)) {
		session++
		signedin.Fill(session, put)
	}
	h, err := app(store, next)
	if err != nil {
		return 0, 0, err
	}
	if ours, err = grown(n, h); err != nil {
		return 0, 0, err
	}
	runtime.KeepAlive(store)

	sessions := scs.New()
	// One without the goroutine that never ends: it would keep the store for good.
	peer := memstore.NewWithCleanupInterval(0)
	sessions.Store = peer
	session = 0
	scsBytes, err = grown(n, sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next(func(key, value string) { sessions.Put(r.Context(), key, value) })
		w.WriteHeader(http.StatusNoContent)
	})))
	runtime.KeepAlive(peer)
	return ours, scsBytes, err
}

// grown returns by how much the heap has grown for each of n browsers that opened a page.
func grown(n int, h http.Handler) (float64, error) {
	before := heap()
	for range n {
		var b visit.Browser
		a, err := b.Open(h, "/fill")
		if err != nil {
			return 0, err
		}
		if a.Status() != http.StatusNoContent || b.Line() == "" {
			return 0, fmt.Errorf("capacity: status %d, want 204 and a cookie", a.Status())
		}
	}
	return float64(heap()-before) / float64(n), nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what finalizers let go
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int64(ms.HeapAlloc)
}
