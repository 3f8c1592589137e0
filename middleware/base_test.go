package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// api is the transport of an app whose provider's API lives below a path.
type api struct {
	http.RoundTripper
	answer func(r *http.Request) (*http.Response, error)
}

func (a api) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "api.example" {
		return a.RoundTripper.RoundTrip(r)
	}
	return a.answer(r)
}

func (a api) kit(t *testing.T, timeout time.Duration) *kit {
	return newKit(t, func(k *kit, c *middleware.Config) {
		p := k.plain.OAuth2("plain")
		p.APIBase, p.APIOrigins = "https://api.example/v2/", nil
		a.RoundTripper = k
		c.Providers, c.HTTPClient = []providers.Provider{p}, &http.Client{Transport: a, Timeout: timeout}
	})
}

// A redirect goes on from where the request went, not from what the handler wrote: RFC 9110, section
// 10.2.2.
func TestClient_redirectBelowBase(t *testing.T) {
	rows := []struct{ url, to, want string }{
		{"me/videos", "next", "/v2/me/next"},
		{"me/videos", "./next", "/v2/me/next"},
		{"me/videos", "../next", "/v2/next"},
		{"me/videos", "/next", "/next"},
		{"me/videos", "?page=2", "/v2/me/videos?page=2"},
		{"videos", "next", "/v2/next"},
		{"/v2/me/videos", "next", "/v2/me/next"},
		{"https://api.example/v2/me/videos", "next", "/v2/me/next"},
		{"me/videos", "https://api.example/next", "/next"},
		{"me/videos", "//api.example/next", "/next"},
		{"me/videos", "https://evil.example/next", ""},
		{"me/videos", "//evil.example/next", ""},
	}
	for _, row := range rows {
		t.Run(fmt.Sprint(row.url, " to ", row.to), func(t *testing.T) {
			var last string
			k := api{answer: func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				if strings.HasSuffix(r.URL.Path, "/videos") && r.URL.RawQuery == "" {
					w.Header().Set("Location", row.to)
					w.WriteHeader(http.StatusFound)
				} else {
					last = r.URL.RequestURI()
				}
				return w.Result(), nil
			}}.kit(t, 0)
			b := k.browser()
			b.signIn("plain", "ada", "/")
			resp, err := k.clientOf(b, "").Get(row.url)
			if err == nil {
				resp.Body.Close()
			}
			if last != row.want || (row.want == "") != errors.Is(err, middleware.ErrOrigin) {
				t.Errorf("went to %q, %v; want %q", last, err, row.want)
			}
		})
	}
}

// The timeout of Config.HTTPClient holds for the API, too.
func TestClient_timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := api{answer: func(r *http.Request) (*http.Response, error) {
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(time.Hour):
				return nil, errors.New("nobody hung up")
			}
		}}.kit(t, 5*time.Second)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		began := time.Now()
		if _, err := k.clientOf(b, "").Get("me"); !os.IsTimeout(err) || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %v, want a timeout after 5s", err, time.Since(began))
		}
	})
}
