package middleware

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/providers"
)

// namespaces are the issuers of the providers' identities, as far as they are known before anybody signs in, and
// the names of the providers that have each.
type namespaces map[string][]string

func newNamespaces(ps []providers.Provider) namespaces {
	n := namespaces{}
	for _, p := range ps {
		if issuer, _ := identityIssuer(p); issuer != "" {
			n[issuer] = append(n[issuer], p.Name())
		}
	}
	return n
}

func identityIssuer(p providers.Provider) (issuer string, named bool) {
	if i, ok := p.(providers.IdentityIssuer); ok {
		return i.IdentityIssuer()
	}
	return "", false
}

// foreign returns an error if identities of that issuer are another provider's than name's: it would sign in as
// the people of that one.
func (n namespaces) foreign(issuer, name string) error {
	owners := n[issuer]
	if len(owners) == 0 || slices.Contains(owners, name) {
		return nil
	}
	return fmt.Errorf("middleware: callback: identity has the issuer of the provider %q", owners[0])
}

// checkNamespaces adds a mistake for each issuer that several providers would have by accident: a subject of the
// one would be signed in as that of the other.
func checkNamespaces(ps []providers.Provider, errs *mistakes) {
	type group struct {
		issuer  string
		names   []string
		unnamed bool
	}
	var groups []*group
	for _, p := range ps {
		if isNil(p) {
			continue
		}
		issuer, named := identityIssuer(p)
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
			errs.add("Providers %s: all would identify people as those of %s, so that a subject of one is the same person at another: "+
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
