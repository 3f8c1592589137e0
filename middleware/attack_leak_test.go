package middleware_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Group M of the attacks, what leaks through the browser, and 160 and 161 of group Q, what leaks
// into logs and errors. Invariant 10.

var bases = []string{appURL, "http://127.0.0.1:8080"}

func eachJourney(t *testing.T, f func(t *testing.T, k *kit, j *journey)) {
	for _, base := range bases {
		for _, provider := range []string{"idp", "plain"} {
			t.Run(provider+" "+base, func(t *testing.T) {
				k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = base })
				f(t, k, travel(k, base, provider))
			})
		}
	}
}

var (
	resource = regexp.MustCompile(`(?i)<(script|img|iframe|link|object|embed|video|audio|source|base)\b|\bsrc=|url\(|@import|https?://|//[a-z]`)
	outcomes = []string{
		"no state", "state of nobody", "malformed", "denied", "token endpoint fails", "token endpoint is down", "token is no token",
		"answer refused", "other door", "signed in", "reload", "astray", "step-up denied", "stepped up", "linked", "reload, signed out",
	}
)

func TestAttack_M140_headers(t *testing.T) { // RFC 6749, section 3.1.2.5; RFC 9700, sections 4.2.4, 4.3 and 4.16; ASVS 3.4.5, 3.4.6
	eachJourney(t, func(t *testing.T, k *kit, j *journey) {
		met := map[string]bool{}
		for _, s := range j.seen {
			if !s.ours {
				continue
			}
			met[s.what] = true
			h := s.Header
			if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(fmt.Sprint(h["Vary"]), "Cookie") {
				t.Errorf("%s: headers %v", s.what, h)
			}
			to, page := h.Get("Location"), strings.ReplaceAll(text(s.Response), j.base, "") // a hint for developers names it
			if j.base != appURL {                                                           // what the provider says, and the URLs that it has, are named to a developer, as text
				before, hints, _ := strings.Cut(page, "<h2>For developers</h2>")
				hints, after, _ := strings.Cut(hints, "</section>")
				if regexp.MustCompile(`<(?:[^/lu]|/[^lu]|[lu][^il])`).MatchString(hints) {
					t.Errorf("%s: the hints are more than text: %s", s.what, hints)
				}
				for _, secret := range s.secret {
					if secret != "The person said no" && strings.Contains(hints, secret) {
						t.Errorf("%s: %q is in the hints", s.what, secret)
					}
				}
				page = before + after
			}
			for _, secret := range s.secret {
				if strings.Contains(to, secret) || strings.Contains(page, secret) || strings.Contains(to, url.QueryEscape(secret)) {
					t.Errorf("%s: %q is repeated", s.what, secret)
				}
			}
			switch {
			case to != "":
				if s.StatusCode != http.StatusSeeOther || page != "" {
					t.Errorf("%s: status %d, body %q", s.what, s.StatusCode, page)
				}
				if strings.HasPrefix(to, "/") && regexp.MustCompile(`[?&](code|state|iss|error)=`).MatchString(to) {
					t.Errorf("%s: sent to %s", s.what, to)
				}
			case s.what == "status":
				if h.Get("Content-Type") != "application/json" || h.Get("X-Content-Type-Options") != "nosniff" ||
					h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
					t.Errorf("%s: headers %v", s.what, h)
				}
			default:
				csp := h.Get("Content-Security-Policy")
				if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "base-uri 'none'") ||
					h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != "text/html; charset=utf-8" ||
					h.Get("X-Frame-Options") != "DENY" || h.Get("Cross-Origin-Opener-Policy") != "same-origin-allow-popups" {
					t.Errorf("%s: headers %v", s.what, h)
				}
				if found := resource.FindString(page); found != "" {
					t.Errorf("%s: the page has %q", s.what, found)
				}
			}
		}
		for _, what := range outcomes {
			if !met[what] {
				t.Errorf("%q was not met", what)
			}
		}
	})
	t.Run("140 problem documents", func(t *testing.T) {
		k := newArena(t, false)
		for _, dest := range []string{"empty", "iframe", "image", "script"} {
			r := k.browser().callback("/auth/idp/callback?code=some-secret-code&state=made-up-state")
			r.Header.Set("Sec-Fetch-Dest", dest)
			r.Header.Set("Sec-Fetch-Mode", map[bool]string{true: "navigate", false: "no-cors"}[dest == "iframe"])
			k.rejects(r, "state")
			h := k.serve(r).Header
			if h.Get("Content-Type") != "application/problem+json" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", h)
			}
		}
	})
	t.Run("140 Strict", func(t *testing.T) { // the page that loads itself again
		sessions := scs.New()
		sessions.Cookie.SameSite = http.SameSiteStrictMode
		k := newArena(t, true, func(_ *kit, c *middleware.Config) { c.Sessions = sessions })
		b := k.browser()
		callback := b.approve(b.start("idp", "/gated/s"), "ada")
		for range 2 {
			resp := k.serve(b.callback(callback))
			h, page := resp.Header, text(resp)
			if resp.StatusCode != 200 || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" ||
				!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'; frame-ancestors 'none'") || strings.Contains(page, "code") || len(resp.Cookies()) > 0 {
				t.Errorf("status %d, headers %v, page %s", resp.StatusCode, h, page)
			}
		}
		if k.redeems() != 0 {
			t.Error("the page before the callback redeems")
		}
		if got := k.location(b.open(callback)); got != "/gated/s" { // same-origin now
			t.Errorf("landed at %q", got)
		}
	})
}

func TestAttack_M142_cache(t *testing.T) { // ASVS 14.3.2
	k := newArena(t, false)
	k.handle("/static", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, "static")
	})
	k.handle("/personal", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		k.auth.Sessions().GetString(r.Context(), "cart")
	})
	k.handle("/write", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60")
		k.auth.Sessions().Put(r.Context(), "cart", "book")
	})
	b := k.browser()
	rows := []struct{ path, cache, vary string }{
		{"/static", "public, max-age=60", "[]"},
		{"/personal", "", "[Accept-Encoding Cookie]"},
		{"/whoami", "", "[Cookie]"},
		{"/write", "no-store", "[Cookie]"}, // it sets a cookie
		{"/static", "public, max-age=60", "[]"},
		{"/gated/x", "no-store", "[Cookie]"},
	}
	for _, row := range rows {
		resp := b.open(row.path)
		if got := fmt.Sprint(resp.Header["Vary"]); resp.Header.Get("Cache-Control") != row.cache || got != row.vary {
			t.Errorf("142 %s: Cache-Control %q, Vary %s; want %q, %s", row.path, resp.Header.Get("Cache-Control"), got, row.cache, row.vary)
		}
	}
}

// recorder keeps the bodies of token answers that pass through it.
type recorder struct {
	http.RoundTripper
	mu     sync.Mutex
	tokens []string
}

func (c *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err != nil || r.URL.Path != "/token" {
		return resp, err
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	var m map[string]any
	if json.Unmarshal(b, &m) == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if s, ok := m[name].(string); ok {
				c.tokens = append(c.tokens, s)
			}
		}
	}
	return resp, nil
}

const (
	canary     = "canary-client-secret-3f9a"
	tokenValue = "canary-access-token"
)

func TestAttack_Q160_canary(t *testing.T) { // mod_auth_openidc 08/07 and 07/28/2026; ASVS 16.2.5, 14.2.1
	for _, base := range bases {
		for _, provider := range []string{"idp", "plain"} {
			t.Run("160 "+provider+" "+base, func(t *testing.T) {
				var problems []*middleware.Problem
				rec := &recorder{}
				keys := sessionstore.NewKeyring()
				k := newKit(t, func(k *kit, c *middleware.Config) {
					clients := []providertest.Client{{ID: "app", Secret: canary}}
					k.idp = providertest.New(providertest.Config{Issuer: "https://idp.example", Clients: clients})
					k.plain = providertest.New(providertest.Config{Issuer: "https://plain.example", Clients: clients})
					c.Providers = []providers.Provider{k.idp.OIDC("idp"), k.plain.OAuth2("plain")}
					c.BaseURL, c.Store, c.Keys = base, newShelf(&sessionstore.Memory{}), keys
					rec.RoundTripper = k
					c.HTTPClient = &http.Client{Transport: rec}
					c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, p *middleware.Problem) {
						problems = append(problems, p)
						w.WriteHeader(p.Status)
					}
				})
				j := travel(k, base, provider)
				if err := k.auth.Close(t.Context()); err != nil {
					t.Fatal(err)
				}

				markers := map[string]string{canary: "client secret", string(keys[0].Secret): "key", b64(string(keys[0].Secret)): "key"}
				inURL := map[string]bool{} // at the provider they are meant to be seen
				mark := func(kind string, values ...string) {
					for _, v := range values {
						if len(v) >= 8 {
							markers[v] = kind
						}
					}
				}
				for _, s := range []*providertest.Server{k.idp, k.plain} {
					l := s.Ledger()
					for _, c := range l.Codes {
						mark("code", c.Code)
					}
					for _, r := range l.Of("authorize") {
						for _, name := range []string{"state", "nonce", "code_challenge"} {
							mark(name, r.Query.Get(name))
							inURL[r.Query.Get(name)] = true
						}
					}
					for _, r := range l.Of("token") {
						mark("verifier", r.Form.Get("code_verifier"))
						mark("client authentication", strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "))
					}
				}
				mark("token", rec.tokens...)
				for _, s := range j.seen {
					for _, c := range s.Cookies() {
						mark("cookie", strings.Split(c.Value, ".")...)
						mark("cookie", c.Value)
					}
				}
				kinds := map[string]int{}
				for _, kind := range markers {
					kinds[kind]++
				}
				for _, kind := range []string{"code", "state", "verifier", "token", "cookie", "code_challenge", "client authentication"} {
					if kinds[kind] == 0 {
						t.Fatalf("no %s to look for: %v", kind, kinds)
					}
				}

				look := func(where, what string) {
					for marker, kind := range markers {
						if strings.Contains(what, marker) {
							t.Errorf("%s has a %s: %s", where, kind, what)
						}
					}
				}
				look("the log", k.log.String())
				for _, p := range problems {
					look("a problem", printed(t, p))
					for err := error(p); err != nil; err = errors.Unwrap(err) {
						look("an error", err.Error()+fmt.Sprintf(" %+v %#v", err, err))
					}
				}
				if len(problems) < 8 {
					t.Errorf("only %d problems", len(problems))
				}
				for _, s := range j.seen {
					look(s.what+": the body", text(s.Response))
					for name, vs := range s.Header {
						to := strings.Join(vs, "\n")
						if name == "Set-Cookie" {
							continue
						}
						if name == "Location" && strings.HasPrefix(to, "https://") {
							for marker := range inURL {
								to = strings.ReplaceAll(to, marker, "")
							}
						}
						look(s.what+": "+name, to)
					}
				}
			})
		}
	}
}

func TestAttack_Q161_printed(t *testing.T) { // ASVS 16.5.1
	keys := sessionstore.NewKeyring()
	sessions := scs.New()
	var config middleware.Config
	var login middleware.Login
	k := newKit(t, func(k *kit, c *middleware.Config) {
		p := k.idp.OIDC("idp")
		p.ClientSecret = canary
		c.Providers = []providers.Provider{p, &providers.OAuth2{
			ID: "plain", ClientID: "app", ClientSecret: canary, AuthURL: "https://plain.example/a", TokenURL: "https://plain.example/t", UserInfoURL: "https://plain.example/u",
		}}
		c.Keys, c.Sessions, c.Store = keys, sessions, newShelf(&sessionstore.Memory{})
		config = *c
	})
	login = middleware.Login{
		Account: &middleware.Account{ID: "user-1", Identity: providers.Identity{Issuer: "https://idp.example", Subject: "s"}, FirstSeen: time.Now()},
		Token:   &providers.Token{Access: tokenValue, Refresh: tokenValue, ID: tokenValue},
	}
	cause := fmt.Errorf("app: %w", middleware.ErrNotSaved)
	values := map[string]any{
		"config": config, "*config": &config, "auth": k.auth, "login": login, "*login": &login, "account": login.Account, "token": login.Token,
		"problem": &middleware.Problem{Status: 400, Reason: middleware.ReasonState}, "error": cause, "struct": struct{ A *middleware.Auth }{k.auth},
		"slice": []any{k.auth, config, login},
	}
	secret := string(keys[0].Secret)
	decimal, hexa := strings.Trim(fmt.Sprint([]byte(secret[:6])), "[]"), fmt.Sprintf("%x", secret[:6])
	for name, v := range values {
		all := printed(t, v)
		for _, marker := range []string{canary, tokenValue, secret, secret[:8], decimal, hexa, b64(secret)} {
			if strings.Contains(all, marker) {
				t.Errorf("161 %s shows %q:\n%s", name, marker, all)
			}
		}
		// Nor 32 bytes of anything, such as a key that was derived.
		if found := regexp.MustCompile(`(\d{1,3} ){31}\d{1,3}|(0x[0-9a-f]{1,2}, ){15}`).FindString(all); found != "" {
			t.Errorf("161 %s shows bytes %s", name, found)
		}
	}
}

// A context is printed more often than anything else, and a response writer now and then.
func TestAttack_Q161_context(t *testing.T) { // ASVS 16.5.1
	k := newKit(t)
	b := k.browser()
	b.signIn("idp", "ada", "/")
	sid, secret, _ := strings.Cut(b.session(), ".")
	k.handle("/print", func(w http.ResponseWriter, r *http.Request) {
		_ = k.auth.Sessions().Keys(r.Context())
		type key struct{}
		ctx := context.WithValue(r.Context(), key{}, "value")
		for name, v := range map[string]any{"context": r.Context(), "one of it": ctx, "writer": w} {
			if all := printed(t, v); strings.Contains(all, secret) || strings.Contains(all, sid) {
				t.Errorf("161 %s shows the cookie:\n%s", name, all)
			}
		}
	})
	b.open("/print")
}

// printed returns v in every form in which a program may write it down by mistake.
func printed(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	if j, err := json.Marshal(v); err == nil {
		b.Write(j)
	} else {
		b.WriteString(err.Error())
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Log(context.Background(), slog.LevelInfo, "printed", slog.Any("v", v))
	}
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		b.WriteString(err.Error())
	}
	return b.String()
}
