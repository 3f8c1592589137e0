package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// rejected401 answers the first n requests to the API with invalid_token.
func rejected401(n int) func(*providertest.Behavior) {
	return func(b *providertest.Behavior) {
		b.API = providertest.First(n, providertest.Respond(401, "application/json", "{}", "WWW-Authenticate", `Bearer realm="x", error="invalid_token"`))
	}
}

// Seeds F47, S9: a token that the API does not take any more is renewed once, and the request sent
// once more, if its body can be.
func TestClient_tokenRefused(t *testing.T) {
	none := func() io.Reader { return nil }
	again := func() io.Reader { return strings.NewReader("body") }
	once := func() io.Reader { return struct{ io.Reader }{strings.NewReader("body")} }
	rows := []struct {
		name      string
		method    string
		body      func() io.Reader
		set       func(k *kit)
		want      error
		status    int
		api       int // requests to the API
		refreshes int
	}{
		{"revoked before its time", "GET", none, func(k *kit) { k.plain.ExpireAccess() }, nil, 200, 2, 1},
		{"a body that can be read again", "POST", again, func(k *kit) { k.plain.Set(rejected401(1)) }, nil, 405, 2, 1},
		{"a body that cannot", "POST", once, func(k *kit) { k.plain.Set(rejected401(1)) }, nil, 401, 1, 1},
		{"refused again", "GET", none, func(k *kit) { k.plain.Set(rejected401(2)) }, middleware.ErrReauthRequired, 0, 2, 1},
		{"the grant has ended", "GET", none, func(k *kit) { k.plain.EndGrants("ada") }, middleware.ErrReauthRequired, 0, 1, 1},
		{"and the provider is down", "GET", none, func(k *kit) {
			k.plain.ExpireAccess()
			k.plain.Set(func(b *providertest.Behavior) {
				b.Token = providertest.Respond(429, "text/plain", "", "Retry-After", "60")
			})
		}, providers.ErrUnavailable, 0, 1, 1},
		{"401 for another reason", "GET", none, func(k *kit) {
			k.plain.Set(func(b *providertest.Behavior) { b.API = providertest.Respond(401, "text/plain", "no") })
		}, nil, 401, 1, 0},
		{"403 for another reason", "GET", none, func(k *kit) {
			k.plain.Set(func(b *providertest.Behavior) { b.API = providertest.Respond(403, "text/plain", "no") })
		}, nil, 403, 1, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				b.signIn("plain", "ada", "/")
				row.set(k)
				var bodies []string
				api := k.plain.Behavior().API
				k.plain.Set(func(b *providertest.Behavior) {
					b.API = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
						if body, err := io.ReadAll(r.Body); err != nil {
							t.Error(err)
						} else if r.Method == "POST" {
							bodies = append(bodies, string(body))
						}
						if api == nil {
							next(w, r)
							return
						}
						api(w, r, next)
					}
				})
				before := k.plain.Count("api")
				k.within(b, func(ctx context.Context) {
					req, err := http.NewRequestWithContext(ctx, row.method, "/me", row.body())
					if err != nil {
						t.Fatal(err)
					}
					resp, err := middleware.Client(ctx, "").Do(req)
					if !errors.Is(err, row.want) {
						t.Fatalf("error %v, want %v", err, row.want)
					}
					if err != nil {
						return
					}
					defer resp.Body.Close()
					if resp.StatusCode != row.status {
						t.Errorf("status %d, want %d", resp.StatusCode, row.status)
					}
				})
				if got := k.plain.Count("api") - before; got != row.api {
					t.Errorf("%d requests to the API, want %d", got, row.api)
				}
				if got := len(k.plain.Ledger().Refreshes()); got != row.refreshes {
					t.Errorf("%d refreshes, want %d", got, row.refreshes)
				}
				if got, want := strings.Join(bodies, ""), strings.Repeat("body", len(bodies)); got != want {
					t.Errorf("bodies %q, want each to be whole", bodies)
				}
			})
		})
	}
}

// An API that takes no token at all does not make us ask for new ones all day; a hundred requests that
// are refused at once renew it once.
func TestClient_tokenRefused_rate(t *testing.T) {
	eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
		k := newKit(t, change)
		pass, b := at(k), k.browser()
		b.signIn("plain", "ada", "/")
		c := k.clientOf(b, "")
		k.plain.ExpireAccess()
		together(100, func(int) {
			resp, err := c.Get("/me")
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
		if got := k.refreshes(k.plain); got != 1 {
			t.Errorf("%d refreshes, want 1", got)
		}
		pass(time.Minute)
		k.plain.Set(rejected401(1 << 20))
		before := k.plain.Count("api")
		for range 20 {
			if _, err := c.Get("/me"); !errors.Is(err, middleware.ErrReauthRequired) {
				t.Errorf("error %v", err)
			}
			pass(time.Second)
		}
		if got := k.refreshes(k.plain); got != 2 {
			t.Errorf("%d refreshes, want 2", got)
		}
		if got := k.plain.Count("api") - before; got != 21 { // the one with the new token is the only second try
			t.Errorf("%d requests to the API, want 21", got)
		}
	})
}

// 170, RFC 6750, RFC 9470: what an API asks for is an error that says so, and the step-up meets it.
func TestClient_stepUp(t *testing.T) {
	rows := []struct {
		name string
		path string
		set  func(*providertest.Behavior)
		want middleware.Need // besides the provider
		asks string          // what the provider is asked
		old  bool            // it takes a sign-in of ten minutes ago, by the provider's clock
	}{
		{"insufficient_scope", "/me/videos", func(*providertest.Behavior) {}, middleware.Need{Scopes: []string{"videos"}}, "scope=openid+profile+email+videos", false},
		{"170 acr", "/me", func(b *providertest.Behavior) { b.ACR = "gold" }, middleware.Need{ACR: []string{"gold"}}, "acr_values=gold", false},
		{"170 max_age", "/me", func(b *providertest.Behavior) { b.MaxAge = 5 * time.Minute }, middleware.Need{MaxAge: 5 * time.Minute}, "max_age=300", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			run := func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change, func(k *kit, c *middleware.Config) {
					p := k.idp.OIDC("idp")
					p.Scopes = []string{"openid", "profile", "email"}
					c.Providers[0] = p
				})
				k.mux.Handle("/page", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("Content-Type", "image/png") // of what does not come
					resp, err := middleware.Client(r.Context(), "").Get(row.path)
					var step *middleware.StepUpError
					if errors.As(err, &step) {
						n := step.Need
						if n.Provider != "idp" || !slices.Equal(n.Scopes, row.want.Scopes) || !slices.Equal(n.ACR, row.want.ACR) || n.MaxAge != row.want.MaxAge || !errors.Is(err, middleware.ErrStepUp) {
							t.Errorf("need %+v, want %+v", n, row.want)
						}
					}
					if err != nil {
						return err
					}
					defer resp.Body.Close()
					_, err = fmt.Fprint(w, "shown ", resp.StatusCode)
					return err
				}))
				b := k.browser()
				b.signIn("idp", "ada", "/")
				if row.old {
					time.Sleep(10 * time.Minute)
				}
				k.idp.Set(row.set)

				doc := b.fetch("/page?q=1")
				var p middleware.Problem
				if err := json.Unmarshal([]byte(text(doc)), &p); err != nil || doc.StatusCode != 401 || p.LoginURL == "" {
					t.Fatalf("a fetch: status %d, %v: %s", doc.StatusCode, err, text(doc))
				}
				auth := k.location(b.open(p.LoginURL)) // what a script would make of it
				if !strings.Contains(auth, row.asks) {
					t.Errorf("the URL of the document leads to %s, want %s", auth, row.asks)
				}
				auth = k.location(b.open("/page?q=1"))
				if !strings.Contains(auth, row.asks) {
					t.Errorf("sent to %s, want %s", auth, row.asks)
				}
				back := k.location(b.back(b.approve(auth, "ada")))
				if back != "/page?q=1" {
					t.Errorf("landed at %q", back)
				}
				if got := text(b.open(back)); got != "shown 200" {
					t.Errorf("afterwards: %s; log:\n%s", got, k.log)
				}
			}
			if !row.old {
				eachStore(t, run)
				return
			}
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) { run(t, change) })
			})
		})
	}
}

// What Answer makes of an error, for a page and for a script.
func TestAnswer(t *testing.T) {
	rows := []struct {
		name   string
		err    func(ctx context.Context) error
		page   int
		script int
		reason string
		post   bool
	}{
		{"nobody", func(context.Context) error { return middleware.ErrSignedOut }, 303, 401, "signed_out", false},
		{"not connected", func(ctx context.Context) error { _, err := middleware.Token(ctx, "idp"); return err }, 403, 401, "need_unmet", true},
		{"another label", func(ctx context.Context) error {
			_, err := middleware.Token(middleware.WithConnection(ctx, "work"), "")
			return err
		}, 403, 401, "need_unmet", true},
		{"provider down", func(context.Context) error {
			return fmt.Errorf("x: %w", &providers.Error{Provider: "plain", Endpoint: "token", Status: 503, RetryAfter: 7 * time.Second})
		}, 503, 503, "api_down", false},
		{"of a client", func(ctx context.Context) error {
			_, err := middleware.Client(ctx, "idp").Get("/me")
			return err
		}, 403, 401, "need_unmet", true},
		{"any other", func(context.Context) error { return errors.New("password=hunter2") }, 500, 500, "handler", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.mux.Handle("/page", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("Etag", `"x"`)
					return row.err(r.Context())
				}))
				b := k.browser()
				b.signIn("plain", "ada", "/")
				page, script := b.open("/page"), b.fetch("/page")
				if page.StatusCode != row.page || script.StatusCode != row.script || page.Header.Get("Etag") != "" {
					t.Errorf("status %d and %d, want %d and %d", page.StatusCode, script.StatusCode, row.page, row.script)
				}
				var p middleware.Problem
				if err := json.Unmarshal([]byte(text(script)), &p); err != nil || string(p.Reason) != row.reason || p.LoginPost != row.post {
					t.Errorf("%+v, %v, want %s", p, err, row.reason)
				}
				if row.reason == "api_down" && script.Header.Get("Retry-After") != "7" {
					t.Errorf("Retry-After %q", script.Header.Get("Retry-After"))
				}
				if strings.Contains(text(page)+text(script), "hunter2") {
					t.Error("the answer repeats the error")
				}
				if row.post && !strings.Contains(text(page), `<form method="post" action="/auth/`) {
					t.Errorf("no button: %s", text(page))
				}
			})
		})
	}
}

// A page that comes back and still lacks what it went for is no loop.
func TestAnswer_loop(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.mux.Handle("/page", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			resp, err := middleware.Client(r.Context(), "").Get("/me")
			if err == nil {
				_ = resp.Body.Close()
			}
			return err
		}))
		b := k.browser()
		b.signIn("idp", "ada", "/")
		k.idp.Set(rejected401(1 << 20))
		auth := k.location(b.open("/page"))
		back := k.location(b.back(b.approve(auth, "ada")))
		if resp := b.open(back); resp.StatusCode != http.StatusForbidden || !strings.Contains(text(resp), `class="button"`) {
			t.Errorf("status %d: %s", resp.StatusCode, text(resp))
		}
	})
}

// Seed R13: a request without the token goes anywhere, and takes nothing along.
func TestClient_withoutToken(t *testing.T) {
	k, b := borderKit(t)
	k.border.sent = nil
	k.within(b, func(ctx context.Context) {
		c := middleware.Client(ctx, "")
		for target, want := range map[string]int{"/me": 401, "https://idp.example/.well-known/openid-configuration": 200} {
			req, err := http.NewRequestWithContext(middleware.WithoutToken(ctx), http.MethodGet, target, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: status %d, want %d", target, resp.StatusCode, want)
			}
		}
		req, _ := http.NewRequestWithContext(middleware.WithoutToken(ctx), http.MethodGet, "http://plain.example/me", nil)
		if _, err := c.Do(req); !errors.Is(err, middleware.ErrOrigin) {
			t.Errorf("plain http: error %v", err)
		}
	})
	if len(k.border.sent) != 0 {
		t.Errorf("tokens went to %v", k.border.sent)
	}
}

// Bodies are streamed, both ways: nothing is read that nobody asked for.
func TestClient_streams(t *testing.T) {
	k := newKit(t, func(k *kit, c *middleware.Config) {
		p := k.plain.OAuth2("plain")
		p.Scopes = []string{"videos"}
		c.Providers[1] = p
	})
	b := k.browser()
	b.signIn("plain", "ada", "/")
	k.within(b, func(ctx context.Context) {
		resp, err := middleware.Client(ctx, "").Get("/me/videos/1/file?bytes=1073741824")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		head := make([]byte, 1<<10)
		if _, err := io.ReadFull(resp.Body, head); err != nil || bytes.Contains(head, []byte{0}) {
			t.Error(err)
		}
	})
}

// summed is a body that fills in its request's trailer at its end.
type summed struct {
	io.Reader
	r *http.Request
}

func (s *summed) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err == io.EOF {
		s.r.Trailer.Set("X-Sum", "42")
	}
	return n, err
}

// What a caller writes into the trailer while its body is read is sent behind it, the second time as well.
func TestClient_trailer(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	b.signIn("plain", "ada", "/")
	var got []string
	k.plain.Set(func(b *providertest.Behavior) {
		refuse := providertest.First(1, providertest.Respond(401, "application/json", "{}", "WWW-Authenticate", `Bearer error="invalid_token"`))
		b.API = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			_, _ = io.Copy(io.Discard, r.Body)
			got = append(got, r.Trailer.Get("X-Sum"))
			refuse(w, r, next)
		}
	})
	k.within(b, func(ctx context.Context) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/me", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.GetBody = func() (io.ReadCloser, error) {
			r.Trailer.Set("X-Sum", "") // as nobody knows it yet
			return io.NopCloser(&summed{strings.NewReader("body"), r}), nil
		}
		r.Trailer = http.Header{"X-Sum": nil}
		r.Body, _ = r.GetBody()
		resp, err := middleware.Client(ctx, "").Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	})
	if want := []string{"42", "42"}; !slices.Equal(got, want) {
		t.Errorf("trailers %q, want %q", got, want)
	}
}

// A client that is kept renews its token by itself, long after the request it came from.
func TestClient_keptForHours(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			b := k.browser()
			b.signIn("plain", "ada", "/")
			c := k.clientOf(b, "")
			for hour := range 10 {
				time.Sleep(time.Hour)
				together(20, func(int) {
					resp, err := c.Get("/me")
					if err == nil {
						err = readAll(resp)
					}
					if err != nil {
						t.Errorf("hour %d: %v", hour, err)
					}
				})
				if got := k.refreshes(k.plain); got != hour+1 {
					t.Errorf("hour %d: %d refreshes", hour, got)
				}
			}
			b.post("/auth/logout", url.Values{})
			if _, err := c.Get("/me"); !errors.Is(err, middleware.ErrSignedOut) {
				t.Errorf("after the sign-out: %v", err)
			}
		})
	})
}
