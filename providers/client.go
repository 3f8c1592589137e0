package providers

import (
	"net/http"

	"github.com/returnleg/returnleg/providers/internal/address"
)

// NewClient returns a client for requests to providers and their APIs. It differs from
// http.DefaultClient:
//
//   - it keeps 64 idle connections per host instead of 2: a new TLS connection costs fifty times
//     what a kept one does;
//   - every phase is bounded: 5 s to connect, 5 s for TLS, 10 s for the head of the answer (a
//     whole call has the Timeout of its provider);
//   - it speaks TLS 1.2 or later;
//   - it takes no proxy from the environment: HTTPS_PROXY set for something else should not
//     carry secrets. Where a proxy is needed, put a client of your own into the context, under
//     oauth2.HTTPClient;
//   - it never connects to addresses where no provider lives: link-local, multicast, reserved and unspecified
//     ones, and those where cloud machines keep their credentials. For the endpoints that a
//     provider's metadata names, it connects to private and loopback addresses only if the issuer's
//     own host has such an address;
//   - it connects to localhost, and what is below it, at loopback only, without asking a resolver.
//
// Addresses are checked after the name was resolved, when the connection is made. An IPv6 address that carries an
// IPv4 address, for a translator or a tunnel, is judged by that one, too; a network's own prefix for its
// translator (RFC 6052) cannot be known.
func NewClient() *http.Client { return address.NewClient() }
