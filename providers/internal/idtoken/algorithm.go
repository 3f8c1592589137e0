package idtoken

import "slices"

// Asymmetric are the algorithms that an ID token may be signed with at all.
var Asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Algorithms returns the algorithms to accept from now on: what is configured, else what the provider
// advertises, less what nobody should use.
func Algorithms(configured, advertised []string) []string {
	if len(configured) > 0 {
		return slices.Clone(configured)
	}
	list := slices.DeleteFunc(slices.Clone(advertised), func(a string) bool { return !slices.Contains(Asymmetric, a) })
	if len(list) == 0 {
		// "The algorithm RS256 MUST be included." OpenID Connect Discovery 1.0, section 3.
		return []string{"RS256"}
	}
	return list
}
