package middleware

import (
	"html"
	"io"
	"net/http"
	"strings"
)

// serve answers a path below the prefix.
func (a *Auth) serve(w http.ResponseWriter, q *request, rest string) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	vary(h)
	var p *Problem
	switch name, action, two := strings.Cut(rest, "/"); {
	case !two && name == "login":
		p = a.chooser(w, q)
	case !two && name == "logout":
		p = a.logout(w, q)
	case !two && name == "status":
		p = a.status(w, q)
	case two && a.providers[name] != nil && action == "login":
		p = a.login(w, q, name)
	case two && a.providers[name] != nil && action == "disconnect":
		p = a.disconnect(w, q, name)
	case two && a.providers[name] != nil && action == "callback":
		p = a.callback(w, q, name)
	default:
		p = problem(ReasonNotFound, nil)
	}
	if p != nil {
		a.refuse(w, q.r, p)
	}
}

// methods refuses requests by any other method than those.
func methods(w http.ResponseWriter, r *http.Request, allowed ...string) *Problem {
	for _, m := range allowed {
		if r.Method == m {
			return nil
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return problem(ReasonMethod, nil)
}

// pageLoad reports that r is the load of a page in a tab, which may be sent elsewhere, and not a
// fetch, an image, a frame, or a client that is no browser and asks for something else than HTML.
func pageLoad(r *http.Request) bool {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" {
		return dest == "document"
	}
	if r.Header.Get("Sec-Fetch-Mode") != "" || r.Header.Get("Upgrade") != "" {
		return false
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// prefetch reports that nobody has asked to see the answer to r yet.
func prefetch(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || strings.Contains(r.Header.Get("Purpose"), "prefetch") ||
		strings.Contains(r.Header.Get("X-Moz"), "prefetch")
}

// crossOrigin reports that r was sent by a page of another origin than the configured one. Browsers
// have sent Origin with every POST since 2020, and Sec-Fetch-Site since 2023: what sends neither is
// no browser, and carries nobody's cookies.
func (a *Auth) crossOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	origins := r.Header["Origin"]
	if len(origins) == 1 && origins[0] == "null" {
		// A form of a page without referrers, such as our own pages, comes from "null"; so does
		// one of a sandboxed frame, but that is never of the same origin.
		return site != "same-origin"
	}
	if len(origins) > 0 {
		return len(origins) > 1 || origins[0] != a.origin
	}
	return site != "" && site != "same-origin" && site != "none"
}

// hopping reports that r comes from another site without the session cookie that Strict keeps back.
// A page that loads itself again gets it: see [Auth.again].
func (a *Auth) hopping(r *http.Request) bool {
	return a.cookies.sameSite == http.SameSiteStrictMode && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

// again answers with a page that loads the same address once more, from our own site this time, so
// that the browser sends the Strict cookie along. A redirect would not do: to the browser it is
// still the other site's navigation. If to is not empty it is loaded instead, a URL of ours.
func (a *Auth) again(w http.ResponseWriter, to string) {
	h := w.Header()
	secure(h)
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	content := "0"
	if to != "" {
		content += ";url=" + to
	}
	_, _ = io.WriteString(w, `<!doctype html><meta charset=utf-8><title>One moment</title><meta http-equiv=refresh content="`+html.EscapeString(content)+`">`)
}

// secure sets the headers of every page of ours.
func secure(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
}

// redirect sends the browser to a URL that is written as it is: http.Redirect would clean it, and
// what was judged is not what would be sent.
func redirect(w http.ResponseWriter, url string) {
	h := w.Header()
	h.Set("Location", url)
	header(h, "Cache-Control", "no-store")
	header(h, "Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// header sets a header that is often set already. name is in canonical form.
func header(h http.Header, name, value string) {
	if vs := h[name]; len(vs) == 1 && vs[0] == value {
		return
	}
	h[name] = []string{value}
}
