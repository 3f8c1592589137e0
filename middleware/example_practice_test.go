package middleware_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// How to test an app: the practice provider takes the place of the real one, and a client with a
// cookie jar that of a browser.
func Example_test() {
	t := new(testing.T) // yours comes from the test function
	idp := providertest.NewServer(t)
	idp.SignInAs("ada") // it answers at once; without, Approve and Deny press its buttons

	app := httptest.NewUnstartedServer(nil)
	auth, err := middleware.New(middleware.Config{
		BaseURL:   "http://" + app.Listener.Addr().String(),
		Providers: []providers.Provider{idp.OIDC("practice")},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	app.Config.Handler = auth.Handler(auth.Require(middleware.Need{})(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			who, err := middleware.User(r.Context())
			if err != nil {
				middleware.Answer(w, r, err)
				return
			}
			fmt.Fprintln(w, "Hello,", who.Identity.Name)
		})))
	app.Start()
	defer app.Close()

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodGet, app.URL+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html") // the load of a page: a fetch would get 401
	client := &http.Client{Jar: jar}
	resp, err := client.Do(r)
	if err == nil && resp.StatusCode == http.StatusAccepted { // the sign-in takes longer than three seconds
		resp.Body.Close()
		resp, err = client.Get(resp.Request.URL.String()) // a request that is no page load waits for its end
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print(string(body))
	fmt.Println("token requests:", idp.Ledger().Count("token"))
	// Output:
	// Hello, Ada Lovelace
	// token requests: 1
}
