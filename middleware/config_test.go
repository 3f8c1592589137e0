package middleware_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// named is a provider that has nothing but a name.
type named struct {
	providers.Provider
	name string
}

func (n named) Name() string { return n.name }

func manager(change func(s *scs.SessionManager)) *scs.SessionManager {
	s := &scs.SessionManager{Lifetime: time.Hour, Cookie: scs.SessionCookie{Path: "/", SameSite: http.SameSiteLaxMode}}
	change(s)
	return s
}

func TestNew_mistakes(t *testing.T) {
	idp := named{name: "idp"}
	rows := []struct {
		name   string
		change func(c *middleware.Config)
		want   string // a part of the error; "" is no mistake
	}{
		{"good", func(*middleware.Config) {}, ""},
		{"no BaseURL", func(c *middleware.Config) { c.BaseURL = "" }, "BaseURL"},
		{"BaseURL without scheme", func(c *middleware.Config) { c.BaseURL = "app.example" }, "BaseURL"},
		{"BaseURL without host", func(c *middleware.Config) { c.BaseURL = "https://" }, "BaseURL"},
		{"BaseURL with only a port", func(c *middleware.Config) { c.BaseURL = "https://:443" }, "BaseURL"},
		{"BaseURL of another scheme", func(c *middleware.Config) { c.BaseURL = "ftp://app.example" }, "BaseURL"},
		{"BaseURL with a path", func(c *middleware.Config) { c.BaseURL = "https://app.example/app" }, "BaseURL"},
		{"BaseURL with a query", func(c *middleware.Config) { c.BaseURL = "https://app.example?a=b" }, "BaseURL"},
		{"BaseURL with an empty query", func(c *middleware.Config) { c.BaseURL = "https://app.example?" }, "BaseURL"},
		{"BaseURL with a fragment", func(c *middleware.Config) { c.BaseURL = "https://app.example#a" }, "BaseURL"},
		{"BaseURL with a user", func(c *middleware.Config) { c.BaseURL = "https://me@app.example" }, "BaseURL"},
		{"BaseURL malformed", func(c *middleware.Config) { c.BaseURL = "https://app.example:port" }, "BaseURL"},
		{"BaseURL with a port that is missing", func(c *middleware.Config) { c.BaseURL = "https://app.example:" }, "BaseURL"},
		{"BaseURL with a port that is none", func(c *middleware.Config) { c.BaseURL = "https://app.example:65536" }, "BaseURL"},
		{"BaseURL with a port of zero", func(c *middleware.Config) { c.BaseURL = "https://app.example:0" }, "BaseURL"},
		{"BaseURL with a port that browsers write otherwise", func(c *middleware.Config) { c.BaseURL = "https://app.example:0443" }, "BaseURL"},
		{"BaseURL with a name that browsers write otherwise", func(c *middleware.Config) { c.BaseURL = "https://b\u00fccher.example" }, "BaseURL"},
		{"BaseURL with that name as browsers write it", func(c *middleware.Config) { c.BaseURL = "https://xn--bcher-kva.example:8443" }, ""},
		{"BaseURL with a zone", func(c *middleware.Config) { c.BaseURL = "https://[::1%25lo]" }, "BaseURL"},
		{"BaseURL of many hosts", func(c *middleware.Config) { c.BaseURL = "https://*.example.com" }, "BaseURL"},
		{"BaseURL of any host", func(c *middleware.Config) { c.BaseURL = "https://*" }, "BaseURL"},
		{"BaseURL of many ports", func(c *middleware.Config) { c.BaseURL = "https://app.example:*" }, "BaseURL"},
		{"BaseURL of what is below a host", func(c *middleware.Config) { c.BaseURL = "https://.example.com" }, "BaseURL"},
		{"BaseURL with an empty label", func(c *middleware.Config) { c.BaseURL = "https://app..example" }, "BaseURL"},
		{"BaseURL with a variable", func(c *middleware.Config) { c.BaseURL = "https://${HOST}" }, "BaseURL"},
		{"BaseURL with two hosts", func(c *middleware.Config) { c.BaseURL = "https://a.example,b.example" }, "BaseURL"},
		{"BaseURL with an underscore", func(c *middleware.Config) { c.BaseURL = "https://my_app.example" }, ""},
		{"BaseURL with an address that browsers write otherwise", func(c *middleware.Config) { c.BaseURL = "http://[0:0:0:0:0:0:0:1]:80" }, "BaseURL"},
		{"BaseURL with an address in short", func(c *middleware.Config) { c.BaseURL = "https://127.1" }, "BaseURL"},
		{"BaseURL with an address as a number", func(c *middleware.Config) { c.BaseURL = "https://0x7f000001" }, "BaseURL"},
		{"BaseURL below localhost", func(c *middleware.Config) { c.BaseURL = "http://app.localhost:3000" }, ""},
		{"BaseURL below localhost, in capitals", func(c *middleware.Config) { c.BaseURL = "http://App.LocalHost" }, ""},
		{"BaseURL below nothing of localhost", func(c *middleware.Config) { c.BaseURL = "http://.localhost" }, "BaseURL"},
		{"BaseURL http of a name that ends like localhost", func(c *middleware.Config) { c.BaseURL = "http://evillocalhost" }, "want https"},
		{"BaseURL http", func(c *middleware.Config) { c.BaseURL = "http://app.example" }, "want https"},
		{"BaseURL http of a private address", func(c *middleware.Config) { c.BaseURL = "http://192.168.1.2" }, "want https"},
		{"BaseURL http of a name like loopback", func(c *middleware.Config) { c.BaseURL = "http://localhost.evil.example" }, "want https"},
		{"BaseURL loopback", func(c *middleware.Config) { c.BaseURL = "http://127.0.0.1:8080" }, ""},
		{"BaseURL loopback, another of them", func(c *middleware.Config) { c.BaseURL = "http://127.8.9.1" }, ""},
		{"BaseURL loopback, IPv6", func(c *middleware.Config) { c.BaseURL = "http://[::1]:8080" }, ""},
		{"BaseURL localhost", func(c *middleware.Config) { c.BaseURL = "http://localhost:3000/" }, ""},
		{"Former without a store", func(c *middleware.Config) { c.Former = &middleware.Former{} }, "Former.Store"},
		{"Former with a store that is nil", func(c *middleware.Config) {
			c.Former = &middleware.Former{Store: (*memstore.MemStore)(nil)}
		}, "Former.Store"},
		{"Former with our cookie's name", func(c *middleware.Config) {
			c.Former = &middleware.Former{Store: memstore.NewWithCleanupInterval(0), Cookie: scs.SessionCookie{Name: "__Host-rl"}}
		}, "Former.Cookie.Name"},
		{"no providers", func(c *middleware.Config) { c.Providers = nil }, "Providers: want at least one"},
		{"a nil provider", func(c *middleware.Config) { c.Providers = []providers.Provider{nil, idp} }, "Providers[0]: nil"},
		{"a provider whose pointer is nil", func(c *middleware.Config) {
			c.Providers = []providers.Provider{idp, (*providers.OIDC)(nil)}
		}, "Providers[1]: nil"},
		{"a provider twice", func(c *middleware.Config) { c.Providers = []providers.Provider{idp, idp} }, "used twice"},
		{"a provider without name", func(c *middleware.Config) { c.Providers = []providers.Provider{named{}} }, `name ""`},
		{"a provider in capitals", func(c *middleware.Config) { c.Providers = []providers.Provider{named{name: "Idp"}} }, `name "Idp"`},
		{"a provider with a slash", func(c *middleware.Config) { c.Providers = []providers.Provider{named{name: "a/b"}} }, `name "a/b"`},
		{"a provider called login", func(c *middleware.Config) { c.Providers = []providers.Provider{named{name: "login"}} }, `name "login"`},
		{"a provider called logout", func(c *middleware.Config) { c.Providers = []providers.Provider{named{name: "logout"}} }, `name "logout"`},
		{"a provider called status", func(c *middleware.Config) { c.Providers = []providers.Provider{named{name: "status"}} }, `name "status"`},
		{"a provider of 33 characters", func(c *middleware.Config) {
			c.Providers = []providers.Provider{named{name: strings.Repeat("a", 33)}}
		}, "want 1 to 32"},
		{"a provider of 32 characters", func(c *middleware.Config) {
			c.Providers = []providers.Provider{named{name: strings.Repeat("a", 32)}}
		}, ""},
		{"a provider that is wrong", func(c *middleware.Config) {
			c.Providers = []providers.Provider{&providers.OIDC{ID: "corp", Issuer: "http://corp.example"}}
		}, "corp"},
		{"Prefix without slash", func(c *middleware.Config) { c.Prefix = "auth" }, "Prefix"},
		{"Prefix with a slash behind", func(c *middleware.Config) { c.Prefix = "/auth/" }, "Prefix"},
		{"Prefix is everything", func(c *middleware.Config) { c.Prefix = "/" }, "Prefix"},
		{"Prefix with two slashes", func(c *middleware.Config) { c.Prefix = "//auth" }, "Prefix"},
		{"Prefix with an escape", func(c *middleware.Config) { c.Prefix = "/a%20b" }, "Prefix"},
		{"Prefix with dots", func(c *middleware.Config) { c.Prefix = "/a/../b" }, "Prefix"},
		{"Prefix of two", func(c *middleware.Config) { c.Prefix = "/api/auth" }, ""},
		{"Home elsewhere", func(c *middleware.Config) { c.Home = "https://other.example/" }, "Home"},
		{"Home with two slashes", func(c *middleware.Config) { c.Home = "//other.example" }, "Home"},
		{"Home below Prefix", func(c *middleware.Config) { c.Home = "/auth/status" }, "Home"},
		{"Home with a query", func(c *middleware.Config) { c.Home = "/start?tab=1#top" }, ""},
		{"a store without keys", func(c *middleware.Config) { c.Store = sealed{&sessionstore.Memory{}} }, "Keys: needed"},
		{"a store that is sealed", func(c *middleware.Config) {
			keys := sessionstore.NewKeyring()
			c.Store, c.Keys = sessionstore.Sealed(&sessionstore.Memory{}, keys), keys
		}, "Store: is sealed already, and would be once more with Keys: want the store in it"},
		{"a Memory that is nil", func(c *middleware.Config) { c.Store = (*sessionstore.Memory)(nil) }, "Store: a *sessionstore.Memory that is nil"},
		{"Memory without keys", func(c *middleware.Config) { c.Store = &sessionstore.Memory{} }, ""},
		{"a store with keys", func(c *middleware.Config) {
			c.Store, c.Keys = sealed{&sessionstore.Memory{}}, sessionstore.NewKeyring()
		}, ""},
		{"165 keys that are none", func(c *middleware.Config) { c.Keys = sessionstore.Keyring{} }, "key ring"},
		{"165 a short key", func(c *middleware.Config) { c.Keys = sessionstore.Keyring{{ID: 1, Secret: []byte("short")}} }, "5 bytes"},
		{"165 a password", func(c *middleware.Config) {
			c.Keys = sessionstore.Keyring{{ID: 1, Secret: []byte(strings.Repeat("password", 4))}}
		}, "not random"},
		{"Domain", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.Cookie.Domain = "example" })
		}, "Cookie.Domain"},
		{"Path", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.Cookie.Path = "/app" })
		}, "Cookie.Path"},
		{"SameSite None", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.Cookie.SameSite = http.SameSiteNoneMode })
		}, "SameSite"},
		{"no Lifetime", func(c *middleware.Config) { c.Sessions = manager(func(s *scs.SessionManager) { s.Lifetime = 0 }) }, "Lifetime"},
		{"a Lifetime past counting", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.Lifetime = math.MaxInt64 })
		}, "Lifetime"},
		{"AnonymousIdle past counting", func(c *middleware.Config) { c.AnonymousIdle = math.MaxInt64 }, "AnonymousIdle"},
		{"negative IdleTimeout", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.IdleTimeout = -1 })
		}, "IdleTimeout"},
		{"HashTokenInStore", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.HashTokenInStore = true })
		}, "HashTokenInStore"},
		{"Strict", func(c *middleware.Config) {
			c.Sessions = manager(func(s *scs.SessionManager) { s.Cookie.SameSite = http.SameSiteStrictMode })
		}, ""},
		{"negative AnonymousIdle", func(c *middleware.Config) { c.AnonymousIdle = -time.Second }, "AnonymousIdle"},
		{"negative MaxGuests", func(c *middleware.Config) { c.MaxGuests = -1 }, "MaxGuests -1"},
		{"any number of guests", func(c *middleware.Config) { c.MaxGuests = math.MaxInt }, ""},
		{"AnonymousIdle of no length", func(c *middleware.Config) { c.AnonymousIdle = 1 }, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := middleware.Config{BaseURL: appURL, Providers: []providers.Provider{idp}}
			row.change(&c)
			auth, err := middleware.New(c)
			switch {
			case row.want == "" && (err != nil || auth == nil):
				t.Errorf("got %v, want none", err)
			case row.want != "" && (err == nil || auth != nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %v, want one about %s", err, row.want)
			}
			if err == nil {
				return
			}
			if n := strings.Count(err.Error(), "\n"); n > 0 && row.name != "a provider that is wrong" {
				t.Errorf("%d mistakes, want 1:\n%v", n+1, err)
			}
		})
	}
}

func TestNew_everyMistakeAtOnce(t *testing.T) {
	_, err := middleware.New(middleware.Config{
		BaseURL:       "http://app.example",
		Providers:     []providers.Provider{nil, named{name: "logout"}, &providers.OIDC{ID: "corp"}},
		Store:         sealed{&sessionstore.Memory{}},
		Prefix:        "auth/",
		Home:          "https://elsewhere.example/",
		AnonymousIdle: -1,
		MaxGuests:     -1,
		Sessions: manager(func(s *scs.SessionManager) {
			s.Cookie.Domain, s.Cookie.Path, s.Lifetime, s.IdleTimeout = "example", "/app", 0, -1
			s.Cookie.SameSite, s.HashTokenInStore = http.SameSiteNoneMode, true
		}),
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"BaseURL", "Providers[0]", `Providers[1]: name "logout"`, "Keys", "Prefix", "Home", "AnonymousIdle", "MaxGuests",
		"Providers[2]: providers: corp: ClientID", "Providers[2]: providers: corp: Issuer: empty",
		"Domain", "Path", "Lifetime", "IdleTimeout", "SameSite", "HashTokenInStore",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in:\n%v", want, err)
		}
	}
}

// strict is a provider of an app's own that has something against how it was made.
type strict struct {
	providers.Provider
	says error
}

func (s strict) Validate() error { return s.says }

// What a provider of an app's own says is kept, in one piece where it is one.
func TestNew_saidByProvider(t *testing.T) {
	host, path := errors.New("empty host"), errors.New("empty path")
	rows := []struct {
		name string
		says error
		want string
	}{
		{"one", host, "middleware: config: Providers[0]: empty host"},
		{"two", errors.Join(host, path), "middleware: config: Providers[0]: empty host\nmiddleware: config: Providers[0]: empty path"},
		{"two in a sentence", fmt.Errorf("url: %w and %w", host, path), "middleware: config: Providers[0]: url: empty host and empty path"},
		{"two within one", fmt.Errorf("url: %w", errors.Join(host, path)), "middleware: config: Providers[0]: url: empty host\nempty path"},
	}
	for _, row := range rows {
		_, err := middleware.New(middleware.Config{
			BaseURL: appURL, Providers: []providers.Provider{strict{providers.GitHub("id", "secret"), row.says}},
		})
		if err == nil || err.Error() != row.want || !errors.Is(err, host) {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}

// What a field's own check says is the field's, line by line.
func TestNew_keysThatAreWrong(t *testing.T) {
	_, err := middleware.New(middleware.Config{
		BaseURL: appURL, Providers: []providers.Provider{providers.GitHub("id", "secret")},
		Keys: sessionstore.Keyring{{ID: 1, Secret: []byte("short")}, {ID: 1, Secret: make([]byte, 32)}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.HasPrefix(line, "middleware: config: Keys: sessionstore: key ring: ") {
			t.Errorf("whose mistake: %s", line)
		}
	}
}

func TestNew_baseURL(t *testing.T) {
	rows := []struct{ name, base, redirect, origin string }{
		{"as it is", "https://app.example", "https://app.example/auth/idp/callback", "https://app.example"},
		{"slash behind", "https://app.example/", "https://app.example/auth/idp/callback", "https://app.example"},
		{"capitals", "HTTPS://App.Example", "https://app.example/auth/idp/callback", "https://app.example"},
		{"default port", "https://app.example:443", "https://app.example/auth/idp/callback", "https://app.example"},
		{"another port", "https://app.example:8443", "https://app.example:8443/auth/idp/callback", "https://app.example:8443"},
		{"loopback default port", "http://127.0.0.1:80", "http://127.0.0.1/auth/idp/callback", "http://127.0.0.1"},
		{"loopback", "http://localhost:3000", "http://localhost:3000/auth/idp/callback", "http://localhost:3000"},
		{"below localhost", "http://App.LocalHost:3000", "http://app.localhost:3000/auth/idp/callback", "http://app.localhost:3000"},
		{"IPv6", "http://[::1]:8080", "http://[::1]:8080/auth/idp/callback", "http://[::1]:8080"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = row.base })
			resp := k.serve(httptest.NewRequest(http.MethodGet, "http://elsewhere.example/auth/idp/login", nil))
			if got := query(t, k.location(resp)).Get("redirect_uri"); got != row.redirect {
				t.Errorf("redirect_uri %q, want %q", got, row.redirect)
			}
			// What a browser sends as Origin is taken for our own.
			for origin, want := range map[string]int{row.origin: http.StatusSeeOther, row.origin + ".evil.example": http.StatusForbidden, "https://evil.example": http.StatusForbidden} {
				r := httptest.NewRequest(http.MethodPost, "http://elsewhere.example/auth/logout", nil)
				r.Header.Set("Origin", origin)
				if got := k.serve(r).StatusCode; got != want {
					t.Errorf("Origin %s: status %d, want %d", origin, got, want)
				}
			}
		})
	}
}

// A form of a page that sends no referrer, as ours do not, has the origin "null".
func TestCrossOrigin_null(t *testing.T) {
	rows := []struct {
		site string
		want int
	}{
		{"same-origin", http.StatusSeeOther},
		{"same-site", http.StatusForbidden},
		{"cross-site", http.StatusForbidden}, // a sandboxed frame, also one of ours
		{"none", http.StatusForbidden},
		{"", http.StatusForbidden},
	}
	k := newKit(t)
	for _, row := range rows {
		r := httptest.NewRequest(http.MethodPost, "/auth/logout", nil)
		r.Header.Set("Origin", "null")
		if row.site != "" {
			r.Header.Set("Sec-Fetch-Site", row.site)
		}
		if got := k.serve(r).StatusCode; got != row.want {
			t.Errorf("143 Sec-Fetch-Site %q: status %d, want %d", row.site, got, row.want)
		}
	}
}

// ATTACKS 143: every address that a form changes something at judges its origin by the configured one.
func TestCrossOrigin(t *testing.T) {
	rows := []struct {
		name    string
		origins []string
		site    string
		refused bool
	}{
		{"ours", []string{appURL}, "same-origin", false},
		{"ours, an older browser", []string{appURL}, "", false},
		{"no Origin, same origin", nil, "same-origin", false},
		{"no Origin, typed", nil, "none", false},
		{"neither: no browser", nil, "", false},
		{"no Origin, another site", nil, "cross-site", true},
		{"no Origin, a sibling", nil, "same-site", true},
		{"another site", []string{"https://attacker.example"}, "cross-site", true},
		{"another site, an older browser", []string{"https://attacker.example"}, "", true},
		{"another site that says it is ours", []string{"https://attacker.example"}, "same-origin", true},
		{"plain http", []string{"http://app.example"}, "cross-site", true},
		{"another port", []string{"https://app.example:8443"}, "", true},
		{"ours as a prefix", []string{appURL + ".attacker.example"}, "", true},
		{"ours as a user name", []string{appURL + "@attacker.example"}, "", true},
		{"upper case", []string{"https://APP.example"}, "", true}, // no browser writes it so
		{"empty", []string{""}, "", true},
		{"two, ours first", []string{appURL, "https://attacker.example"}, "", true},
		{"two, ours last", []string{"https://attacker.example", appURL}, "", true},
	}
	k := newKit(t)
	b := k.browser()
	for _, row := range rows {
		b.signIn("plain", "ada", "/")
		for _, target := range []string{"/auth/idp/login?purpose=link", "/auth/idp/disconnect", "/auth/logout"} {
			r := b.request(http.MethodPost, target, nil)
			r.Header.Del("Sec-Fetch-Site")
			if row.site != "" {
				r.Header.Set("Sec-Fetch-Site", row.site)
			}
			r.Header["Origin"] = row.origins
			want := map[bool]int{true: http.StatusForbidden, false: http.StatusSeeOther}[row.refused]
			if got := k.serve(r).StatusCode; got != want {
				t.Errorf("%s, %s: status %d, want %d", row.name, target, got, want)
			}
		}
		if row.refused {
			b.is(ada)
		}
	}
}

// A store that is right within one process only says so when the app starts.
func TestNew_singleProcess(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) {
		c.Store, c.Keys = sessionstore.FromSCS(memstore.NewWithCleanupInterval(0)), sessionstore.NewKeyring()
	})
	if !strings.Contains(k.log.String(), "for one process only") {
		t.Errorf("no warning in the log: %s", k.log)
	}
	b := k.browser()
	b.signIn("idp", "ada", "/")
	if got := b.whoami(); got != "Ada Lovelace" {
		t.Errorf("signed in as %q", got)
	}
}
