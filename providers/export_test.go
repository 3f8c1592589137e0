package providers

import (
	"context"
	"net/netip"
)

// Within is what marks a request as going where an issuer's metadata says.
var Within = within

// LedBy returns the host that Within marked a request with, or "".
func LedBy(ctx context.Context) string {
	issuer, _ := ctx.Value(issuerKey{}).(string)
	return issuer
}

// Never reports whether nothing is ever connected to at ip, and Inside whether it is this machine's or its network's.
func Never(ip string) bool { return never(plain(netip.MustParseAddr(ip))) }

func Inside(ip string) bool { return inside(plain(netip.MustParseAddr(ip))) }
