// Package address says where a request to a provider may go: to which URLs, and to which IP addresses behind their names.
//
// It promises that a URL which Parse returns is https, or http to loopback; that an endpoint of a provider's metadata
// passes Published only if it leads to a public web server, or to where its issuer is itself; and that a client of
// NewClient judges the IP address that it connects to, after the name was resolved. It reads no answer: package call
// sends the requests, and decides about redirects.
package address
