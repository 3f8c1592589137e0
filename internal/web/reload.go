package web

import (
	"crypto/sha256"
	"net/http"
	"strconv"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
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
func (c *Cookies) reloadName(target string) (name, value string) {
	h := sha256.Sum256([]byte(target))
	return c.Session + "-reload-" + strconv.Itoa(int(h[0]%reloadSlots)), keys.Text(h[1:])[:8]
}

// ownName is the name of the cookie that proves, where a service worker hides it, that no other site has had a
// part in a navigation. It is Strict.
func (c *Cookies) ownName() string { return c.Session + "-own" }

func (c *Cookies) SetOwn(h http.Header) { c.setReload(h, c.ownName(), "1", http.SameSiteStrictMode) }

// strict reports that the session cookie is Strict.
func (a *App) strict() bool { return a.Cookies.SameSite == http.SameSiteStrictMode }

// Reloaded reports that r is the second load, and lets the next one be a first again.
func (a *App) Reloaded(h http.Header, r *http.Request) bool {
	if !a.strict() {
		return false // as most apps: at no cost
	}
	name, value := a.Cookies.reloadName(r.URL.RequestURI())
	if !Shows(r, name, value) {
		return false
	}
	a.Cookies.Clear(h, name, http.SameSiteLaxMode)
	return true
}

// KeptBack reports that the browser may have a session cookie that it has not sent with r, which shows a session or not.
func (a *App) KeptBack(r *http.Request, session bool) bool {
	return a.strict() && r.Method == http.MethodGet && !session && !a.bringsStrict(r)
}

// bringsStrict reports that Strict cookies come along with r, if there are any. Browsers without Fetch
// Metadata are believed to send them.
func (a *App) bringsStrict(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
		return true
	case "same-origin", "same-site":
		return !PassedOn(r) || Shows(r, a.Cookies.ownName(), "1")
	}
	return false
}

// CallbackKeptBack is keptBack for a callback. One that shows a cookie of the sign-in, but no session, was
// given one when it left: it always looks for it. From another site it looks whatever it shows: whether
// Strict cookies come along then depends on the engine, and on whether the provider had shown a page.
func (a *App) CallbackKeptBack(r *http.Request, session, bound bool) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	if !a.strict() || r.Method != http.MethodGet || site == "" {
		return false
	}
	return site == "cross-site" || a.KeptBack(r, session) || !session && bound
}

// Reload answers with a page that loads the same address once more, from our own site this time, so
// that the browser sends the Strict cookie along. A redirect would not do: to the browser it is
// still the other site's navigation. If to is not empty it is loaded instead, a URL of ours. again
// reports whether it did: not when r is that second load already, reloaded says. A request that is said to come from another site
// needs no cookie to tell: the second load is same-origin, in every engine.
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

func (c *Cookies) setReload(h http.Header, name, value string, sameSite http.SameSite) {
	c.Set(h, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(reloadLife.Seconds()), HttpOnly: true, Secure: c.Secure, SameSite: sameSite,
	})
}
