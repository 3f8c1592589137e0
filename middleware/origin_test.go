package middleware_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// border is the transport of an app: it notes every request that leaves it with a token.
type border struct {
	http.RoundTripper
	mu    sync.Mutex
	sent  []string
	hosts []string // that those requests name
}

func (b *border) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
		b.mu.Lock()
		b.sent = append(b.sent, r.URL.Scheme+"://"+r.URL.Host)
		b.hosts = append(b.hosts, cmp.Or(r.Host, r.URL.Host))
		b.mu.Unlock()
	}
	// As a network does: the host has no case, and 443 is where https goes.
	r.URL.Host = strings.TrimSuffix(strings.ToLower(r.URL.Host), ":443")
	r.Host = ""
	return b.RoundTripper.RoundTrip(r)
}

// clientOf signs ada in and returns the client that a handler gets, for use after it.
func (k *kit) clientOf(b *browser, provider string) *http.Client {
	var c *http.Client
	k.handle("/client", func(_ http.ResponseWriter, r *http.Request) { c = middleware.Client(r.Context(), provider) })
	b.open("/client")
	return c
}

// 168: a token goes to the origins of its API, and is judged again on every hop.
func TestClient_origins(t *testing.T) {
	rows := []struct {
		name, url string
		want      error
	}{
		{"relative", "/me", nil},
		{"relative, without a slash", "me", nil},
		{"absolute", "https://plain.example/me", nil},
		{"the default port", "https://plain.example:443/me", nil},
		{"another case", "https://PLAIN.example/me", nil},
		{"another host", "https://evil.example/me", middleware.ErrOrigin},
		{"another provider", "https://idp.example/userinfo", middleware.ErrOrigin},
		{"a host below it", "https://api.plain.example/me", middleware.ErrOrigin},
		{"a host that begins like it", "https://plain.example.evil.example/me", middleware.ErrOrigin},
		{"a trailing dot", "https://plain.example./me", middleware.ErrOrigin},
		{"another port", "https://plain.example:8443/me", middleware.ErrOrigin},
		{"plain http", "http://plain.example/me", middleware.ErrOrigin},
		{"plain http at the port of https", "http://plain.example:443/me", middleware.ErrOrigin},
		{"user information", "https://user:password@plain.example/me", middleware.ErrOrigin},
		{"a host in the user information", "https://plain.example@evil.example/me", middleware.ErrOrigin},
		{"relative to the scheme", "//evil.example/me", middleware.ErrOrigin},
		{"another scheme", "ftp://plain.example/me", middleware.ErrOrigin},
		{"no host", "https:///me", middleware.ErrOrigin},
		{"opaque", "https:plain.example/me", middleware.ErrOrigin},
		{"an empty port", "https://plain.example:/me", nil},
		{"a port with a zero before it", "https://plain.example:0443/me", middleware.ErrOrigin},
		{"a letter that looks alike", "https://pl\u0430in.example/me", middleware.ErrOrigin},
		{"a wide letter", "https://\uff50lain.example/me", middleware.ErrOrigin},
		{"a wide dot", "https://plain\u3002example/me", middleware.ErrOrigin},
		{"an address", "https://[::1]/me", middleware.ErrOrigin},
		{"an address with a zone", "https://[fe80::1%25eth0]/me", middleware.ErrOrigin},
		{"plain http to loopback", "http://127.0.0.1/me", middleware.ErrOrigin},
		{"another host in the path", "/me/..//evil.example/me", errStays},
		{"another host behind a backslash", "/\\evil.example/me", errStays},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k, b := borderKit(t)
			c := k.clientOf(b, "plain")
			k.border.sent = nil
			resp, err := c.Get(row.url)
			if row.want == errStays {
				if err != nil || len(k.border.sent) != 1 || k.border.sent[0] != "https://plain.example" {
					t.Errorf("error %v, tokens went to %v", err, k.border.sent)
				}
				return
			}
			if !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			if err == nil {
				if got := text(resp); resp.StatusCode != 200 || !strings.Contains(got, "Ada Lovelace") {
					t.Errorf("status %d: %s", resp.StatusCode, got)
				}
			}
			want := 1
			if row.want != nil {
				want = 0
			}
			if got := len(k.border.sent); got != want {
				t.Errorf("tokens went to %v, want %d of them", k.border.sent, want)
			}
		})
	}
}

// errAny stands for whatever net/http has against a URL.
var errAny = errors.New("any")

// errStays stands for a path that looks like another host, and is none.
var errStays = errors.New("stays")

// 168: what a caller can write into a request besides its URL takes the token nowhere else, and the
// request is the caller's: nothing is written into it.
func TestClient_request(t *testing.T) {
	rows := []struct {
		name, url string
		change    func(r *http.Request)
		want      error
	}{
		{"as it is", "https://plain.example/me", func(*http.Request) {}, nil},
		{"the same host", "https://plain.example/me", func(r *http.Request) { r.Host = "PLAIN.example" }, nil},
		{"another host", "https://plain.example/me", func(r *http.Request) { r.Host = "evil.example" }, middleware.ErrOrigin},
		{"another port", "https://plain.example/me", func(r *http.Request) { r.Host = "plain.example:8443" }, middleware.ErrOrigin},
		{"of a relative URL, which has the base's", "/me", func(r *http.Request) { r.Host = "evil.example" }, nil},
		{"a header of that name, which is not sent", "https://plain.example/me", func(r *http.Request) { r.Header.Set("Host", "evil.example") }, nil},
		{"opaque, with another host", "https://plain.example/me", func(r *http.Request) { r.URL.Opaque = "//evil.example/me" }, middleware.ErrOrigin},
		{"opaque, with a path", "https://plain.example/me", func(r *http.Request) { r.URL.Opaque = "/me" }, middleware.ErrOrigin},
		{"relative and opaque", "/me", func(r *http.Request) { r.URL.Opaque = "//evil.example/me" }, middleware.ErrOrigin},
		{"a scheme in another case", "https://plain.example/me", func(r *http.Request) { r.URL.Scheme = "HTTPS" }, middleware.ErrOrigin},
		{"user information", "https://plain.example/me", func(r *http.Request) { r.URL.User = url.User("x") }, middleware.ErrOrigin},
		{"its own Authorization", "https://plain.example/me", func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k, b := borderKit(t)
			c := k.clientOf(b, "plain")
			k.border.sent, k.border.hosts = nil, nil
			r, err := http.NewRequest(http.MethodGet, row.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			row.change(r)
			before := fmt.Sprint(r.Header, r.URL, r.Host)
			resp, err := c.Do(r)
			if !errors.Is(err, row.want) {
				t.Fatalf("error %v, want %v", err, row.want)
			}
			if err == nil {
				err = readAll(resp) // ada's, whatever the caller wrote into the request
			}
			if row.want == nil && err != nil || row.want != nil && len(k.border.sent) > 0 {
				t.Errorf("%v; tokens went to %v", err, k.border.sent)
			}
			for _, host := range k.border.hosts {
				if !strings.EqualFold(host, "plain.example") {
					t.Errorf("sent to host %q", host)
				}
			}
			if after := fmt.Sprint(r.Header, r.URL, r.Host); after != before {
				t.Errorf("the caller's request was changed from %s to %s", before, after)
			}
		})
	}
}

// borderKit is a kit whose transport is watched, with ada signed in.
func borderKit(t *testing.T) (*borderedKit, *browser) {
	w := &border{}
	k := newKit(t, func(k *kit, c *middleware.Config) {
		w.RoundTripper = k
		c.HTTPClient = &http.Client{Transport: w}
	})
	b := k.browser()
	b.signIn("plain", "ada", "/")
	return &borderedKit{k, w}, b
}

type borderedKit struct {
	*kit
	border *border
}

func TestClient_redirects(t *testing.T) {
	rows := []struct {
		name   string
		status int
		to     string
		want   error
		body   string
	}{
		{"to another path", 302, "/me/videos", nil, ""},
		{"to another host", 302, "https://evil.example/me", middleware.ErrOrigin, ""},
		{"to another host, with the body", 307, "https://evil.example/me", middleware.ErrOrigin, "secret"},
		{"to plain http", 301, "http://plain.example/me", middleware.ErrOrigin, ""},
		{"to user information", 302, "https://x:y@plain.example/me", middleware.ErrOrigin, ""},
		{"relative to the scheme", 302, "//evil.example/me", middleware.ErrOrigin, ""},
		{"301", 301, "https://evil.example/me", middleware.ErrOrigin, ""},
		{"303", 303, "https://evil.example/me", middleware.ErrOrigin, ""},
		{"308, with the body", 308, "https://evil.example/me", middleware.ErrOrigin, "secret"},
		{"307 to plain http, with the body", 307, "http://plain.example/me", middleware.ErrOrigin, "secret"},
		{"to another port", 302, "https://plain.example:8443/me", middleware.ErrOrigin, ""},
		{"to plain http at loopback", 302, "http://127.0.0.1/me", middleware.ErrOrigin, ""},
		{"to a host in the user information", 302, "https://plain.example@evil.example/me", middleware.ErrOrigin, ""},
		{"to user information without a password", 302, "https://plain.example@plain.example/me", middleware.ErrOrigin, ""},
		{"to a trailing dot", 302, "https://plain.example./me", middleware.ErrOrigin, ""},
		{"to the host in another case", 302, "https://PLAIN.example/me/videos", nil, ""},
		{"to a wide letter", 302, "https://\uff50lain.example/me", middleware.ErrOrigin, ""},
		{"to an address with a zone", 302, "https://[fe80::1%25lo]/me", middleware.ErrOrigin, ""},
		{"to something opaque", 302, "https:evil.example/me", middleware.ErrOrigin, ""},
		{"to a backslash, a path here", 302, "/\\evil.example/me", nil, ""},
		{"to a backslash in the host", 302, "https://evil.example\\@plain.example/me", errAny, ""},
		{"to a backslash behind the host", 302, "https://plain.example\\.evil.example/me", errAny, ""},
		{"to another scheme", 302, "file:///etc/passwd", middleware.ErrOrigin, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k, b := borderKit(t)
			c := k.clientOf(b, "plain")
			k.plain.Set(func(b *providertest.Behavior) {
				b.API = providertest.First(1, providertest.Redirect(row.status, row.to))
			})
			k.border.sent = nil
			var err error
			var resp *http.Response
			if row.body == "" {
				resp, err = c.Get("/me")
			} else {
				resp, err = c.Post("/me", "text/plain", strings.NewReader(row.body))
			}
			if !errors.Is(err, row.want) && !(row.want == errAny && err != nil) {
				t.Errorf("error %v, want %v", err, row.want)
			}
			if err == nil {
				_ = resp.Body.Close()
			}
			for _, origin := range k.border.sent {
				if strings.ToLower(origin) != "https://plain.example" {
					t.Errorf("a token went to %s", origin)
				}
			}
			want := 2
			if row.want != nil {
				want = 1
			}
			if got := len(k.border.sent); got != want {
				t.Errorf("%d requests with a token, want %d", got, want)
			}
		})
	}
}

// careless is a provider of an app's own that names an origin of plain http, and would sign any request.
type careless struct{ providers.Provider }

func (careless) API() (string, []string) { return "", []string{"http://plain.example"} }

func (careless) Authorize(r *http.Request, _ *providers.Token) error {
	r.Header.Set("Authorization", "Bearer of ada")
	return nil
}

// Plain http gets no token, whatever a provider declares.
func TestClient_plainOrigin(t *testing.T) {
	w := &border{}
	k := newKit(t, func(k *kit, c *middleware.Config) {
		w.RoundTripper = k
		c.Providers[1], c.HTTPClient = careless{c.Providers[1]}, &http.Client{Transport: w}
	})
	b := k.browser()
	b.signIn("plain", "ada", "/")
	w.sent = nil
	if _, err := k.clientOf(b, "").Get("http://plain.example/me"); !errors.Is(err, middleware.ErrOrigin) || len(w.sent) > 0 {
		t.Errorf("error %v, tokens went to %v", err, w.sent)
	}
}

// What an API keeps in cookies for one person goes along with nobody else's requests, although they
// share a client that has a jar.
func TestClient_cookies(t *testing.T) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.HTTPClient.Jar = jar })
	var got []string
	k.plain.Set(func(b *providertest.Behavior) {
		b.API = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			got = append(got, r.Header.Get("Cookie"))
			http.SetCookie(w, &http.Cookie{Name: "of", Value: "ada"})
			next(w, r)
		}
	})
	for _, person := range []string{"ada", "grace"} {
		b := k.browser()
		b.signIn("plain", person, "/")
		got = nil
		k.within(b, func(ctx context.Context) {
			resp, err := middleware.Client(ctx, "").Get("https://plain.example/me")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		})
		if want := []string{""}; !slices.Equal(got, want) {
			t.Errorf("%s sent cookies %q, want %q", person, got, want)
		}
	}
}

// A redirect to nowhere is an answer like any other, as it is to any http.Client.
func TestClient_redirectWithoutLocation(t *testing.T) {
	k, b := borderKit(t)
	c := k.clientOf(b, "plain")
	k.plain.Set(func(b *providertest.Behavior) { b.API = providertest.Respond(302, "text/plain", "nowhere") })
	k.border.sent = nil
	resp, err := c.Get("/me")
	if err != nil {
		t.Fatal(err)
	}
	if got := text(resp); resp.StatusCode != 302 || got != "nowhere" || len(k.border.sent) != 1 {
		t.Errorf("status %d, %q after %d requests", resp.StatusCode, got, len(k.border.sent))
	}
}

// 171: a client that is kept belongs to its session and its person.
func TestClient_kept(t *testing.T) {
	rows := []struct {
		name     string
		provider string
		then     func(b *browser)
		want     error
	}{
		{"after the answer", "plain", func(*browser) {}, nil},
		{"of the sign-in", "", func(*browser) {}, nil},
		{"after another cookie", "plain", func(b *browser) { b.open("/renew") }, nil},
		{"after another sign-in of the same", "plain", func(b *browser) { b.signIn("plain", "ada", "/") }, nil},
		{"after a sign-out", "plain", func(b *browser) { b.post("/auth/logout", nil) }, middleware.ErrSignedOut},
		{"after a sign-out and a new sign-in", "plain", func(b *browser) { b.post("/auth/logout", nil); b.signIn("plain", "ada", "/") }, middleware.ErrSignedOut},
		{"after a sign-in as another", "plain", func(b *browser) { b.signIn("plain", "grace", "/") }, middleware.ErrSignedOut},
		{"a provider that is not connected", "idp", func(*browser) {}, middleware.ErrNotConnected},
		{"a provider that is not configured", "unknown", func(*browser) {}, middleware.ErrNotConnected},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) { _ = k.auth.Sessions().RenewToken(r.Context()) })
				b := k.browser()
				b.signIn("plain", "ada", "/")
				c := k.clientOf(b, row.provider)
				row.then(b)
				before := k.plain.Ledger().Count("api")
				got := make(chan error, 4)
				for range 4 {
					go func() {
						resp, err := c.Get("/me")
						if err == nil {
							err = readAll(resp)
						}
						got <- err
					}()
				}
				for range 4 {
					if err := <-got; !errors.Is(err, row.want) {
						t.Errorf("error %v, want %v", err, row.want)
					}
				}
				if sent := k.plain.Ledger().Count("api") - before; (sent > 0) != (row.want == nil) {
					t.Errorf("%d requests were sent", sent)
				}
			})
		})
	}
}

func readAll(resp *http.Response) error {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && !strings.Contains(string(b), "Ada Lovelace") {
		err = fmt.Errorf("answer %q", b)
	}
	return err
}

// Nobody's client sends nothing, and closes what it was given.
func TestClient_nobody(t *testing.T) {
	k := newKit(t)
	c := k.clientOf(k.browser(), "plain")
	for name, client := range map[string]*http.Client{"nobody": c, "no middleware": middleware.Client(context.Background(), "plain")} {
		want := map[string]error{"nobody": middleware.ErrSignedOut, "no middleware": middleware.ErrNoMiddleware}[name]
		body := &closing{Reader: strings.NewReader("x")}
		_, err := client.Post("/me", "text/plain", body)
		if !errors.Is(err, want) || !body.closed {
			t.Errorf("%s: error %v, want %v; body closed: %v", name, err, want, body.closed)
		}
	}
	if n := k.plain.Ledger().Count("api"); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
