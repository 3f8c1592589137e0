package web

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// CheckBaseURL returns the base URL s as browsers write it, or an error that says what it has to be.
func CheckBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.ForceQuery || (u.Path != "" && u.Path != "/") || u.Scheme != "http" && u.Scheme != "https" || !sentAsIs(u) {
		return nil, fmt.Errorf("middleware: config: BaseURL %q: want scheme and host as browsers send them, such as https://app.example.com", s)
	}
	if u.Scheme == "http" && !Loopback(u.Hostname()) {
		return nil, fmt.Errorf("middleware: config: BaseURL %q: want https for a host that is not loopback", s)
	}
	// A browser sends the origin in lower case and without the default port.
	u.Path, u.Host = "", strings.ToLower(u.Host)
	if p := u.Port(); p == "443" && u.Scheme == "https" || p == "80" && u.Scheme == "http" {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	return u, nil
}

// sentAsIs reports whether browsers write the host of u as it is, but for the changes that [CheckBaseURL]
// makes. If they write another one, no request has the Origin of the base URL: an international name has to be
// written as xn--…, and an address in its shortest form. A name with a star is no host.
func sentAsIs(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	for _, c := range []byte(host) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':') {
			return false
		}
	}
	if strings.HasPrefix(host, ".") || strings.Contains(host, "..") {
		return false
	}
	// https://url.spec.whatwg.org/#ends-in-a-number-checker
	last := host[strings.LastIndexByte(strings.TrimSuffix(host, "."), '.')+1:]
	if ip, err := netip.ParseAddr(host); err == nil && ip.String() != host || err != nil && '0' <= last[0] && last[0] <= '9' {
		return false
	}
	port := u.Port()
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" && !strings.HasSuffix(u.Host, ":") || err == nil && n > 0 && port[0] != '0'
}

// Loopback reports whether host is this machine by its name. Browsers take such a name to loopback, whatever a
// resolver says. RFC 6761, section 6.3.
func Loopback(host string) bool {
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// Origin returns the origin of u, as browsers send it.
func Origin(u *url.URL) string { return u.Scheme + "://" + u.Host }
