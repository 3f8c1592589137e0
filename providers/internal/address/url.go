package address

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// ErrURL says that a text is no URL that a request may be sent to.
var ErrURL = errors.New("not an absolute URL without user, fragment and odd characters")

// Parse returns raw as a URL that a request may be sent to: absolute, https, or http to
// loopback. [ErrInsecure] is wrapped for any other http URL.
func Parse(raw string) (*url.URL, error) {
	if !grammar.Visible(raw) {
		return nil, ErrURL
	}
	u, err := url.Parse(raw)
	// The host is judged once more, unescaped: a wide dot or letter is judged as one name, and looked
	// up as another.
	if err != nil || u.Hostname() == "" || !plainHost(u.Host) || u.User != nil || u.Opaque != "" || strings.Contains(raw, "#") {
		return nil, ErrURL
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return u, nil
	}
	if u.Scheme == "http" {
		return nil, fault.ErrInsecure
	}
	return nil, ErrURL
}

// plainHost reports whether host, with a port or without, is of the characters of names and addresses: "*" stands for
// many hosts, and "%" for others.
func plainHost(host string) bool {
	for i := range len(host) {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._:[]", rune(c)) {
			return false
		}
	}
	return !strings.HasPrefix(host, ".") && !strings.Contains(host, "..")
}

// loopback reports whether host is this machine by its very name: nothing that a resolver decides, but localhost
// and what is below it, which [newClient] keeps at home (RFC 6761, section 6.3).
func loopback(host string) bool {
	if Local(host) {
		return !strings.HasSuffix(host, ".") // which cookies and certificates take for another name
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Origin returns scheme://host[:port] of u in lower case, without a default port.
func Origin(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return u.Scheme + "://" + host
	}
	return u.Scheme + "://" + host + ":" + port
}

// Published judges an endpoint that the provider's metadata names. The app configured the issuer and
// nothing else, so that a document must not lead its requests anywhere but to public web servers:
//
//   - https; http and loopback only below an issuer that is loopback itself;
//   - port 443 or the issuer's own, so that no other service is talked to;
//   - no number as host, in whatever notation, unless it is the issuer's.
//
// Where a name leads to is checked when it is dialed, see [newClient].
func Published(issuer *url.URL, raw string) error {
	u, err := Parse(raw)
	if err != nil {
		return err
	}
	if loopback(issuer.Hostname()) {
		return nil
	}
	if u.Scheme != "https" {
		return fault.ErrInsecure
	}
	if port := u.Port(); port != "" && port != "443" && port != issuer.Port() {
		return fmt.Errorf("port %s is neither 443 nor the issuer's", port)
	}
	if strings.EqualFold(u.Hostname(), issuer.Hostname()) {
		return nil
	}
	if numeric(u.Hostname()) || Local(u.Hostname()) {
		return errors.New("host is a number or local")
	}
	return nil
}

// numeric reports whether host is an address, in any of the notations that some resolver takes for
// one: 127.1, 0x7f000001, 2130706433.
func numeric(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" {
		return true
	}
	// A top-level domain is never a number: https://url.spec.whatwg.org/#ends-in-a-number-checker
	return last[0] >= '0' && last[0] <= '9'
}

// Local reports whether host is localhost or below it.
func Local(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
