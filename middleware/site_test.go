package middleware_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

const otherURL = "https://other.example"

// sites are two apps that share a store, its keys and a provider. In both, the user id of whoever signs in first
// is "1", as it is in two databases. One browser's requests go to either: its cookies are those of both hosts,
// as if somebody carried them over.
type sites struct {
	one, other *kit
	logins     map[*kit][]middleware.Login
}

func newSites(t *testing.T, change func(*kit, *middleware.Config), oneURL, oneSite, otherURL, otherSite string) sites {
	t.Helper()
	store, keys := sessionstore.Store(&sessionstore.Memory{}), sessionstore.NewKeyring()
	idp := providertest.New(providertest.Config{Issuer: "https://idp.example"})
	s := sites{logins: map[*kit][]middleware.Login{}}
	app := func(base, site string) *kit {
		return newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, keys }, change, func(k *kit, c *middleware.Config) {
			if s.one != nil {
				c.Store, c.Keys = s.one.store, keys
			}
			k.idp, keys = idp, c.Keys
			c.BaseURL, c.Site = base, site
			c.Providers = []providers.Provider{idp.OIDC("idp"), k.plain.OAuth2("plain")}
			c.OnLogin = func(_ context.Context, l *middleware.Login) error {
				s.logins[k] = append(s.logins[k], *l)
				if l.IsNew {
					l.Account.ID = "1"
				}
				return nil
			}
		})
	}
	s.one = app(oneURL, oneSite)
	s.other = app(otherURL, otherSite)
	return s
}

// at makes requests of b go to k.
func (b *browser) at(k *kit) *browser { b.k = k; return b }

// signInAt goes all the way at k, whatever its address.
func (b *browser) signInAt(k *kit, account string) {
	k.t.Helper()
	callback := b.at(k).approve(b.start("idp", "/x"), account)
	if resp := b.back(strings.Replace(callback, otherURL, appURL, 1)); k.location(resp) != "/x" {
		k.t.Fatalf("landed at %q", resp.Header.Get("Location"))
	}
}

// Two sites have nothing in common, and two addresses of one site all but the cookies.
func TestSite(t *testing.T) {
	rows := []struct {
		name                         string
		oneURL, one, otherURL, other string
		shared                       bool
	}{
		{"two base URLs", appURL, "", otherURL, "", false},
		{"one base URL, two names", appURL, "one", appURL, "other", false},
		{"a name, and none", appURL, "", appURL, "other", false},
		{"names that begin alike", appURL, "a", appURL, "ab", false},
		{"names in another case", appURL, "a", appURL, "A", false},
		{"two base URLs, one name", appURL, "app", otherURL, "app", true},
		{"an app that has moved", appURL, "", otherURL, appURL, true},
		{"written in another way", appURL, "", otherURL, "HTTPS://App.Example:443/", true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				s := newSites(t, change, row.oneURL, row.one, row.otherURL, row.other)
				s.one.handle("/put", func(w http.ResponseWriter, r *http.Request) {
					s.one.auth.Sessions().Put(r.Context(), "v", "of one")
				})
				s.other.handle("/get", func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(w, s.other.auth.Sessions().GetString(r.Context(), "v"))
				})
				gated := s.other.auth.Require(middleware.Need{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
				s.other.handle("/gated", gated.ServeHTTP)

				guest := s.one.browser()
				guest.open("/put")
				want := ""
				if row.shared {
					want = "of one"
				}
				if got := text(guest.at(s.other).open("/get")); got != want {
					t.Errorf("a guest's value at the other site: got %q, want %q", got, want)
				}

				ada := s.one.browser()
				ada.signInAt(s.one, "ada")
				cookie := ada.session()
				ada.at(s.other)
				if got, want := ada.whoami() == "nobody", !row.shared; got != want {
					t.Errorf("the cookie of one is nobody's at the other: got %v, want %v", got, want)
				}
				if got, want := ada.open("/gated").StatusCode == http.StatusOK, row.shared; got != want {
					t.Errorf("the gate of the other lets the cookie of one through: got %v, want %v", got, want)
				}
				ada.setCookie("__Host-rl", cookie) // the gate has started a sign-in of the other site

				// Another person is the first at the other site, whose database counts from 1, too.
				bob := s.other.browser()
				bob.signInAt(s.other, "grace")
				if got := s.logins[s.other][0]; got.IsNew != true {
					t.Errorf("the other's first sign-in: IsNew %v, want true", got.IsNew)
				}
				again := s.other.browser()
				again.signInAt(s.other, "ada")
				if got, want := s.logins[s.other][1].IsNew, !row.shared; got != want {
					t.Errorf("somebody who is known at one, at the other: IsNew %v, want %v", got, want)
				}

				if all, err := s.other.auth.SessionsOf(t.Context(), "1"); err != nil || len(all) != map[bool]int{false: 2, true: 3}[row.shared] {
					t.Errorf("SessionsOf at the other: %d, %v", len(all), err)
				}
				if err := s.other.auth.EndSession(t.Context(), "1", cookie[:22]); err != nil {
					t.Error(err)
				}
				if got, want := ada.at(s.one).whoami() != "nobody", !row.shared; got != want {
					t.Errorf("EndSession of the other left the session of one: %v, want %v", got, want)
				}
				if row.shared {
					ada.signInAt(s.one, "ada")
				}
				if err := s.other.auth.SignOutUser(t.Context(), "1"); err != nil {
					t.Error(err)
				}
				if got := bob.at(s.other).whoami(); got != "nobody" {
					t.Errorf("SignOutUser left %s signed in", got)
				}
				if got, want := ada.at(s.one).whoami() != "nobody", !row.shared; got != want {
					t.Errorf("SignOutUser of the other left the session of one: %v, want %v", got, want)
				}
			})
		})
	}
}

// What one site gives to browsers is nothing to another: a session that is not stored yet, a page tag, an
// address of a sign-in, a state.
func TestSite_sealed(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		s := newSites(t, change, appURL, "one", appURL, "other")
		for _, k := range []*kit{s.one, s.other} {
			k.handle("/put", func(w http.ResponseWriter, r *http.Request) { k.auth.Sessions().Put(r.Context(), "v", "x") })
			k.handle("/tag", func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, middleware.PageTag(r.Context()))
			})
			k.handle("/url", func(w http.ResponseWriter, r *http.Request) {
				u, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "idp", Scopes: []string{"videos"}}, "/x")
				if err != nil {
					t.Error(err)
				}
				_, _ = io.WriteString(w, u)
			})
			k.handle("/change", k.auth.CheckPageTag(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {})).ServeHTTP)
		}

		b := s.one.browser()
		b.start("idp", "/x")
		sid := b.session()[:22]
		b.at(s.other).open("/put")
		if got := b.session()[:22]; got == sid {
			t.Error("the other has taken over the id of a session that it has not given out")
		}

		b = s.one.browser()
		callback := b.approve(b.start("idp", "/x"), "ada")
		s.other.rejected(b.at(s.other).back(callback), "state")

		b.at(s.one).signIn("idp", "ada", "/x")
		tag := text(b.open("/tag"))
		b.setCookie("__Host-rl", "")
		b.at(s.other).signIn("idp", "ada", "/x")
		if got := b.post("/change", url.Values{"page_tag": {tag}}); got.StatusCode != http.StatusConflict {
			t.Errorf("a page tag of one at the other: got %d, want 409", got.StatusCode)
		}
		if got := b.at(s.other).open(text(s.one.browser().open("/url"))); got.StatusCode != http.StatusBadRequest {
			t.Errorf("an address of one at the other: got %d, want 400", got.StatusCode)
		}
	})
}

// A return address that is too long for the state is kept beside it, under the site.
func TestSite_aside(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		s := newSites(t, change, appURL, "one", appURL, "other")
		long := "/x?" + strings.Repeat("long", 200)
		b := s.one.browser()
		callback := b.approve(b.start("idp", long), "ada")
		for i := range 8 {
			o := s.other.browser()
			o.start("idp", long+strings.Repeat("y", i))
		}
		if got := s.one.location(b.back(callback)); got != long {
			t.Errorf("landed at %q, want the long address", got)
		}
	})
}

func TestSite_config(t *testing.T) {
	rows := []struct {
		site string
		ok   bool
	}{
		{"", true},
		{"app", true},
		{"https://app.example:8443", true},
		{strings.Repeat("a", 200), true},
		{strings.Repeat("a", 201), false},
		{"two words", false},
		{"a\n", false},
		{"a\x00b", false},
		{"käse", false}, // the same word is written with other bytes elsewhere
	}
	for _, row := range rows {
		_, err := middleware.New(middleware.Config{
			BaseURL: appURL, Site: row.site, Providers: []providers.Provider{providers.GitHub("id", "secret")},
			Store: &sessionstore.Memory{},
		})
		if (err == nil) != row.ok {
			t.Errorf("%q: got %v, want it taken: %v", row.site, err, row.ok)
		}
		if err != nil && !strings.Contains(err.Error(), "middleware: config: Site") {
			t.Errorf("%q: got %v, want the field's name", row.site, err)
		}
	}
}
