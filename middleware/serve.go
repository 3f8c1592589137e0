package middleware

import (
	"net/http"
	"strings"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/web"
)

// serve answers a path below the prefix.
func (a *Auth) serve(w http.ResponseWriter, q *request, rest string) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	web.Vary(h)
	web.LimitBody(w, q.r)
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
	case two && a.connections.Providers[name] != nil && action == "login":
		p = a.login(w, q, name)
	case two && a.connections.Providers[name] != nil && action == "disconnect":
		p = a.disconnect(w, q, name)
	case two && a.connections.Providers[name] != nil && action == "callback":
		p = a.callback(w, q, name)
	default:
		p = problem(reason.NotFound, nil)
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
	return problem(reason.Method, nil)
}
