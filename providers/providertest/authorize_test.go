package providertest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers/providertest"
)

// good is an authorization request without fault.
func good() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {providertest.ClientID}, "redirect_uri": {callback},
		"scope": {"openid videos"}, "state": {"state-1"}, "nonce": {"nonce-1"},
		"code_challenge": {strings.Repeat("c", 43)}, "code_challenge_method": {"S256"},
	}
}

// open sends an authorization request and follows nothing.
func open(t *testing.T, s *providertest.Server, c *http.Client, query string) (status int, location *url.URL, body string) {
	t.Helper()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.Get(s.URL("/authorize?" + query))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(resp.Header.Get("Location"))
	return resp.StatusCode, u, string(b)
}

func TestAuthorizeNeverRedirectsToTheUnknown(t *testing.T) {
	set := func(name, v string) func(url.Values) { return func(q url.Values) { q.Set(name, v) } }
	for _, row := range []struct {
		name   string
		change func(url.Values)
	}{
		{"no client", func(q url.Values) { q.Del("client_id") }},
		{"unknown client", set("client_id", "nobody")},
		{"client twice", func(q url.Values) { q.Add("client_id", providertest.ClientID) }},
		{"no redirect URI", func(q url.Values) { q.Del("redirect_uri") }},
		{"redirect URI twice", func(q url.Values) { q.Add("redirect_uri", callback) }},
		{"real host", set("redirect_uri", "https://app.real-host.com/callback")},
		{"host that only looks reserved", set("redirect_uri", "https://notexample/callback")},
		{"loopback as user", set("redirect_uri", "http://127.0.0.1@real-host.com/")},
		{"fragment", set("redirect_uri", "https://app.example/#x")},
		{"javascript", set("redirect_uri", "javascript:alert(1)//example")},
		{"scheme-relative", set("redirect_uri", "//app.example/callback")},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := providertest.New(providertest.Config{})
			s.SignInAs("ada") // who would be redirected at once
			q := good()
			row.change(q)
			status, to, body := open(t, s, s.Client(), q.Encode())
			if status != 400 || to.String() != "" || !strings.Contains(body, "cannot be answered") {
				t.Errorf("got %d to %q", status, to)
			}
		})
	}
}

func TestRegisteredRedirectsAreExact(t *testing.T) {
	s := providertest.New(providertest.Config{Clients: []providertest.Client{{ID: "app", Redirects: []string{"https://app.example/cb"}}}})
	s.SignInAs("ada")
	for uri, want := range map[string]int{
		"https://app.example/cb":     303,
		"https://app.example/cb/":    400,
		"https://app.example/cb?x=1": 400,
		"https://APP.example/cb":     400,
		"http://127.0.0.1/cb":        400,
	} {
		q := good()
		q.Set("client_id", "app")
		q.Set("redirect_uri", uri)
		if got, _, _ := open(t, s, s.Client(), q.Encode()); got != want {
			t.Errorf("%s: got %d, want %d", uri, got, want)
		}
	}
}

func TestAuthorizeTellsTheClient(t *testing.T) {
	set := func(name, v string) func(url.Values) { return func(q url.Values) { q.Set(name, v) } }
	for _, row := range []struct {
		name   string
		change func(url.Values)
		want   string
	}{
		{"no response_type", func(q url.Values) { q.Del("response_type") }, "invalid_request"},
		{"implicit", set("response_type", "token"), "unsupported_response_type"},
		{"no PKCE", func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		{"plain PKCE", set("code_challenge_method", "plain"), "invalid_request"},
		{"scope twice", func(q url.Values) { q.Add("scope", "admin") }, "invalid_request"},
		{"request object", set("request", "e30."), "request_not_supported"},
		{"request_uri", set("request_uri", "https://app.example/r"), "request_uri_not_supported"},
		{"response_mode fragment", set("response_mode", "fragment"), "invalid_request"},
		{"max_age negative", set("max_age", "-1"), "invalid_request"},
		{"prompt none and login", set("prompt", "none login"), "invalid_request"},
		{"prompt none, nobody there", set("prompt", "none"), "login_required"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := providertest.New(providertest.Config{})
			q := good()
			row.change(q)
			status, to, _ := open(t, s, s.Client(), q.Encode())
			got := to.Query()
			if status != 303 || got.Get("error") != row.want || got.Get("state") != "state-1" || got.Get("iss") != s.Issuer() || got.Has("code") {
				t.Errorf("got %d %v, want %s", status, got, row.want)
			}
			if e := s.Ledger().Of("authorize")[0]; e.Error != row.want || e.Client != providertest.ClientID || e.Status != 303 {
				t.Errorf("ledger: got %+v", e)
			}
		})
	}
}

// A person who is remembered: what the app asks for decides whether they see a page.
func TestRemembered(t *testing.T) {
	for _, row := range []struct {
		name  string
		query string // beside the good ones
		after time.Duration
		want  string // "code", an error, "sign-in" or "consent"
	}{
		{"at once", "", 0, "code"},
		{"prompt none", "prompt=none", 0, "code"},
		{"prompt login", "prompt=login", 0, "sign-in"},
		{"prompt select_account", "prompt=select_account", 0, "sign-in"},
		{"prompt consent", "prompt=consent", 0, "consent"},
		{"more scopes", "scope=openid+videos+email", 0, "consent"},
		{"more scopes, prompt none", "scope=openid+videos+email&prompt=none", 0, "consent_required"},
		{"max_age holds", "max_age=3600", 59 * time.Minute, "code"},
		{"max_age is over", "max_age=3600", 61 * time.Minute, "sign-in"},
		{"max_age 0", "max_age=0", 0, "sign-in"},
		{"max_age is over, prompt none", "max_age=3600&prompt=none", 61 * time.Minute, "login_required"},
		{"expected person", "login_hint=ada", 0, "code"},
		{"expected by address", "login_hint=grace%40practice.example", 0, "sign-in"},
		{"somebody else expected, prompt none", "login_hint=grace&prompt=none", 0, "login_required"},
		{"level not reached", "acr_values=gold", 0, "sign-in"},
		{"session is over", "", 25 * time.Hour, "sign-in"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := providertest.New(providertest.Config{})
				browser := s.Client()
				if _, err := s.ApproveAndRemember(t.Context(), browser, s.URL("/authorize?"+good().Encode()), "ada"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(row.after)
				more, err := url.ParseQuery(row.query)
				if err != nil {
					t.Fatal(err)
				}
				q := good()
				for k, v := range more {
					q[k] = v
				}
				status, to, body := open(t, s, browser, q.Encode())
				got := "sign-in"
				switch {
				case status == 303 && to.Query().Has("code"):
					got = "code"
				case status == 303 && to.Query().Has("error"):
					got = to.Query().Get("error")
				case status == 303 && to.Path == "/consent":
					got = "consent"
				case status != 200 || !strings.Contains(body, "Who are you today?"):
					got = body
				}
				if got != row.want {
					t.Errorf("got %s, want %s", got, row.want)
				}
			})
		})
	}
}

// auth_time and acr say when and how, whether a person clicks or the provider remembers them.
func TestSignInIsDated(t *testing.T) {
	for _, row := range []struct {
		name  string
		query []oauth2.AuthCodeOption
		want  time.Duration // auth_time after the first sign-in
		acr   string
	}{
		{"remembered", nil, 0, ""},
		{"prompt login", []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("prompt", "login")}, time.Hour, ""},
		{"max_age", []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("max_age", "60")}, time.Hour, ""},
		{"level", []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("acr_values", "gold silver")}, time.Hour, "gold"},
	} {
		for _, silent := range []bool{false, true} {
			name := row.name
			if silent {
				name += ", signed in everywhere"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := providertest.New(providertest.Config{})
					browser := s.Client()
					p := newParty(t, s, s.Client())
					first := time.Now()
					if silent {
						s.SignInAs("ada")
					} else if _, err := s.ApproveAndRemember(t.Context(), browser, p.authURL(), "ada"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour)
					back, err := s.Approve(t.Context(), browser, p.authURL(row.query...), "ada")
					if err != nil {
						t.Fatal(err)
					}
					_, id, err := p.finish(back)
					if err != nil {
						t.Fatal(err)
					}
					var c struct {
						AuthTime int64  `json:"auth_time"`
						ACR      string `json:"acr"`
						SID      string `json:"sid"`
					}
					if err := id.Claims(&c); err != nil {
						t.Fatal(err)
					}
					if got := time.Unix(c.AuthTime, 0).Sub(first.Truncate(time.Second)); got != row.want {
						t.Errorf("auth_time: got %v, want %v after the first sign-in", got, row.want)
					}
					if c.ACR != row.acr || c.SID == "" {
						t.Errorf("got acr %q and sid %q, want acr %q", c.ACR, c.SID, row.acr)
					}
				})
			})
		}
	}
}

func TestPersonDecides(t *testing.T) {
	s := providertest.New(providertest.Config{})
	authURL := s.URL("/authorize?" + good().Encode())
	back, err := s.Deny(t.Context(), nil, authURL, "ada")
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(back)
	if got := u.Query(); got.Get("error") != "access_denied" || got.Get("state") != "state-1" || got.Get("iss") != s.Issuer() {
		t.Errorf("deny: got %v", got)
	}
	if _, err := s.Approve(t.Context(), nil, s.URL("/authorize?client_id=nobody"), "ada"); err == nil {
		t.Error("approved an error page")
	}
	// A form of another site is not the person's answer.
	req, _ := http.NewRequestWithContext(t.Context(), "POST",
		s.URL("/consent?"+url.Values{"request": {good().Encode()}, "account": {"ada"}}.Encode()), strings.NewReader("decision=allow"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("cross-site consent: got %d, want 403", resp.StatusCode)
	}
	if _, err := s.Approve(t.Context(), nil, s.URL("/authorize?"+good().Encode()), "adda"); err == nil || !strings.Contains(err.Error(), `no account "adda"`) {
		t.Errorf("somebody unknown: got %v", err)
	}
}

func TestFormPost(t *testing.T) {
	for _, silent := range []bool{false, true} {
		s := providertest.New(providertest.Config{})
		if silent {
			s.SignInAs("ada")
		}
		q := good()
		q.Set("response_mode", "form_post")
		q.Set("state", `"><script>alert(1)</script>`)
		back, err := s.Approve(t.Context(), nil, s.URL("/authorize?"+q.Encode()), "ada")
		if err != nil {
			t.Fatal(err)
		}
		req, err := s.FormPost(t.Context(), back)
		if err != nil {
			t.Fatal(err)
		}
		if err := req.ParseForm(); err != nil {
			t.Fatal(err)
		}
		if f := req.PostForm; req.URL.String() != callback || f.Get("state") != q.Get("state") || f.Get("code") == "" || f.Get("iss") != s.Issuer() {
			t.Errorf("silent %v: got %s %v", silent, req.URL, f)
		}
		if got, want := req.Header.Get("Origin"), "https://idp.example"; got != want {
			t.Errorf("origin: got %q, want %q", got, want)
		}
	}
}
