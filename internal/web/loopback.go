package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// While an app is developed, it is often opened at localhost where BaseURL says 127.0.0.1, or the other way
// round. Cookies belong to one host, so the callback would not find those of the start. This is the one place
// where the Host header decides something: between two names of this machine, for the load of a page.
//
// hostLife is how long the cookie lasts that ends a loop: a proxy may rewrite Host.
const hostLife = time.Minute

// hostName returns the name of the cookie that marks a request which was redirected to BaseURL.
func (c *Cookies) hostName() string { return c.Session + "-host" }

// WrongLoopbackName reports whether r loads a page at another loopback name than that of BaseURL, at the same
// port, and was not redirected a moment ago.
func (a *App) WrongLoopbackName(r *http.Request) bool {
	if !a.Local || strings.EqualFold(r.Host, a.URL.Host) || r.Method != http.MethodGet || !PageLoad(r) || Prefetch(r) {
		return false
	}
	at := &url.URL{Scheme: a.URL.Scheme, Host: r.Host}
	if portOf(at) != portOf(a.URL) || !Loopback(strings.ToLower(at.Hostname())) {
		return false
	}
	return !Shows(r, a.Cookies.hostName(), "1")
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// RedirectToBaseURL redirects r to the same address at BaseURL.
func (a *App) RedirectToBaseURL(w http.ResponseWriter, r *http.Request) {
	a.Cookies.Set(w.Header(), &http.Cookie{
		Name: a.Cookies.hostName(), Value: "1", Path: "/", MaxAge: int(hostLife.Seconds()),
		HttpOnly: true, Secure: a.Cookies.Secure, SameSite: http.SameSiteLaxMode,
	})
	Redirect(w, a.Origin+"/"+strings.TrimPrefix(returnpath.Encode(Address(r.URL)), "/"))
}
