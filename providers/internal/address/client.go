package address

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

// NewClient returns a client whose every phase is bounded, and which connects to no address where no provider lives. The
// comment of providers.NewClient says all that it does.
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

// LedBy returns the host that [Within] has marked ctx with.
func LedBy(ctx context.Context) (issuer string, ok bool) {
	issuer, ok = ctx.Value(issuerKey{}).(string)
	return issuer, ok
}

// Within marks requests as going where the metadata of the issuer at host says.
func Within(ctx context.Context, host string) context.Context {
	return context.WithValue(ctx, issuerKey{}, host)
}

// ErrAddress says that a name leads to an address where a provider does not live.
var ErrAddress = errors.New("address is not one to connect to")

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	issuer, led := LedBy(ctx)
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
			if Never(ip) {
				return ErrAddress
			}
			if led && Inside(ip) && !strings.EqualFold(host, issuer) && !resolvesInside(ctx, issuer) {
				return ErrAddress
			}
			return nil
		},
	}
	if !Local(host) {
		return d.DialContext(ctx, network, address)
	}
	// "Name resolution APIs and libraries SHOULD recognize localhost names as special and SHOULD always return
	// the IP loopback address for address queries". RFC 6761, section 6.3. Not all do.
	c, err := d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	if err == nil || errors.Is(err, ErrAddress) {
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
		return netip.Addr{}, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return Plain(ap.Addr()), nil
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
		if Inside(Plain(ip)) {
			return true
		}
	}
	return false
}
