package signin

import (
	"fmt"
	"slices"

	"github.com/returnleg/returnleg/providers"
)

// issuers has the issuers that are known before anybody signs in, each with the names of the providers whose
// identities have it.
type issuers map[string][]string

func newIssuers(ps []providers.Provider) issuers {
	n := issuers{}
	for _, p := range ps {
		if issuer, _ := IdentityIssuer(p); issuer != "" {
			n[issuer] = append(n[issuer], p.Name())
		}
	}
	return n
}

// IdentityIssuer returns the issuer of p's identities, "" if it is not known before a sign-in. named reports
// that it follows from the provider's name.
func IdentityIssuer(p providers.Provider) (issuer string, named bool) {
	if i, ok := p.(providers.IdentityIssuer); ok {
		return i.IdentityIssuer()
	}
	return "", false
}

// foreign returns an error if the issuer is that of other providers, and not of the one with that name: it would
// sign in as the people of another provider.
func (n issuers) foreign(issuer, name string) error {
	owners := n[issuer]
	if len(owners) == 0 || slices.Contains(owners, name) {
		return nil
	}
	return fmt.Errorf("middleware: callback: identity has the issuer of the provider %q", owners[0])
}
