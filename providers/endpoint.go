package providers

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

var errURL = errors.New("not an absolute URL without user, fragment and odd characters")

// parseURL returns raw as a URL that a request may be sent to: absolute, https, or http to
// loopback. [ErrInsecure] is wrapped for any other http URL.
func parseURL(raw string) (*url.URL, error) {
	if !plainText(raw) {
		return nil, errURL
	}
	u, err := url.Parse(raw)
	// The host is judged once more, unescaped: a wide dot or letter is judged as one name, and looked
	// up as another.
	if err != nil || u.Hostname() == "" || !plainHost(u.Host) || u.User != nil || u.Opaque != "" || strings.Contains(raw, "#") {
		return nil, errURL
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return u, nil
	}
	if u.Scheme == "http" {
		return nil, ErrInsecure
	}
	return nil, errURL
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

func plainText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// loopback reports whether host is this machine by its very name: nothing that a resolver decides, but localhost
// and what is below it, which [NewClient] keeps at home (RFC 6761, section 6.3).
func loopback(host string) bool {
	if localName(host) {
		return !strings.HasSuffix(host, ".") // which cookies and certificates take for another name
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// origin returns scheme://host[:port] of u in lower case, without a default port.
func origin(u *url.URL) string {
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

// published judges an endpoint that the provider's metadata names. The app configured the issuer and
// nothing else, so that a document must not lead its requests anywhere but to public web servers:
//
//   - https; http and loopback only below an issuer that is loopback itself;
//   - port 443 or the issuer's own, so that no other service is talked to;
//   - no number as host, in whatever notation, unless it is the issuer's.
//
// Where a name leads to is checked when it is dialed, see [NewClient].
func published(issuer *url.URL, raw string) error {
	u, err := parseURL(raw)
	if err != nil {
		return err
	}
	if loopback(issuer.Hostname()) {
		return nil
	}
	if u.Scheme != "https" {
		return ErrInsecure
	}
	if port := u.Port(); port != "" && port != "443" && port != issuer.Port() {
		return fmt.Errorf("port %s is neither 443 nor the issuer's", port)
	}
	if strings.EqualFold(u.Hostname(), issuer.Hostname()) {
		return nil
	}
	if numeric(u.Hostname()) || localName(u.Hostname()) {
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

// localName reports whether host is localhost or below it.
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
