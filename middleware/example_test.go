package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// A whole program: a page for everybody, and one for whoever signed in with GitHub, which calls
// GitHub's API as that person.
func Example() {
	auth, err := middleware.New(middleware.Config{
		BaseURL: "http://127.0.0.1:8080",
		Providers: []providers.Provider{
			providers.GitHub(os.Getenv("GITHUB_CLIENT_ID"), providers.Secret(os.Getenv("GITHUB_CLIENT_SECRET"))),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "Everybody may read this.")
	})
	mux.Handle("GET /repositories", auth.Require(middleware.Need{})(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			resp, err := middleware.Client(r.Context(), "github").Get("/user/repos")
			if err != nil {
				middleware.Answer(w, r, err) // sign in again, if GitHub has ended the connection
				return
			}
			defer resp.Body.Close()
			io.Copy(w, resp.Body)
		})))
	server := &http.Server{
		Addr:    "127.0.0.1:8080",
		Handler: auth.Handler(mux),
		// Nobody holds a connection for ever. A sign-in may wait for its provider for 40 seconds.
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

// Several processes share a store, and the keys that seal what is in it: "openssl rand -base64 32" makes
// one. The store is handed in as it is. A process that is asked to end lets sign-ins under way end first.
func ExampleConfig_store() {
	pool, err := redisstore.NewPool(redisstore.Server{URL: os.Getenv("REDIS_URL")})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := sessionstore.ParseKeyring(os.Getenv("KEYS"))
	if err != nil {
		log.Fatal(err)
	}
	auth, err := middleware.New(middleware.Config{
		BaseURL:   "https://app.example.com",
		Providers: []providers.Provider{providers.GitHub("id", "secret")},
		Store:     redisstore.New(pool),
		Keys:      keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr: ":8080", Handler: auth.Handler(http.NotFoundHandler()),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
	}
	asked, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-asked.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 45*time.Second)
	defer cancel()
	if err := errors.Join(server.Shutdown(ctx), auth.Close(ctx), pool.Close()); err != nil { // in this order
		log.Println(err)
	}
}

// OnLogin is where the app's own users come in: the first visit inserts one, later ones find it.
func ExampleConfig_onLogin() {
	users := map[string]string{} // by account id; an app has a table
	_ = middleware.Config{
		OnLogin: func(ctx context.Context, l *middleware.Login) error {
			if l.Account.Identity.Email == "mallory@example.com" {
				return middleware.Refuse("This site is for members. Ask one of them to invite you.")
			}
			if l.IsNew {
				l.Account.ID = fmt.Sprintf("user-%d", len(users)+1)
				users[l.Account.ID] = l.Account.Identity.Name
			}
			return nil // a later visit finds the ID that the first one set. Another error is a fault: 500, or 503
		},
	}
}

// An app that had its sessions in a store of scs keeps them. OnLogin links the user of before where the provider
// vouches for the address that this user has. That the session names them is not enough: its old cookie may have been
// stolen, or planted in the browser of somebody else, and the link is for good.
func ExampleFormer() {
	sessions := scs.New() // as it was, LoadAndSave taken away
	sessions.Store = memstore.New()
	addresses := map[string]string{} // of users of before, as they were verified then

	_, err := middleware.New(middleware.Config{
		BaseURL:   "https://app.example.com",
		Providers: []providers.Provider{providers.GitHub("id", "secret")},
		Sessions:  sessions,
		Former:    &middleware.Former{Store: sessions.Store, Cookie: sessions.Cookie},
		OnLogin: func(ctx context.Context, l *middleware.Login) error {
			user := sessions.GetString(ctx, "userID") // who signed in with a password before
			if !l.Former || !l.IsNew || user == "" {
				return nil
			}
			id := l.Account.Identity
			if id.EmailVerified && id.Email != "" && id.Email == addresses[user] {
				l.Account.ID = user
			}
			return nil // anybody else may be asked for the old password, on a page of the app
		},
	})
	fmt.Println(err)
	// Output: <nil>
}
