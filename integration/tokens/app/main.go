// Command app is the program that the tests of package tokens run twice on one Redis, kill and pause.
// It has no page but the ones that show a token: run it nowhere else.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

// patience is that of a machine on which a thousand requests come at once, and tests of other
// packages as well.
const patience = 20 * time.Second

func run() error {
	keys, err := sessionstore.ParseKeyring(os.Getenv("KEYS"))
	if err != nil {
		return err
	}
	pool, err := redisstore.NewPool(redisstore.Server{URL: os.Getenv("REDIS"), Timeout: patience})
	if err != nil {
		return err
	}
	defer pool.Close()
	store := redisstore.New(pool)
	store.Timeout = patience
	auth, err := middleware.New(middleware.Config{
		BaseURL: os.Getenv("BASE_URL"),
		Providers: []providers.Provider{&providers.OIDC{
			ID: "idp", Issuer: os.Getenv("ISSUER"), ClientID: os.Getenv("CLIENT_ID"), ClientSecret: providers.Secret(os.Getenv("CLIENT_SECRET")),
			Scopes: strings.Fields(os.Getenv("SCOPES")), AuthParams: url.Values{"prompt": strings.Fields(os.Getenv("PROMPT"))},
			TokenParams: url.Values{"process": {os.Getenv("PROCESS")}}, Timeout: patience,
		}},
		Store:  &watched{Store: store, watcher: os.Getenv("WATCHER")},
		Keys:   keys,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: auth.Handler(routes()), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println("ready at " + l.Addr().String())
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		return err
	}
	return auth.Close(last)
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		acc, err := middleware.User(r.Context())
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		fmt.Fprint(w, acc.Identity.Subject)
	})
	mux.HandleFunc("/token", show(middleware.Token))
	mux.HandleFunc("/refresh", show(middleware.Refresh))
	return mux
}

// show answers with who is signed in and a token of theirs.
func show(of func(ctx context.Context, provider string) (*providers.Token, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t, err := of(r.Context(), "")
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		acc, err := middleware.User(r.Context())
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		fmt.Fprint(w, acc.Identity.Subject, " ", t.Access)
	}
}

// A watched store tells the test of each write that has to do with a refresh, just before and just
// after it, and goes on when the test has answered: a process that is killed meanwhile is killed
// exactly there.
type watched struct {
	sessionstore.Store
	watcher string // "": nobody
}

func (s *watched) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	what := written(c)
	if s.watcher == "" || what == "" {
		return s.Store.Update(ctx, k, c)
	}
	s.tell("before " + what)
	err := s.Store.Update(ctx, k, c)
	s.tell("after " + what)
	return err
}

// written returns what a change writes: "mark", or "grant" in the place of its mark, with what its ID token
// says of the person beside it, by the names that package middleware gives to these fields.
func written(c sessionstore.Change) string {
	if len(c.Set) == 0 {
		return ""
	}
	name := c.Set[0].Name
	switch {
	case strings.HasPrefix(name, "r:") && len(c.Set) == 1:
		return "mark"
	case strings.HasPrefix(name, "g:") && len(c.Delete) == 1 && strings.HasPrefix(c.Delete[0], "r:"):
		return "grant"
	}
	return ""
}

func (s *watched) tell(when string) {
	resp, err := http.Get(s.watcher + "?" + url.Values{"when": {when}}.Encode())
	if err != nil {
		slog.Error("the test does not listen", "error", err)
		return
	}
	resp.Body.Close()
}
