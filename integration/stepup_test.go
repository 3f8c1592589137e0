package integration_test

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
	"github.com/returnleg/returnleg/integration/internal/idp"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// mailSite is an app that needs one scope more in the middle of a form, at a provider that nobody here
// wrote.
func mailSite(t *testing.T) (url string, server *idp.Server) {
	t.Helper()
	app := httptest.NewUnstartedServer(nil)
	url = "http://" + app.Listener.Addr().String()
	server = idp.Start(t, "idp", idp.Settings{Redirects: []string{url + "/auth/oidc/callback"}})
	client := server.Client(t, "basic")
	auth, err := middleware.New(middleware.Config{BaseURL: url, Providers: []providers.Provider{&providers.OIDC{
		ID: "oidc", Issuer: server.Issuer, ClientID: client.ID, ClientSecret: providers.Secret(client.Secret), Scopes: []string{"openid", "profile"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /form", auth.Require(middleware.Need{})(middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		var text string
		if err := middleware.Returned(r.Context(), &text); err != nil && !errors.Is(err, middleware.ErrNoPage) {
			return err
		}
		all, err := middleware.Connections(r.Context())
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<form method="post" action="/more"><input id="text" name="text" value="%s"><button>More</button></form><p id="scopes">%s</p>`,
			html.EscapeString(text), strings.Join(slices.Sorted(slices.Values(all[0].Scopes)), " "))
		return nil
	})))
	mux.Handle("POST /more", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if err := middleware.SavePage(r.Context(), r.PostFormValue("text")); err != nil {
			return err
		}
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "oidc", Scopes: []string{"email"}}, "/form")
		if err != nil {
			return err
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}))
	app.Config.Handler = auth.Handler(mux)
	app.Start()
	t.Cleanup(app.Close)
	return url, server
}

// A no keeps the form and what was allowed, and asks nothing by itself; a yes adds to it.
func TestStepUp(t *testing.T) {
	url, server := mailSite(t)
	tab := chromium.New(t).Tab(t)
	tab.Open(url + "/form")
	tab.Type("#idp-login #name", "ada")
	tab.Click("#sign-in")
	tab.Click("#idp-consent #allow")
	tab.WaitText("#scopes", "openid profile")
	tab.Type("#text", "half a sentence")
	tab.Click("button")

	tab.Click("#idp-consent #deny")
	tab.WaitText("h1", "Nothing was connected")
	asked := len(server.Ledger(t, "authorization"))
	tab.Click(".plain")
	if got, want := tab.Value("#text"), "half a sentence"; got != want {
		t.Errorf("form after a no: got %q, want %q", got, want)
	}
	if got, want := tab.Text("#scopes"), "openid profile"; got != want {
		t.Errorf("scopes after a no: got %q, want %q", got, want)
	}
	if got := len(server.Ledger(t, "authorization")); got != asked {
		t.Errorf("the way back asked the provider %d times more", got-asked)
	}

	tab.Click("button")
	tab.Click("#idp-consent #allow")
	tab.WaitText("#scopes", "email openid profile")
	if got, want := tab.Value("#text"), "half a sentence"; got != want {
		t.Errorf("form after a yes: got %q, want %q", got, want)
	}
}
