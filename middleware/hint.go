package middleware

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/returnleg/returnleg/internal/reason"
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
		return []string{printable(p.cause.Error())}
	}
	return nil
}

// printable returns text as it may be shown.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), 1024)]
}

// hints returns the cause of p and the usual ones, while developing.
func (a *Auth) hints(p *Problem, r *http.Request) []string {
	if !a.developing() {
		return nil
	}
	var hints []string
	for _, cause := range a.causes(p) {
		hints = append(hints, "Cause: "+cause)
	}
	if !strings.EqualFold(r.Host, a.app.URL.Host) {
		hints = append(hints, "You opened this at another host than BaseURL, "+a.app.URL.Host+". Cookies belong to one host: localhost and 127.0.0.1 are two.")
	}
	if (r.TLS != nil) != (a.app.URL.Scheme == "https") && r.Header.Get("X-Forwarded-Proto") != a.app.URL.Scheme {
		hints = append(hints, "BaseURL says "+a.app.URL.Scheme+", and this request came otherwise. Secure cookies need https all the way.")
	}
	return append(hints, a.usual(p, r)...)
}

// usual returns the usual causes of a problem like p.
func (a *Auth) usual(p *Problem, r *http.Request) (hints []string) {
	switch p.Reason {
	case reason.State:
		switch {
		case !r.URL.Query().Has("state") && !r.URL.Query().Has(answerParam):
			hints = append(hints, "The address has no state parameter: the provider has not sent it back, or this is no answer of a provider.")
		case len(a.signins.Bindings(r).Cookies) == 0:
			hints = append(hints, "The browser sent no cookie "+a.app.Cookies.Binding+"…: it started at another host, blocks cookies, or has lost them.")
		default:
			hints = append(hints, "A cookie came along, but does not open this state: the keys were made up anew when the server restarted, or another tab's address was pasted here.")
		}
	case reason.SignedOut, reason.Loop, reason.SessionChanged:
		if _, _, ok := a.app.Cookies.Presented(r); !ok {
			hints = append(hints, "The browser sent no cookie "+a.app.Cookies.Session+".")
		}
		if p.Reason == reason.Loop {
			hints = append(hints, "Another app at this host may use the cookie "+a.app.Cookies.Session+", too, and sign people out here. Give each a Prefix of its own, below its path, or a CookieName.")
		}
	case reason.Unavailable:
		if p.cause == nil && p.found == nil {
			hints = append(hints, "The log has the provider's error: an address that does not answer, or a discovery document of another issuer.")
		}
	case reason.Token, reason.ProviderError:
		uri := a.redirectURIs(p.Provider)
		switch {
		case len(a.causes(p)) == 0:
			hints = append(hints, "The log has the check that failed, where this page was first shown.",
				"Often: the wrong client secret, or a redirect URI that is not registered as "+uri+".")
		case p.Reason == reason.ProviderError:
			hints = append(hints, "The redirect URI that it was sent is "+uri+".")
		}
	case reason.AppFailed:
		hints = append(hints, "OnLogin returned an error that is no refusal; the log has it. One of middleware.Refuse says that somebody may not sign in.")
	case reason.NotFound:
		hints = append(hints, "The address to register at a provider is "+a.redirectURIs(p.Provider)+".")
		if _, ours := a.app.Below(r.URL.Path); !ours {
			hints = append(hints, "This came to "+printable(r.URL.Path)+", which is not below "+a.app.Prefix+": is there a proxy that takes "+a.app.Prefix+" away, or another address at the provider?")
		}
	}
	return hints
}

// redirectURIs returns the redirect URI of a provider, or those of all.
func (a *Auth) redirectURIs(provider string) string {
	names := a.names
	if provider != "" {
		names = []string{provider}
	}
	var all []string
	for _, name := range names {
		all = append(all, a.app.Origin+a.app.Prefix+"/"+name+"/callback")
	}
	return strings.Join(all, " or ")
}

var errStray = errors.New("middleware: an address of ours without its prefix: taken away by a proxy, or registered so at the provider")

// stray returns the provider of a page load that looks like one of ours without the prefix: what a proxy that
// takes it away makes of a callback, or a redirect URI that is registered so. The provider may be "".
func (a *Auth) stray(r *http.Request) (provider string, ok bool) {
	if !a.developing() || r.Method != http.MethodGet || !web.PageLoad(r) {
		return "", false
	}
	dir, action, _ := cutLast(r.URL.Path, "/")
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

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// A strayWriter holds back the app's 404, for a page that says what may be wrong.
type strayWriter struct {
	http.ResponseWriter
	lost, begun bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *strayWriter) WriteHeader(status int) {
	w.lost = w.lost || !w.begun && status == http.StatusNotFound
	w.begun = w.begun || status >= 200
	if !w.lost {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *strayWriter) Write(b []byte) (int, error) {
	if w.lost {
		return len(b), nil
	}
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap serves [http.ResponseController].
func (w *strayWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// serveStray serves what looks like an address of ours and is none, which is the app's unless it answers 404.
func (q *request) serveStray(next http.Handler, provider string) {
	a := q.auth
	w := &strayWriter{ResponseWriter: &q.writer}
	next.ServeHTTP(w, q.r)
	if !w.lost {
		return
	}
	h := q.writer.Header()
	web.DropRepresentation(h, "Set-Cookie")
	p := problem(reason.NotFound, errStray)
	p.Provider = provider
	a.refuse(&q.writer, q.r, p)
}
