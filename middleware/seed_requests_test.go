package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// What people did with requests-oauthlib, by the rows of its check list. Rows about the provider
// alone are in package providers.

// Without a token nothing is sent by mistake, and on demand anything.
func TestSeed_R13_withoutToken(t *testing.T) {
	sent, bare := 0, 0
	k := newKit(t, withAPI(func(_ http.ResponseWriter, r *http.Request) {
		sent++
		if r.Header.Get("Authorization") == "" {
			bare++
		}
	}))
	b := k.browser()
	ask := func(provider string, want error) {
		t.Helper()
		b.inside("/p", func(ctx context.Context) {
			for _, target := range []string{"videos", "https://api.example/v1/videos"} {
				resp, err := middleware.Client(ctx, provider).Get(target)
				if err == nil {
					resp.Body.Close()
				}
				if !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			}
		})
	}
	ask("plain", middleware.ErrSignedOut)
	b.signIn("idp", "ada", "/p")
	ask("plain", middleware.ErrNotConnected)
	k.location(b.post("/auth/logout", nil))
	ask("idp", middleware.ErrSignedOut)
	if sent > 0 {
		t.Errorf("%d requests, want none", sent)
	}
	b.signIn("plain", "ada", "/p")
	b.inside("/p", func(ctx context.Context) {
		r, err := http.NewRequestWithContext(middleware.WithoutToken(ctx), http.MethodPut, "https://api.example/upload", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := middleware.Client(ctx, "plain").Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	})
	if sent != 1 || bare != 1 {
		t.Errorf("%d requests, %d without a token, want one", sent, bare)
	}
}

// A token that has ended is renewed before a handler sees it, saved, and then told of.
func TestSeed_R10_R12_F47_S9_W7_renewed(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					var told []string
					k := newKit(t, change, func(k *kit, c *middleware.Config) {
						p := k.plain.OAuth2("plain")
						p.Scopes = append(p.Scopes, "offline_access")
						c.Providers[1] = p
						o := k.idp.OIDC("idp")
						o.Scopes = append(o.Scopes, "offline_access")
						c.Providers[0] = o
						c.OnToken = func(_ context.Context, change *middleware.TokenChange) {
							mu.Lock()
							defer mu.Unlock()
							told = append(told, change.Token.Access)
						}
					})
					b := k.browser()
					b.signIn(provider, "ada", "/p")
					first := holds(b, provider)

					time.Sleep(2 * time.Hour) // automatic_refresh of W7, which sets expires_at in the past
					if got := asks(b, provider, "/me"); !strings.Contains(got, ada) {
						t.Errorf("R12: the API says %s", got)
					}
					second := holds(b, provider)
					k.provider(provider).ExpireAccess() // before its time
					time.Sleep(time.Minute)
					if got := asks(b, provider, "/me"); !strings.Contains(got, ada) {
						t.Errorf("F47: after a 401 the API says %s", got)
					}
					third := holds(b, provider)
					time.Sleep(time.Minute)
					b.inside("/p", func(ctx context.Context) { // manual_refresh, S9 force
						if _, err := middleware.Refresh(ctx, provider); err != nil {
							t.Error(err)
						}
					})
					fourth := holds(b, provider)
					synctest.Wait()
					mu.Lock()
					defer mu.Unlock()
					if want := []string{second.Access, third.Access, fourth.Access}; !slices.Equal(told, want) || slices.Contains(want, first.Access) {
						t.Errorf("told of %d tokens, want three new ones", len(told))
					}
					if got := len(k.provider(provider).Ledger().Refreshes()); got != 3 {
						t.Errorf("%d refreshes, want 3", got)
					}
				})
			})
		})
	}
	t.Run("R10 by hand", func(t *testing.T) {
		eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
			k := newKit(t, change)
			pass := at(k)
			b := k.browser()
			b.signIn("plain", "ada", "/p")
			try := func(want error, status int) {
				t.Helper()
				b.inside("/p", func(ctx context.Context) {
					ctx = middleware.WithoutRefresh(ctx)
					if _, err := middleware.Token(ctx, "plain"); !errors.Is(err, want) {
						t.Errorf("Token: %v, want %v", err, want)
					}
					req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/me", nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := middleware.Client(ctx, "plain").Do(req)
					if !errors.Is(err, want) || err == nil && resp.StatusCode != status {
						t.Errorf("Client: %v, want %v and status %d", err, want, status)
					}
					if err == nil {
						_ = resp.Body.Close()
					}
				})
			}
			try(nil, 200)
			pass(time.Hour - 10*time.Second) // it would be renewed ahead
			try(nil, 200)
			k.plain.ExpireAccess()
			try(nil, 401)
			pass(time.Hour)
			try(middleware.ErrTokenExpired, 0)
			if got := k.refreshes(k.plain); got != 0 {
				t.Errorf("%d refreshes, want none", got)
			}
			k.plain.Set(func(b *providertest.Behavior) { b.AccessTTL = 6 * time.Hour }) // its clock may be behind by now
			b.inside("/p", func(ctx context.Context) {
				if _, err := middleware.Refresh(middleware.WithoutRefresh(ctx), "plain"); err != nil {
					t.Error(err)
				}
			})
			try(nil, 200)
			k.plain.EndGrants("ada")
			b.inside("/p", func(ctx context.Context) {
				pass(time.Minute)
				if _, err := middleware.Refresh(ctx, "plain"); !errors.Is(err, middleware.ErrReauthRequired) {
					t.Error(err)
				}
			})
			try(middleware.ErrReauthRequired, 0) // nothing helps: it says so
		})
	})
	t.Run("R10 one that cannot be renewed", func(t *testing.T) {
		eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
			k := newKit(t, change)
			pass := at(k)
			k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.Without("refresh_token") })
			b := k.browser()
			b.signIn("plain", "ada", "/p")
			pass(2 * time.Hour)
			b.inside("/p", func(ctx context.Context) {
				if _, err := middleware.Token(ctx, "plain"); !errors.Is(err, middleware.ErrReauthRequired) {
					t.Errorf("%v, want ErrReauthRequired", err)
				}
			})
		})
	})
}

func TestSeed_R3_R14_token(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	to := b.start("idp", "/p")
	if state(t, to) == state(t, b.start("idp", "/p")) {
		t.Error("R3: two sign-ins have one state")
	}
	b.lands(b.approve(to, "ada"), "/p", ada)
	b.inside("/p", func(ctx context.Context) {
		tok, err := middleware.Token(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(tok.Scopes)
		if tok.Access == "" || !strings.EqualFold(tok.Type, "bearer") || tok.ID == "" || tok.Expiry.IsZero() ||
			!slices.Equal(tok.Scopes, []string{"email", "openid", "profile", "videos"}) {
			t.Errorf("scopes %v, expiry %v", tok.Scopes, tok.Expiry)
		}
	})
}

// What was granted is what counts, and a page that needs more says so.
func TestSeed_R19_scopes(t *testing.T) {
	k := newKit(t)
	k.idp.Set(func(b *providertest.Behavior) { b.Fields = providertest.With("scope", "openid") })
	k.mux.Handle("/videos", k.auth.Require(middleware.Need{Scopes: []string{"videos"}})(http.NotFoundHandler()))
	b := k.browser()
	b.signIn("idp", "ada", "/p")
	b.inside("/p", func(ctx context.Context) {
		tok, err := middleware.Token(ctx, "idp")
		if err != nil || !slices.Equal(tok.Scopes, []string{"openid"}) {
			t.Errorf("scopes %v, %v, want those granted", tok.Scopes, err)
		}
	})
	var p middleware.Problem
	resp := b.fetch("/videos")
	if err := json.Unmarshal([]byte(text(resp)), &p); err != nil || resp.StatusCode != http.StatusUnauthorized || p.Reason != middleware.ReasonNeed {
		t.Errorf("status %d, reason %q, %v", resp.StatusCode, p.Reason, err)
	}
	if got := query(t, k.location(b.open(p.LoginURL))).Get("scope"); !slices.Contains(strings.Fields(got), "videos") {
		t.Errorf("the step-up asks for %q", got)
	}
}

// A provider that does not keep to the standard is mended where its answers come in.
func TestSeed_R20_mend(t *testing.T) {
	mend := func(k *kit, c *middleware.Config) {
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := k.RoundTrip(r)
			if err != nil || r.URL.Path != "/token" {
				return resp, err
			}
			var m map[string]any
			if err := json.NewDecoder(resp.Body).Decode(&m); err != nil {
				return nil, err
			}
			m["token_type"] = "Bearer" // Douban and Weibo leave it out
			b, err := json.Marshal(m)
			if err != nil {
				return nil, err
			}
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(string(b))), int64(len(b))
			return resp, nil
		})}
	}
	for name, row := range map[string]struct {
		change func(*kit, *middleware.Config)
		want   string
	}{
		"as it is": {func(*kit, *middleware.Config) {}, nobody},
		"mended":   {mend, ada},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, row.change)
			k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.Without("token_type") })
			b := k.browser()
			b.back(b.approve(b.start("plain", "/p"), "ada"))
			b.is(row.want)
		})
	}
}

// The log says what happened, and holds nothing that opens anything, at any level.
func TestSeed_R21_log(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	to := b.start("idp", "/p")
	callback := b.approve(to, "ada")
	b.lands(callback, "/p", ada)
	asks(b, "idp", "/me")
	secrets := []string{query(t, callback).Get("code"), state(t, callback), b.session(), providertest.ClientSecret}
	b.inside("/p", func(ctx context.Context) {
		if tok, err := middleware.Token(ctx, "idp"); err == nil {
			secrets = append(secrets, tok.Access, tok.Refresh, tok.ID)
		}
	})
	log := k.log.String()
	if !strings.Contains(log, "signed in") {
		t.Errorf("the log does not say that somebody signed in:\n%s", log)
	}
	for i, s := range secrets {
		if s != "" && strings.Contains(log, s) {
			t.Errorf("secret %d is in the log", i)
		}
	}
}

// github is the example of the tutorial: / sends to the provider, /profile shows what its API says.
func github(k *kit) {
	k.handle("/{$}", func(w http.ResponseWriter, r *http.Request) {
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "plain"}, "/profile")
		if err != nil {
			k.t.Error(err)
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	})
	k.mux.Handle("/profile", k.auth.Require(middleware.Need{Provider: "plain"})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := middleware.Client(r.Context(), "plain").Get("/me")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	})))
}

func TestSeed_W1_W2_W3_W4_W5_webApp(t *testing.T) {
	k := newKit(t)
	github(k)
	b := k.browser()
	to := k.location(b.open(k.location(b.open("/")))) // W1
	if !strings.HasPrefix(to, k.plain.URL("/authorize")+"?") || state(t, to) == "" {
		t.Fatalf("W1: sent to %q", to)
	}
	callback := b.approve(to, "ada") // W2
	wrong := strings.Replace(callback, "state=", "state=x", 1)
	k.rejected(b.back(wrong), "state") // W3: seen to without a line in the app
	if got := k.location(b.back(callback)); got != "/profile" || k.redeems() != 1 {
		t.Errorf("W3: landed at %q after %d token requests", got, k.redeems())
	}
	if got := text(b.open("/profile")); !strings.Contains(got, ada) { // W5
		t.Errorf("W5: the profile is %s", got)
	}
	b.inside("/profile", func(ctx context.Context) { // W4
		tok, err := middleware.Token(ctx, "plain")
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range b.cookies() {
			if strings.Contains(value, tok.Access) || len(value) > 200 {
				t.Errorf("W4: cookie %s has %d bytes", name, len(value))
			}
		}
	})
}

func TestSeed_W6_insecure(t *testing.T) {
	t.Setenv("OAUTHLIB_INSECURE_TRANSPORT", "1") // means nothing here
	rows := []struct {
		name, base, token string
		ok                bool
	}{
		{"loopback address", "http://127.0.0.1:8080", "http://127.0.0.1:9000/token", true},
		{"loopback of IPv6", "http://[::1]:8080", "http://[::1]:9000/token", true},
		{"localhost", "http://localhost:8080", "http://localhost:9000/token", true},
		{"https", appURL, "https://plain.example/token", true},
		{"app over plain http", "http://app.example", "https://plain.example/token", false},
		{"a private address", "http://192.168.0.1", "https://plain.example/token", false},
		{"provider over plain http", appURL, "http://plain.example/token", false},
		{"a name that looks like loopback", appURL, "http://localhost.evil.example/token", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := &providers.OAuth2{
				ID: "plain", ClientID: "app", AuthURL: "https://plain.example/authorize", TokenURL: row.token,
				UserInfoURL: "https://plain.example/me",
			}
			_, err := middleware.New(middleware.Config{BaseURL: row.base, Providers: []providers.Provider{p}})
			if (err == nil) != row.ok {
				t.Errorf("New: %v, want success: %v", err, row.ok)
			}
		})
	}
}

// The Google variant: parameters of the provider's own, a menu, the profile, and a look at whether
// the token is good. Its two routes that refresh are in R10.
func TestSeed_W7_google(t *testing.T) {
	k := newKit(t, func(k *kit, c *middleware.Config) {
		p := k.idp.OIDC("idp")
		p.AuthParams = url.Values{"access_type": {"offline"}, "prompt": {"select_account"}}
		c.Providers = []providers.Provider{p}
	})
	k.handle("/menu", func(w http.ResponseWriter, r *http.Request) {
		if _, err := middleware.User(r.Context()); err != nil {
			_, _ = io.WriteString(w, "sign in")
			return
		}
		_, _ = io.WriteString(w, "profile, validate")
	})
	for path, api := range map[string]string{"/profile": "/userinfo", "/validate": "/userinfo"} {
		k.handle(path, func(w http.ResponseWriter, r *http.Request) {
			resp, err := middleware.Client(r.Context(), "").Get(api)
			if err != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
		})
	}
	b := k.browser()
	if got := text(b.open("/menu")); got != "sign in" {
		t.Errorf("menu %q", got)
	}
	if got := b.open("/validate").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("validate: status %d, want 401", got)
	}
	to := b.start("idp", "/menu")
	if q := query(t, to); q.Get("access_type") != "offline" || q.Get("prompt") != "select_account" {
		t.Errorf("access_type %q, prompt %q", q.Get("access_type"), q.Get("prompt"))
	}
	b.lands(b.approve(to, "ada"), "/menu", ada)
	if got := text(b.open("/menu")); got != "profile, validate" {
		t.Errorf("menu %q", got)
	}
	if got := text(b.open("/profile")); !strings.Contains(got, "ada@practice.example") {
		t.Errorf("profile %q", got)
	}
	if got := b.open("/validate").StatusCode; got != http.StatusOK {
		t.Errorf("validate: status %d, want 200", got)
	}
}
