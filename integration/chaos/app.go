package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// An app is one of the processes that share a store: a handler with a store, a gate and a client of its
// own. It can be ended like a process, at any point.
type app struct {
	auth *middleware.Auth
	http.Handler
	gate  *gate
	close func()
	ended atomic.Bool
}

// errEnded is what becomes of the requests of a process that has ended.
var errEnded = errors.New("chaos: the process has ended")

// RoundTrip sends nothing for a process that has ended, and gives it no answer.
func (a *app) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.ended.Load() {
		return nil, errEnded
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && a.ended.Load() {
		resp.Body.Close()
		return nil, errEnded
	}
	return resp, err
}

// start starts a process.
func (w *world) start(i int) *app {
	w.t.Helper()
	store, end := w.backend.store(w.t)
	w.started++
	a := &app{gate: newGate(store, w.seed+uint64(w.started), &w.calls), close: end}
	auth, err := middleware.New(middleware.Config{
		BaseURL: w.url,
		Providers: []providers.Provider{&providers.OIDC{
			ID: "idp", Issuer: w.idp.Issuer(), ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
		}},
		Store: a.gate, Keys: w.keys, Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelWarn})).With("app", i),
		HTTPClient: &http.Client{Transport: a},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	a.auth, a.Handler = auth, auth.Handler(w.routes(auth))
	return a
}

// end ends the process as SIGKILL does: what it has sent may be done, and nobody learns of it.
func (a *app) end() {
	a.ended.Store(true)
	a.gate.set(trouble{dead: true})
}

// bury gives back what the process had.
func (a *app) bury() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = a.auth.Close(ctx) // it may have work that cannot be done any more
	a.close()
}

// state is what /state says.
type state struct {
	Who    string            `json:"who"`
	Values map[string]string `json:"values"`
}

// values are the keys of a session that are put, at least.
func (w *world) routes(auth *middleware.Auth) http.Handler {
	s := auth.Sessions()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", func(out http.ResponseWriter, r *http.Request) {
		got := state{Values: map[string]string{}}
		if acc, err := middleware.User(r.Context()); err == nil {
			got.Who = acc.Identity.Subject
		}
		for _, k := range s.Keys(r.Context()) {
			if strings.HasPrefix(k, "w") {
				got.Values[k] = s.GetString(r.Context(), k)
			}
		}
		_ = json.NewEncoder(out).Encode(got)
	})
	mux.HandleFunc("POST /put", func(_ http.ResponseWriter, r *http.Request) {
		s.Put(r.Context(), r.FormValue("k"), r.FormValue("v"))
	})
	mux.HandleFunc("POST /take", func(out http.ResponseWriter, r *http.Request) {
		v, ok, err := middleware.Take(r.Context(), r.FormValue("k"))
		if err != nil {
			middleware.Answer(out, r, err)
			return
		}
		if ok {
			w.report.took(fmt.Sprint(v))
			io.WriteString(out, "taken")
		}
	})
	mux.HandleFunc("GET /leave", func(out http.ResponseWriter, r *http.Request) {
		if err := middleware.SavePage(r.Context(), r.FormValue("page")); err != nil {
			middleware.Answer(out, r, err)
			return
		}
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "idp"}, "/returned")
		if err != nil {
			middleware.Answer(out, r, err)
			return
		}
		io.WriteString(out, to)
	})
	mux.HandleFunc("GET /returned", func(out http.ResponseWriter, r *http.Request) {
		var page string
		if err := middleware.Returned(r.Context(), &page); err != nil {
			middleware.Answer(out, r, err)
			return
		}
		io.WriteString(out, page)
	})
	mux.HandleFunc("GET /token", func(out http.ResponseWriter, r *http.Request) {
		if _, err := middleware.Token(r.Context(), "idp"); err != nil {
			middleware.Answer(out, r, err)
		}
	})
	mux.HandleFunc("POST /everywhere", func(out http.ResponseWriter, r *http.Request) {
		acc, err := middleware.User(r.Context())
		if err == nil {
			err = auth.SignOutUser(r.Context(), acc.ID)
		}
		if err != nil {
			middleware.Answer(out, r, err)
		}
	})
	return mux
}

// A world is everything that takes part.
type world struct {
	t         testing.TB
	seed      uint64
	idp       *providertest.Server
	url       string
	keys      sessionstore.Keyring
	backend   backend
	report    *report
	calls     calls
	log       io.Writer
	started   int
	transport http.RoundTripper
	random    *rand.Rand // of the goroutine that breaks things

	mu   sync.Mutex
	apps []*app
}

// Headers by which a browser says what is to become of its request.
const (
	toApp     = "X-Chaos-App"
	dropReply = "X-Chaos-Drop" // all is done, and the answer is lost
)

// ServeHTTP gives a request to a process.
func (w *world) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	a := w.apps[int(r.Header.Get(toApp)[0]-'0')%len(w.apps)]
	w.mu.Unlock()
	drop := r.Header.Get(dropReply) != ""
	answer := httptest.NewRecorder()
	a.ServeHTTP(answer, r)
	if drop || a.ended.Load() {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.Code)
	_, _ = out.Write(answer.Body.Bytes())
}

// restart ends a process, and starts another one in its place.
func (w *world) restart(i int) {
	fresh := w.start(i)
	w.mu.Lock()
	old := w.apps[i]
	w.apps[i] = fresh
	w.mu.Unlock()
	old.end()
	go old.bury()
}

// trouble breaks the way of a process to its store.
func (w *world) trouble(i int, t trouble) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.apps[i].gate.set(t)
}
