// The program example is a small video library, and the story that the kit was made for: home, terms,
// a form, connecting an account in a new tab in the middle of it, choosing videos, done.
//
// Two pages go on from there. Share (/share) is a form that needs one more scope than signing in did: it
// asks for it in the middle of being filled in, and comes back with everything in place, whether the
// person said yes or no. Accounts (/accounts) connects a second provider, or a second account at the same
// one, disconnects them, and lists where else the person is signed in. With nothing configured, sign in
// as Ada there and connect Grace as "work".
//
// Started with nothing configured it brings a practice provider along, on loopback, at the port after its
// own if that is free, and prints both addresses. The environment configures it:
//
//	ADDR                 where to listen; default 127.0.0.1:8080
//	BASE_URL             as browsers see it; needed unless ADDR is loopback
//	OIDC_ISSUER          adds an OpenID Connect provider named oidc, with OIDC_CLIENT_ID,
//	                     OIDC_CLIENT_SECRET (none: a public client) and OIDC_SCOPES (separated by spaces)
//	GITHUB_CLIENT_ID     adds GitHub, with GITHUB_CLIENT_SECRET
//	GOOGLE_CLIENT_ID     adds Google, with GOOGLE_CLIENT_SECRET
//	VIMEO_CLIENT_ID      adds Vimeo, with VIMEO_CLIENT_SECRET
//	STORE                where sessions are kept: memory, sqlite:FILE, postgres://…, redis://…,
//	                     rediss://…, redis+cluster://HOST:PORT,… or redis+sentinel://HOST:PORT,…/MASTER;
//	                     sqlite and postgres need the build tag sql: go run -tags sql ./example
//	KEYS                 32 bytes each in base64, separated by commas; the first seals
//
// The redirect URI to register is BASE_URL/auth/NAME/callback, where NAME is oidc, github, google or vimeo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then until what is under way is done.
func run(ctx context.Context, getenv func(string) string, out, logs io.Writer) error {
	c, err := readConfig(getenv)
	if err != nil {
		return fmt.Errorf("example: configuration:\n%w", err)
	}
	log := slog.New(slog.NewTextHandler(logs, nil))

	l, err := net.Listen("tcp", c.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("example: %s is taken by another program: set ADDR to a free address%s", c.addr, suggestion(c.addr))
	}
	if err != nil {
		return fmt.Errorf("example: listen: %w", err)
	}
	defer func() { _ = l.Close() }() // closed already when all went well

	ended := make(chan error, 2)
	var servers []*http.Server
	if c.practice {
		pl, srv, s, err := startPractice(c.addr)
		if err != nil {
			return fmt.Errorf("example: practice provider: %w", err)
		}
		c.services = []service{s}
		servers = append(servers, srv)
		go func() { ended <- srv.Serve(pl) }()
		fmt.Fprintln(out, "Practice provider:", s.pictures)
	}
	b, err := openStore(ctx, c.storeURL)
	if err != nil {
		return fmt.Errorf("example: %w", err)
	}
	defer func() { _ = b.close() }() // after everything that uses it
	c.store = b.Store
	a, err := newApp(c, log)
	if err != nil {
		return fmt.Errorf("example: %w", err)
	}
	srv := newServer(a)
	servers = append([]*http.Server{srv}, servers...)
	go func() { ended <- srv.Serve(l) }()
	fmt.Fprintln(out, "Video library:    ", c.baseURL)

	select {
	case err = <-ended:
	case <-ctx.Done():
		err = nil
	}
	return errors.Join(err, shutDown(a, servers))
}

// suggestion names an address that is free, at another port than that of addr; "" if it finds none.
func suggestion(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	for other := n + 1; other <= min(n+100, 65535); other++ {
		free := net.JoinHostPort(host, strconv.Itoa(other))
		if l, err := net.Listen("tcp", free); err == nil {
			_ = l.Close()
			return ", such as " + free
		}
	}
	return ""
}

// shutDown lets what is under way end: pages first, then sign-ins that are redeeming a code.
func shutDown(a *app, servers []*http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var errs []error
	for i, s := range servers {
		errs = append(errs, s.Shutdown(ctx))
		if i == 0 {
			errs = append(errs, a.auth.Close(ctx)) // while the practice provider still answers
		}
	}
	return errors.Join(errs...)
}

func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute, // a callback waits for the provider
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
