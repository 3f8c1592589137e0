package middleware_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// stage is what the Examples play on: an app at https://app.example.com that signs in with the
// practice provider, at which Ada is signed in already.
func stage() (*middleware.Auth, *providertest.Server) {
	practice := providertest.New(providertest.Config{Issuer: "https://practice.example"})
	practice.SignInAs("ada")
	signIn := practice.OIDC("practice")
	signIn.Scopes = []string{"openid", "profile"}
	auth, err := middleware.New(middleware.Config{
		BaseURL:    "https://app.example.com",
		Providers:  []providers.Provider{signIn},
		HTTPClient: &http.Client{Transport: practice.Transport()},
		Logger:     slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return auth, practice
}

// visitor is a person with a browser: it keeps cookies, and follows redirects to the provider and back, and a page that
// loads itself again.
type visitor struct{ http.Client }

func visit(app http.Handler, practice *providertest.Server) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err)
	}
	return &visitor{http.Client{Jar: jar, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Accept", "text/html")
		if r.URL.Host != "app.example.com" {
			return practice.Transport().RoundTrip(r)
		}
		r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
		if r.Body == nil {
			r.Body = http.NoBody
		}
		var w *httptest.ResponseRecorder
		for began := time.Now(); r != nil; r = pagetest.Next(began, r, w.Code, w.Header()) {
			w = httptest.NewRecorder()
			app.ServeHTTP(w, r)
		}
		return w.Result(), nil
	})}}
}

// open loads a page and prints it.
func (v *visitor) open(path string) { show(v.Get("https://app.example.com" + path)) }

// send submits a form, of names and values, and prints the page that follows.
func (v *visitor) send(path string, pairs ...string) {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	show(v.PostForm("https://app.example.com"+path, form))
}

func show(resp *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	page, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		fmt.Print(resp.StatusCode, " ")
		_, title, _ := strings.Cut(string(page), "<title>")
		if title, _, ok := strings.Cut(title, "</title>"); ok {
			page = []byte(title) // of an error page
		}
	}
	fmt.Println(strings.TrimSpace(string(page)))
}
