// Package faults_test breaks what an app stands on (its Redis, the network, the process itself) and
// checks what its people see of it. What must hold after every fault:
//
//   - nobody gets another person's answer, and no gate opens for nobody;
//   - a code is sent to the provider at most once;
//   - who was signed in before a fault that passes is signed in after it, without a restart, and no
//     cookie was cleared;
//   - every request is answered in bounded time, and nothing is left behind: no goroutine, no file.
//
// The number of trials is small and a fault ends as soon as it was seen, so that all of it takes two
// minutes. RETURNLEG_KILLS (13: 208 kills), RETURNLEG_STARTS (1000000), RETURNLEG_CUTS (1000) and
// RETURNLEG_OUTAGE (60: the seconds that a fault lasts) in the environment make it thorough.
package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// baseURL is where browsers believe the app is. Which process answers there is up to the test.
const baseURL = "http://127.0.0.1:8088"

// Settings are what an app is made of, in this process or in another one.
type settings struct {
	Redis     string // host:port; "": the memory of the process
	Issuer    string
	Keys      string
	Timeout   time.Duration // of the store
	MaxActive int           // connections to Redis
	Files     uint64        // that the process may have open; 0: as many as it may
	MaxGuests int
	GuestIdle time.Duration // of sessions of guests
	Mode      string        // of the provider's answers

	// On is the path whose requests the next two fields are about. Writes to the store are counted from 1, from the
	// first such request on.
	On   string
	Call callAt
	Die  dieAt
}

// A callAt asks for URL just before the n-th write.
type callAt struct {
	Write int
	URL   string
}

// A dieAt kills the process just before the n-th write, or just after it.
type dieAt struct {
	Write int
	After bool
}

// An app is a program that uses the kit, and counts what it does.
type app struct {
	http.Handler
	auth  *middleware.Auth
	pool  *redis.Pool
	store *mortal

	gated  atomic.Int64 // calls of the handler behind the gate
	opened atomic.Int64 // those of them for nobody
}

func newApp(s settings, logs io.Writer, change ...func(*middleware.Config)) (*app, error) {
	a := &app{store: &mortal{settings: s}}
	keys, err := sessionstore.ParseKeyring(s.Keys)
	if err != nil {
		return nil, err
	}
	a.store.Store = &sessionstore.Memory{}
	if s.Redis != "" {
		a.pool, err = redisstore.NewPool(redisstore.Server{URL: "redis://" + s.Redis, Timeout: s.Timeout, MaxActive: s.MaxActive})
		if err != nil {
			return nil, err
		}
		store := redisstore.New(a.pool)
		store.Timeout = s.Timeout
		a.store.Store = store
	}
	cfg := middleware.Config{
		BaseURL: baseURL,
		Providers: []providers.Provider{&providers.OIDC{
			ID: "idp", Issuer: s.Issuer, ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
			ResponseMode: s.Mode,
		}},
		Store:       a.store,
		Keys:        keys,
		SessionFree: func(r *http.Request) bool { return r.URL.Path == "/free" || r.URL.Path == "/state" },
		Logger:      slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),

		MaxGuests:     s.MaxGuests,
		AnonymousIdle: s.GuestIdle,
	}
	for _, f := range change {
		f(&cfg)
	}
	if a.auth, err = middleware.New(cfg); err != nil {
		return nil, err
	}
	a.Handler = a.store.watch(a.auth.Handler(a.routes()))
	return a, nil
}

func (a *app) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, subject(r)) })
	mux.HandleFunc("/free", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, subject(r)) })
	mux.Handle("/gated/", a.auth.Require(middleware.Need{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.gated.Add(1)
		who := subject(r)
		if who == nobody {
			a.opened.Add(1)
		}
		fmt.Fprint(w, who)
	})))
	mux.HandleFunc("/put", func(w http.ResponseWriter, r *http.Request) {
		a.auth.Sessions().Put(r.Context(), "v", r.FormValue("v"))
	})
	mux.HandleFunc("/value", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, a.auth.Sessions().GetString(r.Context(), "v"))
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		t, err := middleware.Refresh(r.Context(), "")
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		fmt.Fprint(w, t.Access)
	})
	mux.HandleFunc("/everywhere", func(w http.ResponseWriter, r *http.Request) {
		acc, err := middleware.User(r.Context())
		if err == nil {
			err = a.auth.SignOutUser(r.Context(), acc.ID)
		}
		if err != nil {
			middleware.Answer(w, r, err)
		}
	})
	mux.HandleFunc("/panic", func(_ http.ResponseWriter, r *http.Request) {
		a.auth.Sessions().Put(r.Context(), "v", "from a handler that panics")
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) {
		files, _ := os.ReadDir("/proc/self/fd")
		connections := 0
		if a.pool != nil {
			connections = a.pool.ActiveCount()
		}
		fmt.Fprintln(w, runtime.NumGoroutine(), len(files), connections, a.gated.Load(), a.opened.Load())
	})
	a.pages(mux)
	return mux
}

const nobody = "nobody"

// subject returns who is signed in.
func subject(r *http.Request) string {
	acc, err := middleware.User(r.Context())
	if err != nil {
		return nobody
	}
	return acc.Identity.Subject
}

// mortal is a store of a process that dies at an exact point.
type mortal struct {
	sessionstore.Store
	settings settings

	armed  atomic.Bool
	writes atomic.Int64
}

// watch counts the writes from the first request on that the settings are about: a sign-in may go on when its callback
// has been answered.
func (m *mortal) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.settings.On != "" && r.URL.Path == m.settings.On {
			m.armed.Store(true)
		}
		next.ServeHTTP(w, r)
	})
}

func (m *mortal) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	return m.write(func() error { return m.Store.Update(ctx, k, c) })
}

func (m *mortal) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	return m.write(func() error { return m.Store.Delete(ctx, ks...) })
}

func (m *mortal) write(do func() error) error {
	if !m.armed.Load() {
		return do()
	}
	n := int(m.writes.Add(1))
	if n == m.settings.Call.Write {
		resp, err := http.Get(m.settings.Call.URL)
		if err != nil {
			return err
		}
		resp.Body.Close()
	}
	if n == m.settings.Die.Write && !m.settings.Die.After {
		die()
	}
	err := do()
	if n == m.settings.Die.Write && m.settings.Die.After {
		die()
	}
	return err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

const variable = "RETURNLEG_FAULTS_APP"

// serve is the whole program of another process: an app on a free port, until SIGTERM or the end of
// its input.
func serve() error {
	var s settings
	if err := json.Unmarshal([]byte(os.Getenv(variable)), &s); err != nil {
		return err
	}
	if s.Files > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: s.Files, Max: s.Files}); err != nil {
			return err
		}
	}
	a, err := newApp(s, os.Stderr)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	fmt.Println(strings.TrimSpace(ready + l.Addr().String()))
	select {
	case err := <-ended:
		return err
	case <-terminated():
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return err
	}
	return a.auth.Close(ctx)
}

const ready = "ready at "
