package middleware

import (
	"net/http"
	"strings"

	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/web"
)

// serve answers a path below the prefix.
func (q *request) serve(w http.ResponseWriter, rest string) {
	a := q.auth
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	web.Vary(h)
	web.LimitBody(w, q.r)
	var p *Problem
	switch name, action, two := strings.Cut(rest, "/"); {
	case !two && name == "login":
		p = q.chooser(w)
	case !two && name == "logout":
		p = q.logout(w)
	case !two && "/"+name == freshPath:
		p = q.fresh(w)
	case !two && name == "status":
		p = q.status(w)
	case two && a.connections.Providers[name] != nil && action == "login":
		p = q.login(w, name)
	case two && a.connections.Providers[name] != nil && action == "disconnect":
		p = q.disconnect(w, name)
	case two && a.connections.Providers[name] != nil && action == "callback":
		p = q.callback(w, name)
	default:
		p = problem(reason.NotFound, nil)
	}
	if p != nil {
		a.refuse(w, q.r, p)
	}
}
