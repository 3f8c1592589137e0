package middleware

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
)

// Require protects handlers: next is called when the session meets n. Otherwise the load of a page
// is sent to the provider, and comes back to the same URL. Anything else is told where to do that:
// a script, a WebSocket and whatever else loads no page by 401 and a problem document, a form that was
// posted by a page. [Check] is the same judgment without the answer.
//
// A gate sends a browser away at most once a minute for a path. When that did not help, it shows
// a page with a button instead. Another provider than the one of the sign-in is connected with a
// button, too: a link on another site must not be able to connect it.
//
// Require panics if n names a provider that is not configured.
func (a *Auth) Require(n Need) func(http.Handler) http.Handler {
	if n.Provider != "" && a.connections.Providers[n.Provider] == nil {
		panic("middleware: Require: no provider " + n.Provider)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q, err := from(r.Context())
			if err != nil || q.auth != a {
				a.refuse(w, r, problem(reason.Handler, ErrNoMiddleware)) // a gate fails closed
				return
			}
			if err = a.connections.Check(q, q.Look(), n.inner()); err == nil {
				next.ServeHTTP(w, r)
				return
			}
			if p := a.judge(w, q, r, outward(err)); p != nil {
				a.refuse(w, r, p)
			}
		})
	}
}

// stop answers a request that lacks something: it starts a sign-in, or returns why not.
func (a *Auth) stop(w http.ResponseWriter, q *request, r *http.Request, n connection.Need, l connection.Lack) *Problem {
	q.stopped.Store(true)
	s := q.Look()
	h := w.Header()
	web.Vary(h)
	h.Set("Cache-Control", "no-store")
	d := a.departureFor(q, r, n, l)
	p, err := a.missed(q, r, &d, l)
	if err != nil {
		return problem(reason.Parameter, err)
	}
	if !web.PageLoad(r) || r.Method != http.MethodGet || web.Prefetch(r) || d.purpose == link {
		return p
	}
	if s.Standing == session.Withheld {
		return p // who is signed in was not looked up, and will not be when they are back: no start, no cookie
	}
	if n.Declined(s, connection.ID(d.provider, d.label), l) {
		return p // who has said no to it is not asked again without a word
	}
	if q.keptBack() {
		if q.again(w, "") {
			return nil
		}
		if r.Header.Get("Sec-Fetch-Site") != "none" {
			return p // who is signed in cannot be seen: a start could replace them
		}
	}
	if d.provider == "" {
		web.Redirect(w, p.LoginURL)
		return nil
	}
	if !mayStart(a.bindings(q.r).gates(), d.gate, a.env.Clock()) {
		loop := problem(reason.Loop, nil)
		loop.Provider, loop.LoginURL = d.provider, p.LoginURL
		return loop
	}
	return a.depart(w, q, d)
}

// departureFor returns where whoever falls short of n by l has to go, and comes back to. Its provider is ""
// if they have to choose one.
func (a *Auth) departureFor(q *request, r *http.Request, n connection.Need, l connection.Lack) departure {
	at := q.r.URL // as the browser knows it: r may have come through an http.StripPrefix
	back, ok := a.app.OwnPath(web.Address(q.r.URL))
	if page, known := a.app.OwnPath(r.Referer()); known && !web.PageLoad(r) {
		back, ok = page, true // what a script fetches is no place to come back to; the page that did is
	}
	if !ok {
		back = a.app.Home
	}
	d := departure{provider: n.Provider, label: n.Label, purpose: stepUp, need: n, page: q.Leaving(), returnTo: back, gate: gatePath(at.Path)}
	switch l {
	case connection.LacksUser:
		d.purpose, d.label = signIn, "" // first they sign in
		if d.provider == "" && len(a.names) == 1 {
			d.provider = a.names[0]
		}
		return d
	case connection.LacksProvider:
		d.purpose = link
	}
	if d.provider == "" {
		d.provider = q.Look().Meta.Provider
	}
	return d
}

// missed returns the problem of who has to depart by d, because of l.
func (a *Auth) missed(q *request, r *http.Request, d *departure, l connection.Lack) (*Problem, error) {
	p := problemLacking(l, d.provider)
	if !web.PageLoad(r) {
		p.Status = http.StatusUnauthorized // for a script both are one: there is somewhere to sign in
	}
	if d.provider == "" { // what is asked of one provider another may not know
		var err error
		p.LoginURL, err = a.loginURL(q, connection.Need{}, d.returnTo)
		return p, err
	}
	n := d.need
	n.Provider, n.Label, n.Again = d.provider, d.label, d.purpose == stepUp
	url, err := a.loginURL(q, n, d.returnTo)
	if err != nil {
		return nil, err
	}
	p.Provider, p.LoginURL = d.provider, url
	if d.purpose == link {
		p.LoginURL, p.LoginPost = linkURL(url), true
	}
	return p, nil
}

// gatePath returns what a loop guard remembers of a path.
func gatePath(path string) string {
	h := sha256.Sum256([]byte(path))
	return keys.Text(h[:])[:6]
}

// label returns a provider's name for people: "acme-sso" is "Acme sso".
func label(name string) string {
	known := []string{"github", "GitHub", "google", "Google", "vimeo", "Vimeo", "oidc", "OpenID Connect"}
	if i := slices.Index(known, name); i >= 0 && i%2 == 0 {
		return known[i+1]
	}
	return strings.ToUpper(name[:1]) + strings.ReplaceAll(name[1:], "-", " ")
}
