package signin

import (
	"fmt"
	"slices"

	"github.com/returnleg/returnleg/providers"
)

// namespaces are the issuers of the providers' identities, as far as they are known before anybody signs in, and
// the names of the providers that have each.
type namespaces map[string][]string

func newNamespaces(ps []providers.Provider) namespaces {
	n := namespaces{}
	for _, p := range ps {
		if issuer, _ := IdentityIssuer(p); issuer != "" {
			n[issuer] = append(n[issuer], p.Name())
		}
	}
	return n
}

func IdentityIssuer(p providers.Provider) (issuer string, named bool) {
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
