package middleware

import (
	"net/http"
	"strings"
)

// serve answers a path below the prefix.
func (a *Auth) serve(w http.ResponseWriter, q *request, rest string) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	vary(h)
	hurry(w, q.r)
	var p *Problem
	switch name, action, two := strings.Cut(rest, "/"); {
	case !two && name == "login":
		p = a.chooser(w, q)
	case !two && name == "logout":
		p = a.logout(w, q)
	case !two && "/"+name == freshPath:
		p = a.fresh(w, q)
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
