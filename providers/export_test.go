package providers

import "context"

// Within is what marks a request as going where an issuer's metadata says.
var Within = within

// LedBy returns the host that Within marked a request with, or "".
func LedBy(ctx context.Context) string {
	issuer, _ := ctx.Value(issuerKey{}).(string)
	return issuer
}
