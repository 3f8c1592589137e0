package providers

import (
	"context"
	"net/netip"

	"github.com/returnleg/returnleg/providers/internal/address"
)

// Within is what marks a request as going where an issuer's metadata says.
var Within = address.Within

// LedBy returns the host that Within marked a request with, or "".
func LedBy(ctx context.Context) string {
	issuer, _ := address.LedBy(ctx)
	return issuer
}

// Never reports whether nothing is ever connected to at ip, and Inside whether it is this machine's or its network's.
func Never(ip string) bool { return address.Never(address.Plain(netip.MustParseAddr(ip))) }

func Inside(ip string) bool { return address.Inside(address.Plain(netip.MustParseAddr(ip))) }
