package middleware

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/page"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/signin"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
)

// developing reports that the app is under development: nobody but its developer sees its pages.
func (a *Auth) developing() bool { return web.Loopback(a.app.URL.Hostname()) }

// causes returns what was found to be wrong, for a developer. Off loopback there are none: some of it is what
// others wrote.
func (a *Auth) causes(p *Problem) []string {
	if !a.developing() || p.cause == nil {
		return p.found
	}
	if lines := providers.Explain(p.cause); len(lines) > 0 {
		return lines
	}
	switch p.Reason {
	case reason.Token, reason.Answer, reason.ProviderError, reason.Unavailable, reason.APIDown, reason.Need, reason.AuthTime, reason.Parameter, reason.Identity:
		return []string{page.Printable(p.cause.Error())}
	}
	return nil
}

// hints returns the cause of p and the usual ones, while developing.
func (a *Auth) hints(p *Problem, r *http.Request) []string {
	if !a.developing() {
		return nil
	}
	_, _, shown := a.app.Cookies.Presented(r)
	_, below := a.app.Below(r.URL.Path)
	query := r.URL.Query()
	facts := page.Facts{
		Reason: string(p.Reason), Causes: a.causes(p), Logged: p.cause != nil || p.found != nil,
		Host: a.app.URL.Host, OtherHost: !strings.EqualFold(r.Host, a.app.URL.Host),
		Scheme: a.app.URL.Scheme, OtherScheme: (r.TLS != nil) != (a.app.URL.Scheme == "https") && r.Header.Get("X-Forwarded-Proto") != a.app.URL.Scheme,
		State: query.Has("state") || query.Has(signin.AnswerParam), Bound: len(a.signins.Bindings(r).Cookies) > 0, Session: shown,
		BindingCookie: a.app.Cookies.Binding, SessionCookie: a.app.Cookies.Session,
		RedirectURIs: a.app.RedirectURIs(p.Provider, a.names), Prefix: a.app.Prefix,
	}
	if !below {
		facts.StrayPath = page.Printable(r.URL.Path)
	}
	return facts.Hints()
}

var errStray = errors.New("middleware: an address of ours without its prefix: taken away by a proxy, or registered so at the provider")

// stray returns the provider of a page load that looks like one of ours without the prefix: what a proxy that
// takes it away makes of a callback, or a redirect URI that is registered so. The provider may be "".
func (a *Auth) stray(r *http.Request) (provider string, ok bool) {
	if !a.developing() || r.Method != http.MethodGet || !web.PageLoad(r) {
		return "", false
	}
	dir, action, _ := web.CutLast(r.URL.Path, "/")
	name := dir[strings.LastIndexByte(dir, '/')+1:]
	if !slices.Contains(a.names, name) {
		name = ""
	}
	switch action {
	case "callback":
		q, err := url.ParseQuery(r.URL.RawQuery)
		return name, err == nil && q.Has("state") && (q.Has("code") || q.Has("error"))
	case "login":
		return name, name != ""
	}
	return "", false
}

// serveStray serves what looks like an address of ours and is none, which is the app's unless it answers 404.
func (q *request) serveStray(next http.Handler, provider string) {
	a := q.auth
	w := &web.NotFoundWriter{ResponseWriter: &q.writer}
	next.ServeHTTP(w, q.r)
	if !w.Lost {
		return
	}
	h := q.writer.Header()
	web.DropRepresentation(h, "Set-Cookie")
	p := problem(reason.NotFound, errStray)
	p.Provider = provider
	a.refuse(&q.writer, q.r, p)
}
