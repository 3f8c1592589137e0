package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// realms are two providers on one origin. Each has a person of its own, and both call theirs "1".
type realms map[string]*providertest.Server

func newRealms() realms {
	rs := realms{}
	for realm, name := range map[string]string{"t1": "Ada Lovelace", "t2": "Grace Hopper"} {
		rs[realm] = providertest.New(providertest.Config{
			Issuer:   "https://host.example/" + realm,
			Accounts: []providertest.Account{{ID: "somebody", Subject: "1", Name: name}},
		})
	}
	return rs
}

func (rs realms) RoundTrip(r *http.Request) (*http.Response, error) {
	realm, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if rs[realm] == nil {
		return nil, fmt.Errorf("no realm %s", realm)
	}
	return rs[realm].Transport().RoundTrip(r)
}

// provider returns one that knows the realm by its URLs alone.
func (rs realms) provider(realm string) *providers.OAuth2 {
	p := rs[realm].OAuth2(realm)
	p.Issuer = ""
	return p
}

// signIn signs in at each realm in turn, each time in a browser of its own, and returns whom the app saw
// and what it was told.
func (rs realms) signIn(k *kit, names ...string) (seen []string) {
	for _, name := range names {
		b := k.browser()
		jar, err := cookiejar.New(nil)
		if err != nil {
			k.t.Fatal(err)
		}
		b.idp = &http.Client{Transport: rs, Jar: jar}
		callback, err := rs[name].Approve(k.t.Context(), b.idp, b.start(name, "/"), "somebody")
		if err != nil {
			k.t.Fatal(err)
		}
		k.serve(b.callback(callback)) // and once more: of a reload, nothing changes
		b.back(callback)
		seen = append(seen, b.whoami())
	}
	return seen
}

// People of two providers never share accounts unless the app says so.
func TestNamespace(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		rows := []struct {
			name   string
			change func(t1, t2 *providers.OAuth2)
			people int // 0: New refuses
		}{
			{"two realms of one origin", func(_, _ *providers.OAuth2) {}, 0},
			{"the host in capitals", func(t1, _ *providers.OAuth2) { t1.AuthURL = strings.Replace(t1.AuthURL, "host", "HOST", 1) }, 0},
			{"the default port", func(t1, _ *providers.OAuth2) {
				t1.AuthURL = strings.Replace(t1.AuthURL, ".example", ".example:443", 1)
			}, 0},
			{"the host with a dot behind", func(t1, _ *providers.OAuth2) {
				t1.AuthURL = strings.Replace(t1.AuthURL, ".example", ".example.", 1)
			}, 0},
			{"named", func(t1, t2 *providers.OAuth2) { t1.Namespace, t2.Namespace = "realm-1", "realm-2" }, 2},
			{"one of them named", func(_, t2 *providers.OAuth2) { t2.Namespace = "another-realm" }, 2},
			{"named as the other one is by default", func(_, t2 *providers.OAuth2) { t2.Namespace = "https://host.example" }, 0},
			{"named alike", func(t1, t2 *providers.OAuth2) { t1.Namespace, t2.Namespace = "realms", "realms" }, 1},
			{"issuers, which the answers name", func(t1, t2 *providers.OAuth2) {
				t1.Issuer, t2.Issuer = "https://host.example/t1", "https://host.example/t2"
			}, 2},
			{"the issuer of Identify, and no name", func(t1, t2 *providers.OAuth2) {
				t1.Identify, t2.Identify = saying("https://1.example", "1"), saying("https://2.example", "1")
			}, 0},
			{"named, whatever Identify says", func(t1, t2 *providers.OAuth2) {
				t1.Namespace, t2.Namespace = "realm-3", "realm-4"
				t1.Identify, t2.Identify = saying("https://host.example", "1"), saying("https://host.example", "1")
			}, 2},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				rs := newRealms()
				t1, t2 := rs.provider("t1"), rs.provider("t2")
				row.change(t1, t2)
				isNew := 0
				config := func(_ *kit, c *middleware.Config) {
					c.Providers, c.HTTPClient = []providers.Provider{t1, t2}, &http.Client{Transport: rs}
					c.OnLogin = counting(&isNew)
				}
				if row.people == 0 {
					_, err := middleware.New(middleware.Config{BaseURL: appURL, Providers: []providers.Provider{t1, t2}})
					if err == nil || !strings.Contains(err.Error(), `"t1" and "t2"`) || !strings.Contains(err.Error(), "Namespace") {
						t.Errorf("got %v, want a mistake that names both", err)
					}
					return
				}
				k := newKit(t, change, config)
				seen := rs.signIn(k, "t1", "t2", "t1")
				if slices.Contains(seen, nobody) || isNew != row.people {
					t.Errorf("%d people, want %d; the app saw %q; log:\n%s", isNew, row.people, seen, k.log)
				}
			})
		}
	})
}

// saying is an Identify with an issuer of its own.
func saying(issuer, subject string) func(json.RawMessage) (providers.Identity, error) {
	return func(json.RawMessage) (providers.Identity, error) {
		return providers.Identity{Issuer: issuer, Subject: subject, Name: subject}, nil
	}
}

// owned is a provider of the app's own that says whose subjects it has.
type owned struct {
	named
	issuer string
	chosen bool
}

func (o owned) IdentityIssuer() (string, bool) { return o.issuer, o.chosen }

// Providers that share their people because the app has named one issuer in each, and others that would.
func TestNew_namespaces(t *testing.T) {
	enterprise := func() *providers.OAuth2 {
		p := providers.GitHub("id", "secret")
		p.ID, p.AuthURL, p.TokenURL, p.UserInfoURL = "ghe", "https://ghe.example/login/oauth/authorize", "https://ghe.example/token", "https://ghe.example/user"
		return p
	}
	second := func(change func(p *providers.OAuth2)) *providers.OAuth2 {
		p := providers.GitHub("other", "secret")
		p.ID = "second"
		change(p)
		return p
	}
	plain := func(issuer string) *providers.OAuth2 {
		return &providers.OAuth2{
			ID: "plain", ClientID: "id", AuthURL: "https://idp.example/authorize", TokenURL: "https://idp.example/token",
			UserInfoURL: "https://idp.example/me", Issuer: issuer,
		}
	}
	oidc := func(id, issuer string) *providers.OIDC {
		return &providers.OIDC{ID: id, Issuer: issuer, ClientID: id}
	}
	github := providers.GitHub("id", "secret")
	rows := []struct {
		name string
		ps   []providers.Provider
		ok   bool
	}{
		{"two registrations at one OpenID issuer", []providers.Provider{oidc("a", "https://idp.example"), oidc("b", "https://idp.example")}, true},
		{"two OpenID issuers of one origin", []providers.Provider{oidc("a", "https://idp.example/a"), oidc("b", "https://idp.example/b")}, true},
		{"an OpenID issuer, and an origin that is it by chance", []providers.Provider{oidc("a", "https://idp.example"), plain("")}, false},
		{"an OpenID issuer, and the same one by name", []providers.Provider{oidc("a", "https://idp.example"), plain("https://idp.example")}, true},
		{"an OpenID issuer below an origin", []providers.Provider{oidc("a", "https://idp.example/"), plain("")}, true},
		{"GitHub and an Enterprise Server", []providers.Provider{github, enterprise()}, true},
		{"GitHub twice", []providers.Provider{github, second(func(*providers.OAuth2) {})}, false},
		{"GitHub twice, in capitals", []providers.Provider{github, second(func(p *providers.OAuth2) { p.AuthURL = "https://GitHub.com/login/oauth/authorize" })}, false},
		{"GitHub twice, the second one apart", []providers.Provider{github, second(func(p *providers.OAuth2) { p.Namespace = "second" })}, true},
		{"one of the app's own", []providers.Provider{plain(""), owned{named{name: "own"}, "https://idp.example", false}}, false},
		{"one of the app's own, named", []providers.Provider{plain("https://idp.example"), owned{named{name: "own"}, "https://idp.example", true}}, true},
		{"one of the app's own that does not know", []providers.Provider{plain(""), owned{named{name: "own"}, "", false}, owned{named{name: "too"}, "", false}}, true},
		{"one of the app's own that does not say", []providers.Provider{plain(""), named{name: "own"}}, true},
	}
	for _, row := range rows {
		_, err := middleware.New(middleware.Config{BaseURL: appURL, Providers: row.ps})
		if (err == nil) != row.ok || err != nil && strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: got %v, want none: %v", row.name, err, row.ok)
		}
	}
	for _, name := range []string{"a b", "a|b", "a\n", "\u00e4", strings.Repeat("a", 256)} {
		p := plain("")
		p.Namespace = name
		if _, err := middleware.New(middleware.Config{BaseURL: appURL, Providers: []providers.Provider{p}}); err == nil {
			t.Errorf("Namespace %q: no mistake", name)
		}
	}
}

// An identity that has another provider's issuer, whatever says so, signs nobody in.
func TestNamespace_foreign(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		rows := []struct {
			name  string
			plain func(p *providers.OAuth2) providers.Provider
		}{
			{"Identify", func(p *providers.OAuth2) providers.Provider {
				p.Identify = saying("https://idp.example", "practice-ada")
				return p
			}},
			{"a provider of the app's own", func(p *providers.OAuth2) providers.Provider {
				return nameless{p, func(id *providers.Identity) { id.Issuer, id.Subject = "https://idp.example", "practice-ada" }}
			}},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				k := newKit(t, change, func(k *kit, c *middleware.Config) { c.Providers[1] = row.plain(k.plain.OAuth2("plain")) })
				k.browser().signIn("idp", "ada", "/")
				b := k.browser()
				resp := b.back(b.approve(b.start("plain", "/"), "grace"))
				if resp.StatusCode != http.StatusBadGateway || b.whoami() != nobody {
					t.Errorf("status %d, and the app sees %s", resp.StatusCode, b.whoami())
				}
			})
		}
	})
}

// counting is an OnLogin that counts new people.
func counting(n *int) func(context.Context, *middleware.Login) error {
	return func(_ context.Context, l *middleware.Login) error {
		if l.IsNew {
			*n++
		}
		return nil
	}
}
