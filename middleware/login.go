package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/page"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
)

const ()

// LoginURL returns the path that starts a sign-in for n, and comes back to returnTo. What
// [SavePage] saved in this request comes back with it. The path is good for a day, for anybody:
// it says what to ask for, not for whom. Where n leaves the provider open, and there are several, it is that of a page which lists them.
//
// returnTo is an address of this site, such as r.URL.RequestURI(). A path that is decoded, as r.URL.Path is,
// comes back, too: spaces, quotes, angle brackets and what is not ASCII are encoded, while "%", "?" and "#" mean what
// they do in a URL. It is [ErrReturnTo] if it leaves the site or lies below Prefix, or has a control character, a
// backslash, a dot segment, or a "%" that begins no escape. "" is the page that the link is on.
//
// For somebody who is signed in, a Need of the same provider asks for the step-up; one of another
// provider signs in with that instead. To connect it as well, POST to the same path with the
// parameter purpose=link, in the query or the form; a parameter label there, of 1 to 32 of a-z 0-9 -,
// keeps several accounts at one provider apart, at most 16 in a session. A label that is connected
// already with another account is connected anew, and the former account is disconnected as by
// [Disconnect]. At the provider of the sign-in, the connection without a label is always the account of the sign-in: another one needs a label.
func LoginURL(ctx context.Context, n Need, returnTo string) (string, error) {
	q, err := from(ctx)
	if err != nil {
		return "", err
	}
	return q.loginURL(n.inner(), returnTo)
}

func (q *request) loginURL(n connection.Need, returnTo string) (string, error) {
	a := q.auth
	name := n.Provider
	if s := q.View(); name == "" && s.SignedIn() {
		name = s.Meta.Provider
	}
	if name == "" && len(a.names) == 1 {
		name = a.names[0]
	}
	if name != "" && a.connections.Providers[name] == nil {
		return "", fmt.Errorf("middleware: login url: no provider %q", name)
	}
	v := url.Values{}
	if returnTo != "" {
		path, ok := a.app.OwnPath(returnTo)
		if !ok {
			return "", ErrReturnTo
		}
		v.Set(returnParam, path)
	}
	page := q.PageID()
	if page != "" || n.Special() {
		sealed, err := a.signins.SealNeed(n, name, page)
		if err != nil {
			return "", err
		}
		v.Set(needParam, sealed)
	}
	path := a.app.Prefix + "/login" // which lists the providers
	if name != "" {
		path = a.app.Prefix + "/" + name + "/login"
	}
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	return path, nil
}

// login answers the address that starts a sign-in.
func (q *request) login(w http.ResponseWriter, name string) *Problem {
	a := q.auth
	r := q.r
	if p := methods(w, r, http.MethodGet, http.MethodPost); p != nil {
		return p
	}
	if r.Method == http.MethodPost && a.app.CrossOrigin(r) {
		return problem(reason.CrossOrigin, nil)
	}
	if web.Prefetch(r) || (r.Header.Get("Sec-Fetch-Dest") != "" || r.Header.Get("Sec-Fetch-Mode") != "") && !web.PageLoad(r) {
		return problem(reason.Navigation, nil)
	}
	s := q.Now.Load()
	blind := false // who is signed in cannot be seen: a start could replace them
	if q.keptBack() {
		v := r.URL.Query()
		v.Set(elsewhereParam, "1")
		if q.again(w, a.app.Prefix+"/"+name+"/login?"+v.Encode()) {
			return nil
		}
		blind = r.Header.Get("Sec-Fetch-Site") != "none"
	}
	d := signin.Departure{Provider: name, Purpose: signin.SignIn}
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		if err := web.ReadForm(w, r); err != nil {
			return problemOf(err)
		}
		form = r.Form
		if web.PassedOn(r) && s.ID == "" && form.Get(purposeParam) != "link" {
			// It may be another site's form, without the session that this browser has: a GET shows it.
			v := url.Values{returnParam: {q.returnTo(form)}}
			if form.Has(needParam) {
				v.Set(needParam, form.Get(needParam))
			}
			web.Redirect(w, a.app.Prefix+"/"+name+"/login?"+v.Encode())
			return nil
		}
		if form.Get(purposeParam) == "link" {
			d.Purpose = signin.Link
			if p := q.outdated(); p != nil {
				return p
			}
		}
	}
	d.ReturnTo = q.returnTo(form)
	if sealed := form.Get(needParam); sealed != "" {
		n, page, ok := a.signins.OpenNeed(sealed, name)
		if !ok {
			p := problem(reason.Parameter, nil)
			if s.SignedIn() && (d.Purpose == signin.Link || name != s.Meta.Provider) {
				p.BackURL = d.ReturnTo // whose link knows what it was for: to sign in instead would be another session
				return p
			}
			return a.retryable(p, name, d.ReturnTo)
		}
		d.Need, d.Page = n, page
	}
	if p := a.aim(s, &d, form); p != nil {
		return p
	}
	if blind {
		return a.anew(problem(reason.SignedOut, nil), &d)
	}
	if s.SignedIn() && d.Purpose == signin.SignIn && r.Method == http.MethodGet && (a.app.FromElsewhere(r, s.ID != "") || form.Has(elsewhereParam)) {
		// A link elsewhere must not replace who is signed in by whoever a provider knows, their own
		// provider included: the person says so on a page of ours. A step-up needs no question: it
		// comes back as the same person or not at all.
		if web.PassedOn(r) {
			a.app.Cookies.SetOwn(w.Header()) // by which the button is known to be ours
		}
		return a.anew(problem(reason.Switch, nil), &d)
	}
	return q.depart(w, d)
}

// returnTo returns the return address that a start carries: its parameter, or else the page that it
// was clicked on. One that leaves the site is as good as none.
func (q *request) returnTo(form url.Values) string {
	a := q.auth
	given, named := form[returnParam]
	if named {
		if path, ok := a.app.OwnPath(given[0]); ok && len(given) == 1 {
			return path
		}
		a.env.Log.Visitor(q, slog.LevelInfo, "return address ignored", reason.ReturnTo)
		return a.app.Home
	}
	return cmp.Or(a.app.Referer(q.r), a.app.Home)
}

// depart sends the browser to the provider.
func (q *request) depart(w http.ResponseWriter, d signin.Departure) *Problem {
	a := q.auth
	if d.Purpose != signin.SignIn && !q.Now.Load().SignedIn() {
		return a.retryable(problem(reason.SignedOut, nil), d.Provider, d.ReturnTo)
	}
	out, err := a.signins.Start(&q.Request, q.r, &d)
	switch p := problemOf(err); {
	case reason.Of(err) == reason.Connections:
		p.Provider, p.BackURL = d.Provider, d.ReturnTo
		return p
	case reason.Of(err) != "":
		return p
	case err != nil:
		return a.anew(beginProblem(err, d.Provider), &d)
	}
	h := w.Header()
	a.signins.SetBindings(h, out.Bound)
	if out.Session != "" {
		// Nothing is stored for it: the secret is derived, and whoever comes back with it is
		// whoever it was given to.
		a.app.Cookies.SetSession(h, out.Session, out.Secret, a.env.Clock().Add(a.sessions.Manager.Lifetime), a.app.Cookies.Persist)
	}
	a.env.Log.Visitor(q, slog.LevelInfo, "sign-in started", "", slog.String("provider", d.Provider))
	web.Redirect(w, out.To)
	return nil
}

func beginProblem(err error, provider string) *Problem {
	p := problem(reason.Unavailable, err)
	switch {
	case errors.Is(err, providers.ErrUnmet):
		p = problem(reason.Need, err) // it has no way to ask for that
	case !errors.Is(err, providers.ErrUnavailable):
		p.RetryAfter = 0
	}
	p.Provider = provider
	return p
}

// retryable adds to p where to start again.
func (a *Auth) retryable(p *Problem, provider, returnTo string) *Problem {
	p.LoginURL = a.app.Prefix + "/" + provider + "/login?" + url.Values{returnParam: {returnTo}}.Encode()
	return p
}

// anew adds to p where to start once more what d is for. To sign in instead would be another session,
// and what was saved for the page would not come back with it.
func (a *Auth) anew(p *Problem, d *signin.Departure) *Problem {
	n, v := d.Need, url.Values{returnParam: {d.ReturnTo}}
	n.Again = n.Again || d.Purpose == signin.StepUp
	if d.Page != "" || n.Special() {
		if sealed, err := a.signins.SealNeed(n, d.Provider, d.Page); err == nil {
			v.Set(needParam, sealed)
		}
	}
	if d.Purpose == signin.Link && d.Label != "" {
		v.Set(labelParam, d.Label)
	}
	p.LoginURL = a.app.Prefix + "/" + d.Provider + "/login?" + v.Encode()
	if d.Purpose == signin.Link {
		p.LoginURL, p.LoginPost = linkURL(p.LoginURL), true
	}
	return p
}

// chooser lists the providers, or goes on where there is only one.
func (q *request) chooser(w http.ResponseWriter) *Problem {
	a := q.auth
	if p := methods(w, q.r, http.MethodGet, http.MethodHead); p != nil {
		return p
	}
	given := q.r.URL.Query()
	v := url.Values{returnParam: {q.returnTo(given)}}
	if _, _, ok := a.signins.OpenNeed(given.Get(needParam), ""); ok {
		v.Set(needParam, given.Get(needParam))
	}
	query := v.Encode()
	if len(a.names) == 1 {
		web.Redirect(w, a.app.Prefix+"/"+a.names[0]+"/login?"+query)
		return nil
	}
	p := page.Page{Status: http.StatusOK, Title: "Sign in", Detail: "Choose how you would like to sign in.", Home: a.app.Home}
	for _, name := range a.names {
		p.Choices = append(p.Choices, page.Choice{Name: page.Label(name), URL: a.app.Prefix + "/" + name + "/login?" + query})
	}
	p.Write(w)
	return nil
}

// linkURL returns url as one that connects the provider, for a POST.
func linkURL(url string) string {
	sep := "?"
	if strings.Contains(url, "?") {
		sep = "&"
	}
	return url + sep + purposeParam + "=link"
}
