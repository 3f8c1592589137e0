package providertest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers/providertest"
)

// newApp is an app with a sign-in, made from x/oauth2 alone: the thing to test.
func newApp(idp *providertest.Server) *httptest.Server {
	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	config := oauth2.Config{
		ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
		RedirectURL: app.URL + "/callback", Scopes: []string{"profile", "videos"},
		Endpoint: oauth2.Endpoint{AuthURL: idp.URL("/authorize"), TokenURL: idp.URL("/token"), AuthStyle: oauth2.AuthStyleInHeader},
	}
	verifier := oauth2.GenerateVerifier() // one visitor at a time will do here
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
	})
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		tok, err := config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			http.Error(w, "sign-in refused", http.StatusForbidden)
			return
		}
		resp, err := config.Client(r.Context(), tok).Get(idp.URL("/me/videos"))
		if err != nil {
			http.Error(w, "no videos", http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		fmt.Fprintln(w, "videos:", resp.Status)
	})
	return app
}

// How to test your own app: sign in as a person who is remembered at the provider, through an
// ordinary http.Client, then look into the ledger.
func ExampleNewServer() {
	t := new(testing.T) // yours comes from the test function
	idp := providertest.NewServer(t)
	idp.SignInAs("ada")
	app := newApp(idp)
	defer app.Close()

	resp, err := http.Get(app.URL + "/login")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, resp.Request.URL.Path)
	fmt.Println("token requests:", idp.Ledger().Count("token"))
	// Output:
	// 200 OK /callback
	// token requests: 1
}

// A person at the provider's pages: Approve clicks through them, and does not open the callback.
func ExampleServer_Approve() {
	idp := providertest.New(providertest.Config{})
	config := oauth2.Config{
		ClientID: providertest.ClientID, RedirectURL: "https://app.example/callback",
		Endpoint: oauth2.Endpoint{AuthURL: idp.URL("/authorize")},
	}
	authURL := config.AuthCodeURL("state", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))

	back, err := idp.Approve(context.Background(), nil, authURL, "grace")
	if err != nil {
		fmt.Println(err)
		return
	}
	u, _ := url.Parse(back)
	fmt.Println(u.Host, u.Path, u.Query().Get("state"), u.Query().Get("iss"))

	back, _ = idp.Deny(context.Background(), nil, authURL, "grace")
	u, _ = url.Parse(back)
	fmt.Println(u.Query().Get("error"))
	// Output:
	// app.example /callback state https://idp.example
	// access_denied
}

// A provider that is down for the first request and well for the second.
func ExampleServer_Set() {
	idp := providertest.New(providertest.Config{})
	idp.Set(func(b *providertest.Behavior) {
		b.Discovery = providertest.First(1, providertest.Respond(503, "text/plain", "", "Retry-After", "5"))
	})
	for range 2 {
		resp, err := idp.Client().Get(idp.URL("/.well-known/openid-configuration"))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	// Output:
	// 503
	// 200
}

// Every way in which an ID token can be wrong, and what your app should make of it.
func ExampleAttacks() {
	n := map[string]int{}
	for _, c := range providertest.Attacks() {
		// t.Run(c.Name, …): New(Config{Behavior: c.Behavior}), sign in, compare with c.Outcome.
		n[c.ID]++
	}
	fmt.Println("rows about the nonce:", n["88"])
	// Output:
	// rows about the nonce: 4
}
