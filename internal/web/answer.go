package web

import (
	"html"
	"io"
	"net/http"
	"slices"
	"strings"
)

// PageHeader sets the headers of every page of ours.
func PageHeader(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
}

// Redirect sends the browser to a URL that is written as it is: http.Redirect would clean it, and
// what was judged is not what would be sent.
func Redirect(w http.ResponseWriter, url string) {
	h := w.Header()
	h.Set("Location", url)
	SetHeader(h, "Cache-Control", "no-store")
	SetHeader(h, "Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// SetHeader sets a header that is often set already. name is in canonical form.
func SetHeader(h http.Header, name, value string) {
	if vs := h[name]; len(vs) == 1 && vs[0] == value {
		return
	}
	h[name] = []string{value}
}

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

// LoadAgain writes a page that loads itself again, or to.
func LoadAgain(w http.ResponseWriter, to string) {
	h := w.Header()
	PageHeader(h)
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	content := "0"
	if to != "" {
		content += ";url=" + to
	}
	_, _ = io.WriteString(w, `<!doctype html><meta charset=utf-8><title>One moment</title><meta http-equiv=refresh content="`+html.EscapeString(content)+`">`)
}

// Safe reports that a request by that method asks for nothing to be changed.
// RFC 9110, section 9.2.1.
func Safe(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, method)
}
