package frameworks_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// browser is a client of an app, and a provider that answers at once.
type browser struct {
	t      *testing.T
	url    string
	client *http.Client
}

// open starts app and a provider, and returns a browser.
func open(t *testing.T, app func(*middleware.Auth) http.Handler) *browser {
	t.Helper()
	idp := providertest.NewServer(t)
	idp.SignInAs("ada")
	s := httptest.NewUnstartedServer(nil)
	b := &browser{t: t, url: "http://" + s.Listener.Addr().String()}
	auth, err := middleware.New(middleware.Config{
		BaseURL: b.url, Providers: []providers.Provider{idp.OIDC("practice")}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = app(auth)
	s.Start()
	t.Cleanup(s.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.client = &http.Client{Jar: jar}
	return b
}

// do sends a request with headers, each as "Name: value", and returns the answer with its body.
func (b *browser) do(method, path, body string, headers ...string) (*http.Response, string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusAccepted { // the sign-in takes longer than three seconds: this waits for its end
		resp.Body.Close()
		if resp, err = b.client.Get(resp.Request.URL.String()); err != nil {
			b.t.Fatal(err)
		}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(got)
}

// page loads a page, and signs in where that is asked for.
func (b *browser) page(path string) (*http.Response, string) {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", "Accept: text/html")
}
