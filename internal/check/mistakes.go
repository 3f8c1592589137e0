package check

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// Providers returns what is wrong with the providers of an app.
func Providers(ps []providers.Provider) (errs Mistakes) {
	if len(ps) == 0 {
		errs.Add("Providers: want at least one")
	}
	seen := map[string]bool{}
	for i, p := range ps {
		if IsNil(p) {
			errs.Add("Providers[%d]: nil", i)
			continue
		}
		name := p.Name()
		if !Name(name) {
			errs.Add("Providers[%d]: name %q: want 1 to 32 of a-z 0-9 -, other than login, logout and status", i, name)
		}
		if seen[name] {
			errs.Add("Providers[%d]: name %q: used twice", i, name)
		}
		seen[name] = true
		if v, ok := p.(providers.Validator); ok {
			errs.Under(fmt.Sprintf("Providers[%d]", i), v.Validate())
		}
	}
	checkNamespaces(ps, &errs)
	return errs
}

// IsNil reports that v is nothing, or a pointer that is nil: what its methods meet is a panic, at the
// first request.
func IsNil(v any) bool {
	r := reflect.ValueOf(v)
	return v == nil || r.Kind() == reflect.Pointer && r.IsNil()
}

// Sessions returns what is wrong with the manager of an app, which may be nil.
func Sessions(s *scs.SessionManager) (errs Mistakes) {
	if s == nil {
		return nil
	}
	if s.Cookie.Domain != "" {
		errs.Add("Sessions.Cookie.Domain %q: the session belongs to one host; leave it empty", s.Cookie.Domain)
	}
	if s.Cookie.Path != "/" && s.Cookie.Path != "" {
		errs.Add("Sessions.Cookie.Path %q: the session belongs to the whole site; leave it \"/\"", s.Cookie.Path)
	}
	if s.Cookie.SameSite == http.SameSiteNoneMode {
		errs.Add("Sessions.Cookie.SameSite: None sends the session along with other sites' requests; want Lax or Strict")
	}
	if s.Lifetime <= 0 || s.Lifetime > account.ForGood {
		errs.Add("Sessions.Lifetime %v: want more than 0, and at most a hundred years", s.Lifetime)
	}
	if s.IdleTimeout < 0 {
		errs.Add("Sessions.IdleTimeout %v: want 0 or more", s.IdleTimeout)
	}
	if s.HashTokenInStore {
		errs.Add("Sessions.HashTokenInStore: has no meaning here, the store never holds what a cookie does")
	}
	return errs
}

// PlainPath reports that p is a path of letters, digits, - and _, without an empty segment.
func PlainPath(p string) bool {
	for _, c := range []byte(p) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/') {
			return false
		}
	}
	return !strings.Contains(p, "//")
}

// CookieName reports that s may name a cookie.
func CookieName(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_') {
			return false
		}
	}
	return len(s) <= 32
}

// Name reports that s may name a provider.
func Name(s string) bool {
	if s == "" || len(s) > 32 || s == "login" || s == "logout" || s == "status" {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// Mistakes are those of a configuration.
type Mistakes []error

// Add adds a mistake.
func (m *Mistakes) Add(format string, args ...any) {
	*m = append(*m, fmt.Errorf("middleware: config: "+format, args...))
}

// Under adds what a field's own check said, each of it with the name of the field.
func (m *Mistakes) Under(field string, err error) {
	if err == nil {
		return
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		if joined := errors.Join(all.Unwrap()...); joined != nil && joined.Error() == err.Error() { // else it says more than they do
			for _, err := range all.Unwrap() {
				m.Under(field, err)
			}
			return
		}
	}
	m.Add("%s: %w", field, err)
}

const maxSite = 200 // bytes

// Site returns what is wrong with the name of a site; "" is none.
func Site(name string) (errs Mistakes) {
	printable := true
	for _, c := range []byte(name) {
		printable = printable && ' ' < c && c < 0x7f
	}
	if len(name) > maxSite || !printable {
		errs.Add("Site %q: want at most %d printable ASCII characters and no space, such as https://app.example.com", name, maxSite)
	}
	return errs
}

// checkNamespaces adds a mistake for each issuer that several providers would have by accident: a subject of the
// one would be signed in as that of the other.
func checkNamespaces(ps []providers.Provider, errs *Mistakes) {
	type group struct {
		issuer  string
		names   []string
		unnamed bool
	}
	var groups []*group
	for _, p := range ps {
		if IsNil(p) {
			continue
		}
		issuer, named := signin.IdentityIssuer(p)
		if issuer == "" {
			continue
		}
		at := slices.IndexFunc(groups, func(g *group) bool { return sameHost(g.issuer, issuer) })
		if at < 0 {
			at, groups = len(groups), append(groups, &group{issuer: issuer})
		}
		g := groups[at]
		g.names = append(g.names, fmt.Sprintf("%q", p.Name()))
		g.unnamed = g.unnamed || !named
	}
	for _, g := range groups {
		if len(g.names) > 1 && g.unnamed {
			errs.Add("Providers %s: all would identify people as those of %s, so that a subject of one is the same person at another: "+
				"set OAuth2.Namespace of each; to %[2]q where people are known by it already",
				strings.Join(g.names, " and "), g.issuer)
		}
	}
}

// sameHost reports that two issuers are one, also if the host is written in another way.
func sameHost(a, b string) bool { return a == b || folded(a) == folded(b) }

func folded(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" {
		return issuer
	}
	port := u.Port()
	if port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
		port = ""
	}
	return u.Scheme + "://" + strings.ToLower(strings.TrimSuffix(u.Hostname(), ".")) + ":" + port + u.EscapedPath()
}

// Forgetful returns a warning if sessions are kept in memory where the rest of a configuration speaks for more than
// one process: keys are for processes that share something, and a public address without a word about
// the store is seldom meant. An app that names a Memory, and no keys, is believed.
func Forgetful(store sessionstore.Store, keys, local bool) string {
	const told = "sessions are kept in the memory of this process: a second one would not know them, and a restart ends them"
	switch _, memory := store.(*sessionstore.Memory); {
	case memory && keys, store == nil && (keys || !local):
		return told
	}
	return ""
}

// Former returns what is wrong with where an app's sessions were before: a store, and the name of its cookie beside that of ours.
func Former(store scs.Store, name, ours string) error {
	if IsNil(store) {
		return errors.New("middleware: config: Former.Store: missing")
	}
	if name == ours {
		return fmt.Errorf("middleware: config: Former.Cookie.Name %q: is the name of ours", name)
	}
	return nil
}
