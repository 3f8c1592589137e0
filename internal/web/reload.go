package web

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
)

// A browser does not send a Strict session cookie with a navigation in which another site had a part.
// Sec-Fetch-Site does not tell for sure: Firefox and WebKit say "none" where a typed address led through
// another site, and do not send the cookie; nor does WebKit when it reloads such a page. So a request without a
// session is answered once with a page that loads itself again. The second load is from the app's own site, and
// has the cookie if there is one.
const (
	reloadLife  = time.Minute
	reloadSlots = 16 // cookies of reloads at most, however many tabs come at once
)

// reloadName returns the name and value of the cookie that marks the next load of target as the second one. The
// cookie is Lax: every navigation has it.
func (c *Cookies) reloadName(target string) (name, value string) {
	h := sha256.Sum256([]byte(target))
	return c.Session + "-reload-" + strconv.Itoa(int(h[0]%reloadSlots)), keys.Text(h[1:])[:8]
}

// SetOwn adds to h the Strict cookie that proves that a navigation comes from the app itself.
func (c *Cookies) SetOwn(h http.Header) { c.setReload(h, c.ownName(), "1", http.SameSiteStrictMode) }

// Reloaded reports whether r is the second load of a page. It clears the mark of that in h, so that the next
// load is a first one.
func (a *App) Reloaded(h http.Header, r *http.Request) bool {
	if !a.strict() {
		return false // most apps: at no cost
	}
	name, value := a.Cookies.reloadName(r.URL.RequestURI())
	if !Shows(r, name, value) {
		return false
	}
	a.Cookies.Clear(h, name, http.SameSiteLaxMode)
	return true
}

// KeptBack reports whether the browser may have a session cookie that it has not sent with r. session reports
// that r has a session.
func (a *App) KeptBack(r *http.Request, session bool) bool {
	return a.strict() && r.Method == http.MethodGet && !session && !a.bringsStrict(r)
}

// bringsStrict reports whether the browser has sent its Strict cookies with r. A browser without Fetch Metadata
// is taken to send them.
func (a *App) bringsStrict(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
		return true
	case "same-origin", "same-site":
		return !PassedOn(r) || Shows(r, a.Cookies.ownName(), "1")
	}
	return false
}

// CallbackKeptBack is [App.KeptBack] for a callback. bound reports that r has a binding cookie: a browser that
// has one, but no session, was given a session at the start, so it is asked again. A callback from another site
// is always asked again: it depends on the engine, and on whether the provider showed a page, whether Strict
// cookies came along.
func (a *App) CallbackKeptBack(r *http.Request, session, bound bool) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if !a.strict() || r.Method != http.MethodGet || site == "" {
		return false
	}
	return site == "cross-site" || a.KeptBack(r, session) || !session && bound
}

// Reload answers with a page that loads the same address again, so that the browser sends its Strict cookies. A
// redirect would not do: to the browser, that is still the navigation of the other site. If to is not "", the
// page loads that URL of the app instead.
//
// Reload answers nothing and returns false if r is the second load already, as reloaded reports. A request from
// another site needs no such mark: its second load is same-origin in every engine.
func (a *App) Reload(w http.ResponseWriter, r *http.Request, to string, reloaded bool) bool {
	crossSite := r.Header.Get("Sec-Fetch-Site") == "cross-site"
	if reloaded && !crossSite {
		return false
	}
	h := w.Header()
	if !crossSite {
		target := to
		if target == "" {
			target = r.URL.RequestURI()
		}
		name, value := a.Cookies.reloadName(target)
		a.Cookies.setReload(h, name, value, http.SameSiteLaxMode)
		if PassedOn(r) {
			a.Cookies.SetOwn(h)
		}
	}
	LoadAgain(w, to)
	return true
}

// setReload adds a cookie that lasts for reloadLife to h.
func (c *Cookies) setReload(h http.Header, name, value string, sameSite http.SameSite) {
	c.Set(h, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(reloadLife.Seconds()), HttpOnly: true, Secure: c.Secure, SameSite: sameSite,
	})
}
