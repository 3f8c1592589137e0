package middleware

import (
	"crypto/sha256"
	"html"
	"io"
	"net/http"
	"strconv"
	"time"
)

// A browser keeps a Strict session cookie back when another site has had a part in the navigation. What
// Sec-Fetch-Site says is no sure sign of that: Firefox and WebKit keep it back, too, when an address
// that was typed led through another site, which they call "none"; and so does WebKit when it reloads. So
// a request that shows no session is answered once with a page that loads itself again. That load is
// from our own site, and has the cookie if there is one.

const (
	reloadLife  = time.Minute
	reloadSlots = 16 // cookies of reloads at most, however many tabs come at once
)

// reloadName returns the name and value of the cookie by which a load of target is known to be the
// second one. It is Lax, so that every navigation has it.
func (c *cookies) reloadName(target string) (name, value string) {
	h := sha256.Sum256([]byte(target))
	return c.session + "-reload-" + strconv.Itoa(int(h[0]%reloadSlots)), text(h[1:])[:8]
}

// ownName is the name of the cookie that proves, where a service worker hides it, that no other site has had a
// part in a navigation. It is Strict.
func (c *cookies) ownName() string { return c.session + "-own" }

func (c *cookies) setOwn(h http.Header) { c.setReload(h, c.ownName(), "1", http.SameSiteStrictMode) }

// shows reports whether r has the cookie of that name and value.
func shows(r *http.Request, name, value string) (found bool) {
	each(r, func(n, v string) bool {
		found = n == name && v == value
		return !found
	})
	return found
}

// strict reports that the session cookie is Strict.
func (a *Auth) strict() bool { return a.cookies.sameSite == http.SameSiteStrictMode }

// reloaded reports that q is the second load, and lets the next one be a first again.
func (a *Auth) reloaded(h http.Header, r *http.Request) bool {
	if !a.strict() {
		return false // as most apps: at no cost
	}
	name, value := a.cookies.reloadName(r.URL.RequestURI())
	if !shows(r, name, value) {
		return false
	}
	a.cookies.clear(h, name, http.SameSiteLaxMode)
	return true
}

// keptBack reports that the browser may have a session cookie that it has not sent with q.
func (q *request) keptBack() bool {
	r, a := q.r, q.auth
	return a.strict() && r.Method == http.MethodGet && q.session.Load().id == "" && !a.bringsStrict(r)
}

// bringsStrict reports that Strict cookies come along with r, if there are any. Browsers without Fetch
// Metadata are believed to send them.
func (a *Auth) bringsStrict(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
		return true
	case "same-origin", "same-site":
		return !passedOn(r) || shows(r, a.cookies.ownName(), "1")
	}
	return false
}

// callbackKeptBack is keptBack for a callback. One that shows a cookie of the sign-in, but no session, was
// given one when it left: it always looks for it. From another site it looks whatever it shows: whether
// Strict cookies come along then depends on the engine, and on whether the provider had shown a page.
func (q *request) callbackKeptBack(bound bool) bool {
	site := q.r.Header.Get("Sec-Fetch-Site")
	if !q.auth.strict() || q.r.Method != http.MethodGet || site == "" {
		return false
	}
	return site == "cross-site" || q.keptBack() || q.session.Load().id == "" && bound
}

// again answers with a page that loads the same address once more, from our own site this time, so
// that the browser sends the Strict cookie along. A redirect would not do: to the browser it is
// still the other site's navigation. If to is not empty it is loaded instead, a URL of ours. again
// reports whether it did: not when q is that second load already. A request that is said to come from another site
// needs no cookie to tell: the second load is same-origin, in every engine.
func (q *request) again(w http.ResponseWriter, to string) bool {
	crossSite := q.r.Header.Get("Sec-Fetch-Site") == "cross-site"
	if q.reloaded && !crossSite {
		return false
	}
	a, h := q.auth, w.Header()
	if !crossSite {
		target := to
		if target == "" {
			target = q.r.URL.RequestURI()
		}
		name, value := a.cookies.reloadName(target)
		a.cookies.setReload(h, name, value, http.SameSiteLaxMode)
		if passedOn(q.r) {
			a.cookies.setOwn(h)
		}
	}
	loadAgain(w, to)
	return true
}

// loadAgain writes a page that loads itself again, or to.
func loadAgain(w http.ResponseWriter, to string) {
	h := w.Header()
	secure(h)
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	content := "0"
	if to != "" {
		content += ";url=" + to
	}
	_, _ = io.WriteString(w, `<!doctype html><meta charset=utf-8><title>One moment</title><meta http-equiv=refresh content="`+html.EscapeString(content)+`">`)
}

func (c *cookies) setReload(h http.Header, name, value string, sameSite http.SameSite) {
	c.set(h, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(reloadLife.Seconds()), HttpOnly: true, Secure: c.secure, SameSite: sameSite,
	})
}
