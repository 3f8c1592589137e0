package web

import (
	"html"
	"io"
	"net/http"
	"slices"
)

// PageHeader sets the headers that every page of the kit has.
func PageHeader(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
}

// Redirect sends the browser to url, which is written as it is: http.Redirect would clean it, so that another
// URL would be sent than the one that was judged.
func Redirect(w http.ResponseWriter, url string) {
	h := w.Header()
	h.Set("Location", url)
	setHeader(h, "Cache-Control", "no-store")
	setHeader(h, "Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// setHeader sets a header, and allocates nothing if it is set already. name is in canonical form.
func setHeader(h http.Header, name, value string) {
	if vs := h[name]; len(vs) == 1 && vs[0] == value {
		return
	}
	h[name] = []string{value}
}

// LoadAgain writes a page that loads itself again, or the URL to if it is not "".
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

// Safe reports whether a request by that method asks for no change. RFC 9110, section 9.2.1.
func Safe(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, method)
}
