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
//   - it never connects to link-local, multicast or unspecified addresses, where cloud machines
//     keep their credentials. For the endpoints that a provider's metadata names, it connects to
//     private and loopback addresses only if the issuer's own host has such an address.
//
// Addresses are checked after the name was resolved, when the connection is made.
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
	host, _, err := net.SplitHostPort(address)
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
	return d.DialContext(ctx, network, address)
}

func addressOf(address string) (netip.Addr, error) {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: %w", errAddress, err)
	}
	return ap.Addr().Unmap().WithZone(""), nil
}

// alibaba and awsIPv6 answer questions about the machine's credentials, without being link-local.
var (
	alibaba = netip.AddrFrom4([4]byte{100, 100, 100, 200})
	awsIPv6 = netip.MustParseAddr("fd00:ec2::254")
)

// never reports whether no provider can live at ip.
func never(ip netip.Addr) bool {
	return ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || ip == alibaba || ip == awsIPv6
}

// sharedSpace is for carriers and some cloud networks: RFC 6598.
var sharedSpace = netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)

// inside reports whether ip belongs to this machine or its private network.
func inside(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || sharedSpace.Contains(ip)
}

// resolvesInside reports whether the issuer itself lives in the private network.
func resolvesInside(ctx context.Context, issuer string) bool {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", issuer)
	if err != nil {
		return false
	}
	for _, ip := range ips {
		if inside(ip.Unmap()) {
			return true
		}
	}
	return false
}
