package middleware_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// What people did with Flask-OAuth, by the rows of its check list. docs/coming-from.md has those
// that a Go kit does otherwise.

// roundTrip is a transport that is a function.
type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// withAPI gives the provider "plain" an API at https://api.example/v1/, which f answers.
func withAPI(f http.HandlerFunc) func(*kit, *middleware.Config) {
	return func(k *kit, c *middleware.Config) {
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if !strings.EqualFold(r.URL.Hostname(), "api.example") {
				return k.RoundTrip(r)
			}
			w := httptest.NewRecorder()
			f(w, r)
			return w.Result(), nil
		})}
		p := k.plain.OAuth2("plain")
		p.APIBase = "https://api.example/v1/"
		c.Providers = []providers.Provider{k.idp.OIDC("idp"), p}
	}
}

func TestSeed_F1_F6_F25_F27_F29_connections(t *testing.T) {
	k := newKit(t, func(k *kit, c *middleware.Config) {
		app := k.idp.OIDC("idp-app") // the same service once more, under a name of its own
		c.Providers = append(c.Providers, app)
	})
	b := k.browser()
	sees := func(row, provider string, want error) (access string) {
		t.Helper()
		b.inside("/p", func(ctx context.Context) {
			tok, err := middleware.Token(ctx, provider)
			if !errors.Is(err, want) {
				t.Errorf("%s: token of %q: %v, want %v", row, provider, err, want)
			}
			if err == nil {
				access = tok.Access
			}
		})
		return access
	}
	sees("F29 nobody", "idp", middleware.ErrSignedOut)
	b.signIn("idp", "ada", "/p")
	sees("F29 other provider", "plain", middleware.ErrNotConnected)
	sees("F1 unknown name", "myspace", middleware.ErrNotConnected)
	for _, name := range []string{"plain", "idp-app"} {
		login := k.location(b.post("/auth/"+name+"/login", url.Values{"purpose": {"link"}, "return_to": {"/p"}}))
		b.lands(b.approve(login, "ada"), "/p", ada)
	}
	seen := map[string]bool{}
	for _, name := range []string{"idp", "plain", "idp-app"} {
		if access := sees("F6, F25, F27", name, nil); access == "" || seen[access] {
			t.Errorf("%s has no token of its own", name)
		} else {
			seen[access] = true
		}
		if got := asks(b, name, "/me"); !strings.Contains(got, ada) {
			t.Errorf("F6: the API of %s says %s", name, got)
		}
	}
	link := url.Values{"purpose": {"link"}, "return_to": {"/p"}, "label": {"work"}} // F27: another account at one provider
	b.lands(b.approve(k.location(b.post("/auth/plain/login", link)), "grace"), "/p", ada)
	b.inside("/p", func(ctx context.Context) {
		work, err := middleware.Token(middleware.WithConnection(ctx, "work"), "plain")
		if err != nil || seen[work.Access] {
			t.Errorf("F27: the token of a label: %v", err)
		}
		resp, err := middleware.Client(middleware.WithConnection(ctx, "work"), "plain").Get("/me")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if got := text(resp); !strings.Contains(got, grace) {
			t.Errorf("F27: the API says %s", got)
		}
	})
	if got := b.open("/auth/myspace/login").StatusCode; got != http.StatusNotFound {
		t.Errorf("F1: status %d for an unknown name, want 404", got)
	}
}

func TestSeed_F3_F12_F22_F26_config(t *testing.T) {
	good := func() middleware.Config {
		p := &providers.OAuth2{
			ID: "plain", ClientID: "app", AuthURL: "https://plain.example/authorize", TokenURL: "https://plain.example/token",
			UserInfoURL: "https://plain.example/me",
		}
		return middleware.Config{BaseURL: appURL, Providers: []providers.Provider{p}}
	}
	rows := []struct {
		name   string
		change func(*middleware.Config)
		want   string // in the error; "" is none
	}{
		{"F26 nothing to fetch tokens with is needed", func(*middleware.Config) {}, ""},
		{"F3 name used twice", func(c *middleware.Config) { c.Providers = append(c.Providers, c.Providers[0]) }, "used twice"},
		{"F12 no address to come back to", func(c *middleware.Config) { c.BaseURL = "" }, "BaseURL"},
		{"F22 unknown way to send the secret", func(c *middleware.Config) {
			c.Providers[0].(*providers.OAuth2).AuthMethod = "GET"
		}, "AuthMethod"},
		{"every mistake at once", func(c *middleware.Config) { c.BaseURL, c.Providers = "", nil }, "Providers"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := good()
			row.change(&cfg)
			auth, err := middleware.New(cfg)
			if (err == nil) != (row.want == "") || (auth != nil) != (err == nil) {
				t.Fatalf("New: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("New: %v, want a mistake of %s", err, row.want)
			}
		})
	}
}

func TestSeed_F7_origins(t *testing.T) {
	rows := []struct {
		name, target string
		want         string // where it goes; "" is ErrOrigin
	}{
		{"relative", "videos?page=2", "https://api.example/v1/videos?page=2"},
		{"absolute path", "/v2/videos", "https://api.example/v2/videos"},
		{"dots", "../v2/videos", "https://api.example/v2/videos"},
		{"absolute URL of the API", "https://api.example/v3", "https://api.example/v3"},
		{"its port spelled out", "https://API.example:443/v3", "https://API.example:443/v3"},
		{"another host", "https://evil.example/v1/videos", ""},
		{"without a scheme", "//evil.example/videos", ""},
		{"another port", "https://api.example:8443/videos", ""},
		{"plain http", "http://api.example/videos", ""},
		{"a longer name", "https://api.example.evil.example/", ""},
		{"a user name in front", "https://api.example@evil.example/", ""},
		{"somebody's password", "https://a:b@api.example/", ""},
	}
	var sent []*http.Request
	k := newKit(t, withAPI(func(w http.ResponseWriter, r *http.Request) { sent = append(sent, r) }))
	b := k.browser()
	b.signIn("plain", "ada", "/p")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			sent = nil
			b.inside("/p", func(ctx context.Context) {
				resp, err := middleware.Client(ctx, "plain").Get(row.target)
				if row.want == "" {
					if !errors.Is(err, middleware.ErrOrigin) || len(sent) > 0 {
						t.Errorf("%v and %d requests, want ErrOrigin and none", err, len(sent))
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := sent[0].URL.String(); got != row.want || sent[0].Header.Get("Authorization") == "" {
					t.Errorf("went to %s, want %s", got, row.want)
				}
			})
		})
	}
}

func TestSeed_F8_F11_F13_F14_start(t *testing.T) {
	k := newKit(t)
	starts := []struct {
		name    string
		request func(b *browser) *http.Request
		lands   string
	}{
		{"F8 link", func(b *browser) *http.Request {
			return b.request(http.MethodGet, "/auth/plain/login", nil)
		}, "/"},
		{"F14 next", func(b *browser) *http.Request {
			return b.request(http.MethodGet, "/auth/plain/login?return_to=/videos?page%3D2", nil)
		}, "/videos?page=2"},
		{"F14 referrer", func(b *browser) *http.Request {
			return with(b.request(http.MethodGet, "/auth/plain/login", nil), map[string]string{"Referer": appURL + "/videos"})
		}, "/videos"},
		{"F14 next of another site", func(b *browser) *http.Request {
			return b.request(http.MethodGet, "/auth/plain/login?return_to=https://evil.example/", nil)
		}, "/"},
		{"F14 referrer of another site", func(b *browser) *http.Request {
			return with(b.request(http.MethodGet, "/auth/plain/login", nil), map[string]string{"Referer": "https://evil.example/videos"})
		}, "/"},
		{"F13 another Host", func(b *browser) *http.Request {
			r := with(b.request(http.MethodGet, "/auth/plain/login", nil), map[string]string{"X-Forwarded-Host": "evil.example"})
			r.Host = "evil.example"
			return r
		}, "/"},
	}
	for _, row := range starts {
		t.Run(row.name, func(t *testing.T) {
			b := k.browser()
			to := k.location(b.do(row.request(b)))
			q := query(t, to)
			want := map[string]string{ // F11
				"response_type": "code", "client_id": providertest.ClientID, "scope": "videos",
				"redirect_uri": appURL + "/auth/plain/callback", "code_challenge_method": "S256",
			}
			for name, v := range want {
				if got := q.Get(name); got != v {
					t.Errorf("%s %q, want %q", name, got, v)
				}
			}
			if q.Get("state") == "" || q.Get("code_challenge") == "" {
				t.Error("no state or no challenge")
			}
			b.lands(b.approve(to, "ada"), row.lands, ada)
		})
	}
}

// The flow says how an answer is read, its parameters do not.
func TestSeed_F16_dispatch(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	callback := b.approve(b.start("plain", "/p"), "ada")
	b.lands(callback+"&oauth_verifier=1234&oauth_token=abcd&denied=abcd", "/p", ada)
	other := k.browser()
	callback = other.approve(other.start("plain", "/p"), "ada")
	k.rejected(other.back(strings.Replace(callback, "/plain/", "/idp/", 1)), "provider_path")
	other.lands(callback, "/p", ada)
}

func TestSeed_F17_denied(t *testing.T) {
	var seen []*middleware.Problem
	k := newKit(t, problems(&seen))
	k.plain.Set(func(b *providertest.Behavior) {
		b.Answer = func(q url.Values) { // as Facebook says it
			q.Set("error_description", "The user denied your request.")
			q.Set("error_reason", "user_denied")
		}
	})
	b := k.browser()
	resp := b.back(b.deny(b.start("plain", "/p"), "ada"))
	if len(seen) != 1 {
		t.Fatalf("%d problems, want 1; status %d", len(seen), resp.StatusCode)
	}
	p := seen[0]
	if p.Reason != middleware.ReasonDenied || p.ProviderCode != "access_denied" || p.Provider != "plain" || p.BackURL != "/p" {
		t.Errorf("problem %v of %q, code %q, back to %q", p.Reason, p.Provider, p.ProviderCode, p.BackURL)
	}
	var said *providers.Error
	if !errors.As(p, &said) || said.Code != "access_denied" || said.Description != "The user denied your request." {
		t.Errorf("the provider's words: %+v", said)
	}
	b.is(nobody)
}

func TestSeed_F18_success(t *testing.T) {
	k := newKit(t)
	var access string
	k.onLogin(func(c loginContext) error {
		var raw struct{ URI, Name string }
		if err := json.Unmarshal(c.login.Account.Identity.Claims, &raw); err != nil || raw.URI != "/users/ada" || raw.Name != ada {
			t.Errorf("the provider's answer: %+v, %v", raw, err)
		}
		access = c.login.Token.Access
		return nil
	})
	k.browser().signIn("plain", "ada", "/p")
	if access == "" {
		t.Error("no token")
	}
}

// A code that was sent is spent, also when the exchange failed.
func TestSeed_F19_spent(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			k := newKit(t)
			k.provider(provider).Set(func(b *providertest.Behavior) {
				b.Token = providertest.First(1, providertest.Respond(503, "text/html", "down"))
			})
			b := k.browser()
			callback := b.approve(b.start(provider, "/p"), "ada")
			for range 3 {
				if got := b.back(callback).StatusCode; got != http.StatusServiceUnavailable {
					t.Errorf("status %d, want 503", got)
				}
			}
			if k.redeems() != 1 {
				t.Errorf("%d token requests, want 1", k.redeems())
			}
			b.signIn(provider, "ada", "/p")
		})
	}
}

// A sign-in that is under way leaves nothing behind that could be taken for a token, or must be freed.
func TestSeed_F28_F30_nothingTemporary(t *testing.T) {
	k := newArena(t, false)
	b := k.browser()
	for range 10 {
		b.start("plain", "/p")
	}
	if got := k.shelf.dump(); got != "" {
		t.Errorf("the store has\n%s", got)
	}
	b.inside("/p", func(ctx context.Context) {
		if _, err := middleware.Token(ctx, "plain"); !errors.Is(err, middleware.ErrSignedOut) {
			t.Errorf("token: %v", err)
		}
	})
	if got := b.bindings(); len(got) != 1 {
		t.Errorf("binding cookies %v, want one", got)
	}
}

// Whatever is asked of a provider goes through the app's client, and what an API client is made of
// serves any other library.
func TestSeed_F31_R5_R15_R20_client(t *testing.T) {
	var seen []string
	k := newKit(t, func(k *kit, c *middleware.Config) {
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			seen = append(seen, r.Method+" "+r.URL.Path)
			r = r.Clone(r.Context())
			r.Header.Set("User-Agent", "library/1.0")
			return k.RoundTrip(r)
		})}
	})
	b := k.browser()
	b.signIn("plain", "ada", "/p")
	b.inside("/p", func(ctx context.Context) {
		library := &http.Client{Transport: middleware.Client(ctx, "plain").Transport}
		resp, err := library.Get("https://plain.example/me/videos")
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	})
	want := []string{"POST /token", "GET /me", "GET /me/videos"}
	if !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
	for _, r := range k.plain.Ledger().Requests {
		if slices.Contains(want, r.Method+" "+r.URL) && r.Header.Get("User-Agent") != "library/1.0" {
			t.Errorf("%s %s is not as the app's client changed it", r.Method, r.URL)
		}
	}
}

func TestSeed_F32_F33_F34_F35_F36_F37_F39_requests(t *testing.T) {
	form := url.Values{"tag": {"a", "b"}, "q": {"é &"}}
	const api = "https://api.example/v1/videos"
	rows := []struct {
		name, method, target, kind string
		body                       io.Reader
		want                       string // body
	}{
		{"F32 GET", http.MethodGet, "videos", "", nil, ""},
		{"F32 HEAD", http.MethodHead, "videos", "", nil, ""},
		{"F32 DELETE", http.MethodDelete, "videos", "", nil, ""},
		{"F32 POST", http.MethodPost, "videos", "", nil, ""},
		{"F34 query", http.MethodGet, "videos?page=1&" + form.Encode(), "", nil, ""},
		{"F35 form", http.MethodPost, "videos", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), form.Encode()},
		{"F36 JSON", http.MethodPatch, "videos", "application/json", strings.NewReader("{}"), "{}"},
		{"F37 XML", http.MethodPut, "videos", "text/xml; charset=utf-8", strings.NewReader("<v/>"), "<v/>"},
		{"F37 raw, without a type", http.MethodPut, "videos", "", strings.NewReader("\x00\xff"), "\x00\xff"},
	}
	var sent *http.Request
	var body string
	k := newKit(t, withAPI(func(w http.ResponseWriter, r *http.Request) {
		sent = r
		if r.Body != nil {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
		}
	}))
	b := k.browser()
	b.signIn("plain", "ada", "/p")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			sent, body = nil, ""
			r, err := http.NewRequestWithContext(t.Context(), row.method, row.target, row.body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("X-Own", "kept")
			if row.kind != "" {
				r.Header.Set("Content-Type", row.kind)
			}
			b.inside("/p", func(ctx context.Context) {
				resp, err := middleware.Client(ctx, "plain").Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			})
			if sent.Method != row.method || !strings.HasPrefix(sent.URL.String(), api) || sent.URL.RawQuery != r.URL.RawQuery || body != row.want {
				t.Errorf("%s %s with %q", sent.Method, sent.URL, body)
			}
			h := sent.Header
			if !strings.HasPrefix(h.Get("Authorization"), "Bearer ") || h.Get("X-Own") != "kept" || h.Get("Content-Type") != row.kind {
				t.Errorf("header: type %q, own %q", h.Get("Content-Type"), h.Get("X-Own"))
			}
			if len(r.Header.Values("Authorization")) > 0 { // F39
				t.Error("the caller's request has the token in it")
			}
		})
	}
}

func TestSeed_F37_upload(t *testing.T) {
	read := 0
	k := newKit(t, withAPI(func(w http.ResponseWriter, r *http.Request) {
		if read > 0 {
			t.Errorf("%d bytes were read before the API asked for one", read)
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}))
	b := k.browser()
	b.signIn("plain", "ada", "/p")
	b.inside("/p", func(ctx context.Context) {
		file := readFunc(func(p []byte) (int, error) { read += len(p); return len(p), nil }) // has no end
		resp, err := middleware.Client(ctx, "plain").Post("videos", "video/mp4", file)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestSeed_F40_F41_F42_F43_F44_F45_F46_F47_answers(t *testing.T) {
	type node struct {
		XMLName xml.Name
		Name    string `xml:"name"`
	}
	asJSON := func(b []byte) string {
		var v struct{ Name string }
		return fmt.Sprint(json.Unmarshal(b, &v), " ", v.Name)
	}
	asXML := func(b []byte) string {
		var v node
		return fmt.Sprint(xml.Unmarshal(b, &v), " ", v.Name)
	}
	asForm := func(b []byte) string {
		v, err := url.ParseQuery(string(b))
		return fmt.Sprint(err, " ", v.Get("name"))
	}
	raw := func(b []byte) string { return string(b) }
	rows := []struct {
		name   string
		status int
		kind   string
		body   string
		decode func([]byte) string
		want   string
	}{
		{"F40 JSON", 200, "application/json; charset=utf-8", `{"name":"Ada"}`, asJSON, "<nil> Ada"},
		{"F40 JavaScript", 200, "text/javascript", `{"name":"Ada"}`, asJSON, "<nil> Ada"},
		{"F41 XML", 200, "application/xml", `<user><name>Ada</name></user>`, asXML, "<nil> Ada"},
		{"F42 form", 200, "application/x-www-form-urlencoded", `name=Ada&name=Grace`, asForm, "<nil> Ada"},
		{"F43 anything else", 200, "video/mp4", "\x00\xff", raw, "\x00\xff"},
		{"F44 no type", 200, "", "Ada", raw, "Ada"},
		{"F46 201", 201, "application/json", `{"name":"Ada"}`, asJSON, "<nil> Ada"},
		{"F46 204", 204, "", "", raw, ""},
		{"F47 403 is an answer", 403, "application/json", `{"name":"no"}`, asJSON, "<nil> no"},
		{"F47 500 is an answer", 500, "text/html", "down", raw, "down"},
	}
	var status int
	var kind, body string
	k := newKit(t, withAPI(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.Header().Set("X-Rate", "9")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	b := k.browser()
	b.signIn("plain", "ada", "/p")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			status, kind, body = row.status, row.kind, row.body
			b.inside("/p", func(ctx context.Context) {
				resp, err := middleware.Client(ctx, "plain").Get("me")
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil || row.decode(got) != row.want {
					t.Errorf("%q, %v, want %q", row.decode(got), err, row.want)
				}
				// F45
				if resp.StatusCode != row.status || resp.Header.Get("Content-Type") != row.kind || resp.Header.Get("X-Rate") != "9" {
					t.Errorf("status %d, header %v", resp.StatusCode, resp.Header)
				}
			})
		})
	}
}
