// Package refresh measures what happens when a token has ended and many requests want it at once, at two
// processes of an app: how often the provider is asked, how long the requests take, and what it costs
// Redis.
package refresh

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/markbates/goth/providers/openidConnect"
	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

const childEnv = "RETURNLEG_BENCH_REFRESH"

// ServeIfChild is what a program that measures calls first: in a process that was started as an app, it
// serves until the other one ends, and does not return.
func ServeIfChild() {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	if err := serve(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Settings are what an app is told. Token is for the peers, which have no session: it is that of the one
// person, expired.
type settings struct {
	Kind, Issuer, Redis, Keys string
	Token                     *oauth2.Token
}

// The contenders.
const (
	ours       = "returnleg"
	perRequest = "x/oauth2, a TokenSource for each request"
	shared     = "x/oauth2, one ReuseTokenSource for all"
	goth       = "goth, RefreshToken"
)

func serve(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	handler, err := s.handler()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() { _ = (&http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}).Serve(l) }()
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent is gone
	return err
}

func (s settings) handler() (http.Handler, error) {
	if s.Kind == ours {
		return s.ours()
	}
	token, err := s.peer()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		t, err := token(r.Context())
		if err != nil {
			http.Error(w, "no token", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, t)
	})
	return mux, nil
}

func (s settings) ours() (http.Handler, error) {
	keys, err := sessionstore.ParseKeyring(s.Keys)
	if err != nil {
		return nil, err
	}
	pool, err := redisstore.NewPool(redisstore.Server{URL: s.Redis})
	if err != nil {
		return nil, err
	}
	store := redisstore.New(pool)
	store.Timeout = patience
	auth, err := middleware.New(middleware.Config{
		BaseURL: site,
		Providers: []providers.Provider{&providers.OIDC{
			ID: "idp", Issuer: s.Issuer, ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, Scopes: []string{"openid"},
		}},
		Store: store, Keys: keys, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		t, err := middleware.Token(r.Context(), "")
		if err != nil {
			middleware.Answer(w, r, err)
			return
		}
		fmt.Fprint(w, t.Access)
	})
	return auth.Handler(mux), nil
}

// peer returns how a peer comes by an access token.
func (s settings) peer() (func(context.Context) (string, error), error) {
	cfg := config(s.Issuer)
	switch s.Kind {
	case shared:
		source := oauth2.ReuseTokenSource(nil, cfg.TokenSource(context.Background(), s.Token))
		return func(context.Context) (string, error) { return access(source.Token()) }, nil
	case perRequest:
		kept := &kept{token: s.Token}
		return func(ctx context.Context) (string, error) {
			t, err := cfg.TokenSource(ctx, kept.load()).Token()
			return kept.save(t, err)
		}, nil
	case goth:
		p, err := openidConnect.New(cfg.ClientID, cfg.ClientSecret, cfg.RedirectURL, s.Issuer+"/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		kept := &kept{token: s.Token}
		return func(context.Context) (string, error) {
			t := kept.load()
			if t.Valid() {
				return t.AccessToken, nil
			}
			t, err := p.RefreshToken(t.RefreshToken)
			return kept.save(t, err)
		}, nil
	}
	return nil, fmt.Errorf("refresh: no contender %q", s.Kind)
}

// config is the peers' registration.
func config(issuer string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, RedirectURL: site + "/callback", Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/authorize", TokenURL: issuer + "/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
}

// kept is where an app keeps the token, as it would in a session. Whoever has a new one saves it.
type kept struct {
	mu    sync.Mutex
	token *oauth2.Token
}

func (k *kept) load() *oauth2.Token {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.token
}

func (k *kept) save(t *oauth2.Token, err error) (string, error) {
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.token = t
	return t.AccessToken, nil
}

func access(t *oauth2.Token, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return t.AccessToken, nil
}
