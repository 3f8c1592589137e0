package middleware_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
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
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", auth.Handler(mux)))
}

// OnLogin is where the app's own users come in: the first visit inserts one, later ones find it.
func ExampleConfig_onLogin() {
	users := map[string]string{} // by account id; an app has a table
	_ = middleware.Config{
		OnLogin: func(ctx context.Context, l *middleware.Login) error {
			if l.Account.Identity.Email == "mallory@example.com" {
				return fmt.Errorf("no access for %s", l.Account.ID)
			}
			if l.IsNew {
				l.Account.ID = fmt.Sprintf("user-%d", len(users)+1)
				users[l.Account.ID] = l.Account.Identity.Name
			}
			return nil // a later visit finds the ID that the first one set
		},
	}
}

// An app that had its sessions in a store of scs keeps them. OnLogin links the user of before.
func ExampleFormer() {
	sessions := scs.New() // as it was, LoadAndSave taken away
	sessions.Store = memstore.New()

	_, err := middleware.New(middleware.Config{
		BaseURL:   "https://app.example.com",
		Providers: []providers.Provider{providers.GitHub("id", "secret")},
		Sessions:  sessions,
		Former:    &middleware.Former{Store: sessions.Store, Cookie: sessions.Cookie},
		OnLogin: func(ctx context.Context, l *middleware.Login) error {
			if user := sessions.GetString(ctx, "userID"); user != "" && l.IsNew {
				l.Account.ID = user // who signed in with a password before
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output: <nil>
}
