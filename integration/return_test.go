package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/integration/internal/chromium"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// A site is an app behind the kit, on 127.0.0.1, whose provider is on localhost: another site. A
// person must click through its pages.
type site struct {
	url      string
	provider *providertest.Server
	came     chan string // the addresses at which the provider answered
}

func newSite(t *testing.T, sameSite http.SameSite, mode string) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	idp := providertest.New(providertest.Config{Issuer: "http://localhost:" + port})
	provider := &httptest.Server{Listener: l, Config: &http.Server{Handler: idp}}
	provider.Start()
	t.Cleanup(provider.Close)

	p := idp.OIDC("practice")
	p.ResponseMode, p.Timeout = mode, 30*time.Second // on a busy machine
	sessions := &scs.SessionManager{Lifetime: 3600e9, Cookie: scs.SessionCookie{SameSite: sameSite, Persist: true}}
	app := httptest.NewUnstartedServer(nil)
	auth, err := middleware.New(middleware.Config{
		BaseURL: "http://" + app.Listener.Addr().String(), Providers: []providers.Provider{p}, Sessions: sessions,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "cart", "three books") // a session before the sign-in
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<a id="go" target="_blank" href="/mine?page=2">Mine</a> <a id="here" href="/mine?page=2">Mine, here</a>`)
	})
	mux.Handle("GET /mine", auth.Require(middleware.Need{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		acc, err := middleware.User(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<p id="who">%s has %s</p>`, acc.Identity.Name, sessions.GetString(r.Context(), "cart"))
	})))
	mux.HandleFunc("GET /worker.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, worker)
	})
	s := &site{provider: idp, came: make(chan string, 100)}
	kit := auth.Handler(mux)
	app.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/callback") {
			s.came <- "http://" + r.Host + r.URL.RequestURI()
		}
		kit.ServeHTTP(w, r)
	})
	app.Start()
	t.Cleanup(app.Close)
	s.url = app.URL
	return s
}

// The kit's own return leg in a real browser: whatever cookie the session has and however the
// provider answers, the new tab lands in the session that left.
func TestReturn(t *testing.T) {
	b := chromium.New(t)
	for _, row := range []struct {
		name     string
		sameSite http.SameSite
		mode     string
	}{
		{"Lax, query", http.SameSiteLaxMode, ""},
		{"Lax, form_post", http.SameSiteLaxMode, "form_post"},
		{"Strict, query", http.SameSiteStrictMode, ""},
		{"Strict, form_post", http.SameSiteStrictMode, "form_post"},
	} {
		t.Run(row.name, func(t *testing.T) {
			app := newSite(t, row.sameSite, row.mode).url
			first := b.Tab(t)
			first.Open(app + "/")
			second := first.ClickToTab("#go")
			second.Click("button[name=account][value=ada]")
			second.Click("button[name=decision][value=allow]")
			second.WaitText("#who", "Ada Lovelace has three books")
			if got := second.URL(); got != app+"/mine?page=2" {
				t.Errorf("landed at %s", got)
			}
			// A link on another site: a Strict cookie stays behind, and comes after one more load.
			other := b.Tab(t)
			other.Open(strings.Replace(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				write(w, `<a id="there" href="%s">there</a>`, app+"/mine?page=3")
			})), "127.0.0.1", "localhost", 1))
			other.Click("#there")
			other.WaitText("#who", "Ada Lovelace has three books")
			if got := other.URL(); got != app+"/mine?page=3" {
				t.Errorf("landed at %s", got)
			}
		})
	}
}
