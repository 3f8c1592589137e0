package providers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
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
func NewClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:           dial,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          256,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		// A header is never as big as this; the default is 10 MB.
		MaxResponseHeaderBytes: 64 << 10,
	}}
}

// issuerKey is the context key under which a request carries the host of the issuer whose metadata
// named its URL.
type issuerKey struct{}

// within marks requests as going where the metadata of the issuer at host says.
func within(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, issuerKey{}, host)
}

var errAddress = errors.New("address is not one to connect to")

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	issuer, led := ctx.Value(issuerKey{}).(string)
	d := net.Dialer{
		Timeout:   5 * time.Second,
		KeepAlive: 30 * time.Second,
		// By now the name is resolved: what is checked is what is connected to, so that a name
		// that changes its address between check and use gains nothing.
		ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
			ip, err := addressOf(address)
			if err != nil {
				return err
			}
			if never(ip) {
				return errAddress
			}
			if led && inside(ip) && !strings.EqualFold(host, issuer) && !resolvesInside(ctx, issuer) {
				return errAddress
			}
			return nil
		},
	}
	if !localName(host) {
		return d.DialContext(ctx, network, address)
	}
	// "Name resolution APIs and libraries SHOULD recognize localhost names as special and SHOULD always return
	// the IP loopback address for address queries". RFC 6761, section 6.3. Not all do.
	c, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err == nil || errors.Is(err, errAddress) {
		return c, err
	}
	if c, err6 := d.DialContext(ctx, network, net.JoinHostPort("::1", port)); err6 == nil {
		return c, nil
	}
	return nil, err
}

func addressOf(address string) (netip.Addr, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: %w", errAddress, err)
	}
	return plain(ap.Addr()), nil
}

// resolvesInside reports whether the issuer itself lives in the private network.
func resolvesInside(ctx context.Context, issuer string) bool {
	if loopback(issuer) {
		return true
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", issuer)
	if err != nil {
		return false
	}
	for _, ip := range ips {
		if inside(plain(ip)) {
			return true
		}
	}
	return false
}
