package middleware

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/providers"
)

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
