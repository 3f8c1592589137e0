package middleware

import (
	"context"
	"net/http"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/page"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/signin"
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
			if err = a.connections.Check(q, q.View(), n.inner()); err == nil {
				next.ServeHTTP(w, r)
				return
			}
			if p := q.judge(w, r, outward(err)); p != nil {
				a.refuse(w, r, p)
			}
		})
	}
}

// stop answers a request that lacks something: it starts a sign-in, or returns why not.
func (q *request) stop(w http.ResponseWriter, r *http.Request, n connection.Need, l connection.Lack) *Problem {
	a := q.auth
	q.stopped.Store(true)
	s := q.View()
	h := w.Header()
	web.Vary(h)
	h.Set("Cache-Control", "no-store")
	d := q.departureFor(r, n, l)
	p, err := q.missed(r, &d, l)
	if err != nil {
		return problem(reason.Parameter, err)
	}
	if !web.PageLoad(r) || r.Method != http.MethodGet || web.Prefetch(r) || d.Purpose == signin.Link {
		return p
	}
	if s.Standing == session.Withheld {
		return p // who is signed in was not looked up, and will not be when they are back: no start, no cookie
	}
	if n.Declined(s, connection.ID(d.Provider, d.Label), l) {
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
	if d.Provider == "" {
		web.Redirect(w, p.LoginURL)
		return nil
	}
	if !signin.MayStart(a.signins.Bindings(q.r).Gates(), d.Gate, a.env.Clock()) {
		loop := problem(reason.Loop, nil)
		loop.Provider, loop.LoginURL = d.Provider, p.LoginURL
		return loop
	}
	return q.depart(w, d)
}

// departureFor returns where whoever falls short of n by l has to go, and comes back to. Its provider is ""
// if they have to choose one.
func (q *request) departureFor(r *http.Request, n connection.Need, l connection.Lack) signin.Departure {
	a := q.auth
	at := q.r.URL // as the browser knows it: r may have come through an http.StripPrefix
	back, ok := a.app.OwnPath(web.Address(q.r.URL))
	if page, known := a.app.OwnPath(r.Referer()); known && !web.PageLoad(r) {
		back, ok = page, true // what a script fetches is no place to come back to; the page that did is
	}
	if !ok {
		back = a.app.Home
	}
	d := signin.Departure{Provider: n.Provider, Label: n.Label, Purpose: signin.StepUp, Need: n, Page: q.PageID(), ReturnTo: back, Gate: signin.GatePath(at.Path)}
	switch l {
	case connection.LacksUser:
		d.Purpose, d.Label = signin.SignIn, "" // first they sign in
		if d.Provider == "" && len(a.names) == 1 {
			d.Provider = a.names[0]
		}
		return d
	case connection.LacksProvider:
		d.Purpose = signin.Link
	}
	if d.Provider == "" {
		d.Provider = q.View().Meta.Provider
	}
	return d
}

// missed returns the problem of who has to depart by d, because of l.
func (q *request) missed(r *http.Request, d *signin.Departure, l connection.Lack) (*Problem, error) {
	p := problemLacking(l, d.Provider)
	if !web.PageLoad(r) {
		p.Status = http.StatusUnauthorized // for a script both are one: there is somewhere to sign in
	}
	if d.Provider == "" { // what is asked of one provider another may not know
		var err error
		p.LoginURL, err = q.loginURL(connection.Need{}, d.ReturnTo)
		return p, err
	}
	n := d.Need
	n.Provider, n.Label, n.Again = d.Provider, d.Label, d.Purpose == signin.StepUp
	url, err := q.loginURL(n, d.ReturnTo)
	if err != nil {
		return nil, err
	}
	p.Provider, p.LoginURL = d.Provider, url
	if d.Purpose == signin.Link {
		p.LoginURL, p.LoginPost = linkURL(url), true
	}
	return p, nil
}

// Check reports how the session of ctx falls short of n; nil if it meets it. It is what [Auth.Require]
// asks before it lets a request through, for handlers that show something else instead, or need it for a
// part of what they do.
//
// The error is a [*StepUpError], whose Need leads to what is missing with [LoginURL] or [Answer]. Behind
// it is [ErrSignedOut] if nobody is signed in, [ErrNotConnected] if the provider is not connected,
// [ErrReauthRequired] if its token has ended, and [ErrStepUp] if scopes are missing or the sign-in is
// too weak or too long ago. A context that did not pass [Auth.Handler] is [ErrNoMiddleware].
func Check(ctx context.Context, n Need) error {
	q, err := from(ctx)
	if err != nil {
		return err
	}
	return outward(q.auth.connections.Check(q, q.View(), n.inner()))
}

// problemLacking is what the person is told; provider is the one that it is about.
func problemLacking(l connection.Lack, provider string) *Problem {
	p := problem(reasonOf(l), nil)
	if l == connection.LacksProvider && provider != "" {
		name := page.Label(provider)
		p.Title = "Please connect " + name
		p.Detail = "This page needs an account of yours at " + name + " that is not connected yet. You stay signed in here."
	}
	return p
}

// reasonOf is what the person is told.
func reasonOf(l connection.Lack) string {
	switch l {
	case connection.LacksUser:
		return reason.SignedOut
	case connection.LacksToken:
		return reason.Ended
	default:
		return reason.Need
	}
}
