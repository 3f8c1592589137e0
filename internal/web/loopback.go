package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// While developing, an app is often opened at localhost where BaseURL says 127.0.0.1, or the other way
// round. Cookies belong to one host, so a sign-in would fail at the end of the whole trip. This is the
// one place where Host decides something: between two names of this machine, for the load of a page.

const hostLife = time.Minute

// hostName is the name of the cookie that keeps a proxy that rewrites Host from turning it into a loop.
func (c *Cookies) hostName() string { return c.Session + "-host" }

// WrongLoopbackName reports that r is the load of a page at another loopback name than BaseURL's, at the same port,
// and was not sent on a moment ago.
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

// RedirectToBaseURL sends r to the same address at BaseURL.
func (a *App) RedirectToBaseURL(w http.ResponseWriter, r *http.Request) {
	a.Cookies.Set(w.Header(), &http.Cookie{
		Name: a.Cookies.hostName(), Value: "1", Path: "/", MaxAge: int(hostLife.Seconds()),
		HttpOnly: true, Secure: a.Cookies.Secure, SameSite: http.SameSiteLaxMode,
	})
	Redirect(w, a.Origin+"/"+strings.TrimPrefix(returnpath.Encode(Address(r.URL)), "/"))
}
