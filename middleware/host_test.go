package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// A page that is opened at another name of loopback is opened at BaseURL; nothing else is sent anywhere.
func TestHost(t *testing.T) {
	rows := []struct {
		name, base, target, method string
		header                     map[string]string
		want                       string // where it is sent; "": nowhere
	}{
		{"localhost for 127.0.0.1", "http://127.0.0.1:8080", "http://localhost:8080/a%20b?c=d&e=%2F", "GET", nil, "http://127.0.0.1:8080/a%20b?c=d&e=%2F"},
		{"127.0.0.1 for localhost", "http://localhost:8080", "http://127.0.0.1:8080/", "GET", nil, "http://localhost:8080/"},
		{"IPv6", "http://127.0.0.1:8080", "http://[::1]:8080/", "GET", nil, "http://127.0.0.1:8080/"},
		{"for IPv6", "http://[::1]:8080", "http://127.0.0.1:8080/", "GET", nil, "http://[::1]:8080/"},
		{"another address of 127.0.0.0/8", "http://localhost:8080", "http://127.0.0.2:8080/", "GET", nil, "http://localhost:8080/"},
		{"a name below localhost", "http://127.0.0.1:8080", "http://app.localhost:8080/", "GET", nil, "http://127.0.0.1:8080/"},
		{"for a name below localhost", "http://app.localhost:8080", "http://localhost:8080/", "GET", nil, "http://app.localhost:8080/"},
		{"in capitals", "http://127.0.0.1:8080", "http://LOCALHOST:8080/", "GET", nil, "http://127.0.0.1:8080/"},
		{"the default port", "http://127.0.0.1", "http://localhost/", "GET", nil, "http://127.0.0.1/"},
		{"the default port, said", "http://127.0.0.1:80", "http://localhost:80/", "GET", nil, "http://127.0.0.1/"},
		{"https", "https://localhost:8443", "https://127.0.0.1:8443/", "GET", nil, "https://localhost:8443/"},
		{"the kit's own pages", "http://127.0.0.1:8080", "http://localhost:8080/auth/idp/login?return_to=/x", "GET", nil, "http://127.0.0.1:8080/auth/idp/login?return_to=/x"},
		{"a path that looks like a host", "http://127.0.0.1:8080", "http://localhost:8080//evil.example/%5C", "GET", nil, "http://127.0.0.1:8080//evil.example/%5C"},
		{"via a service worker", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"Sec-Fetch-Dest": "empty"}, "http://127.0.0.1:8080/"},
		{"what a proxy says decides nothing", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}, "http://127.0.0.1:8080/"},

		{"the same", "http://127.0.0.1:8080", "http://127.0.0.1:8080/", "GET", nil, ""},
		{"the same, in capitals", "http://localhost:8080", "http://Localhost:8080/", "GET", nil, ""},
		{"another port", "http://127.0.0.1:8080", "http://localhost:9090/", "GET", nil, ""},
		{"no port", "http://127.0.0.1:8080", "http://localhost/", "GET", nil, ""},
		{"another host", "http://127.0.0.1:8080", "http://evil.example:8080/", "GET", nil, ""},
		{"a name that begins alike", "http://127.0.0.1:8080", "http://localhost.evil.example:8080/", "GET", nil, ""},
		{"a user name", "http://127.0.0.1:8080", "http://localhost:8080@evil.example:8080/", "GET", nil, ""},
		{"a public BaseURL", "https://app.example", "http://localhost/", "GET", nil, ""},
		{"POST", "http://127.0.0.1:8080", "http://localhost:8080/", "POST", nil, ""},
		{"HEAD", "http://127.0.0.1:8080", "http://localhost:8080/", "HEAD", nil, ""},
		{"a script", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, ""},
		{"an image", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, ""},
		{"a frame", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"Sec-Fetch-Dest": "iframe"}, ""},
		{"a prefetch", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"Sec-Purpose": "prefetch"}, ""},
		{"a health check", "http://127.0.0.1:8080", "http://localhost:8080/", "GET", map[string]string{"Sec-Fetch-Mode": "", "Sec-Fetch-Dest": "", "Accept": "*/*"}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = row.base })
			u, host := row.target, ""
			if before, after, ok := strings.Cut(u, "@"); ok {
				host, u = strings.TrimPrefix(before, "http://")+"@"+strings.TrimSuffix(after, "/"), "http://x/"
			}
			r := with(k.browser().request(row.method, u, nil), row.header)
			if host != "" {
				r.Host = host
			}
			resp := k.serve(r)
			if row.want == "" {
				if resp.StatusCode == http.StatusSeeOther || len(resp.Cookies()) > 0 {
					t.Errorf("status %d, to %q, cookies %v", resp.StatusCode, resp.Header.Get("Location"), resp.Cookies())
				}
				return
			}
			if got := k.location(resp); got != row.want || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("sent to %q, want %q; Cache-Control %q", got, row.want, resp.Header.Get("Cache-Control"))
			}
			cookies := resp.Cookies()
			if len(cookies) != 1 || cookies[0].MaxAge != 60 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Secure != strings.HasPrefix(row.base, "https") {
				t.Errorf("cookies %v, want one for a minute", cookies)
			}
			// A proxy that rewrites Host makes it look the same again: once is enough.
			r.AddCookie(cookies[0])
			if got := k.serve(r); got.StatusCode == http.StatusSeeOther && got.Header.Get("Location") == row.want {
				t.Error("sent there again and again")
			}
		})
	}
}

// The whole trip, begun at the wrong name.
func TestHost_trip(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = "http://127.0.0.1:8080" })
	k.gate("/gated", middleware.Need{Provider: "idp"})
	b := k.browser()
	get := func(target string) *http.Response {
		r := b.request(http.MethodGet, target, nil)
		r.Header.Del("Cookie")
		for _, c := range b.jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
		resp := k.serve(r)
		b.jar.SetCookies(r.URL, resp.Cookies())
		return resp
	}
	at := k.location(get("http://localhost:8080/gated?a=b"))
	callback := b.approve(k.location(get(at)), "ada")
	landed := k.location(get(callback))
	if base, _ := url.Parse(at); landed != "/gated?a=b" || text(get(base.Scheme+"://"+base.Host+landed)) != "inside" {
		t.Errorf("landed at %q", landed)
	}
}

// What has to be registered with each provider is in the log before anybody signs in.
func TestNew_redirectURIs(t *testing.T) {
	for _, base := range []string{appURL, "http://localhost:8080"} {
		k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL, c.Prefix = base, "/account" })
		for _, name := range []string{"idp", "plain"} {
			if want := "redirect_uri=" + base + "/account/" + name + "/callback"; !strings.Contains(k.log.String(), want) {
				t.Errorf("no %s in the log:\n%s", want, k.log)
			}
		}
	}
	// It is the one that is sent.
	k := newKit(t)
	r := httptest.NewRequest(http.MethodGet, appURL+"/auth/idp/login", nil)
	if got := query(t, k.location(k.serve(r))).Get("redirect_uri"); !strings.Contains(k.log.String(), "redirect_uri="+got) {
		t.Errorf("%s is sent, and not in the log:\n%s", got, k.log)
	}
}
