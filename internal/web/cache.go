package web

import (
	"net/http"
	"slices"
	"strings"
)

var varyCookie = []string{"Cookie"}

// Vary says that the answer depends on the cookie.
func Vary(h http.Header) {
	if len(h["Vary"]) == 0 {
		h["Vary"] = varyCookie[:1:1]
		return
	}
	if !slices.Contains(h["Vary"], "Cookie") {
		h.Add("Vary", "Cookie")
	}
}

// Uncached makes h that of an answer which no cache keeps, of whatever vendor: a shared one must not hand
// one person's cookie to another. A header for one kind of cache goes before Cache-Control
// (RFC 9213), and is taken out.
func Uncached(h http.Header) {
	for name := range h {
		if name != "Cache-Control" && forCaches(strings.ToLower(name)) {
			delete(h, name)
		}
	}
	SetHeader(h, "Cache-Control", "no-store")
}

// forCaches reports that a header of that name, in lower case, tells a cache what to keep.
func forCaches(name string) bool {
	return strings.HasSuffix(name, "cache-control") || strings.HasSuffix(name, "surrogate-control") || strings.HasSuffix(name, "edge-control") ||
		name == "expires" || name == "x-accel-expires"
}
