package web

import (
	"net/http"
	"slices"
	"strings"
)

var varyCookie = []string{"Cookie"}

// Vary notes in h that the answer depends on the cookies.
func Vary(h http.Header) {
	if len(h["Vary"]) == 0 {
		h["Vary"] = varyCookie[:1:1]
		return
	}
	if !slices.Contains(h["Vary"], "Cookie") {
		h.Add("Vary", "Cookie")
	}
}

// Uncached makes h the header of an answer that no cache keeps, of any vendor: a shared cache must not give the
// cookie of one user to another. A header for one kind of cache takes precedence over Cache-Control (RFC 9213),
// and is removed.
func Uncached(h http.Header) {
	for name := range h {
		if name != "Cache-Control" && forCaches(strings.ToLower(name)) {
			delete(h, name)
		}
	}
	setHeader(h, "Cache-Control", "no-store")
}

// forCaches reports whether a header of that name, in lower case, tells a cache what to keep.
func forCaches(name string) bool {
	return strings.HasSuffix(name, "cache-control") || strings.HasSuffix(name, "surrogate-control") || strings.HasSuffix(name, "edge-control") ||
		name == "expires" || name == "x-accel-expires"
}
