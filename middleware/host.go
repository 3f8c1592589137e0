package middleware

import (
	"context"
	"log/slog"
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
func (c *cookies) hostName() string { return c.session + "-host" }

// misnamed reports that r is the load of a page at another loopback name than BaseURL's, at the same port,
// and was not sent on a moment ago.
func (a *Auth) misnamed(r *http.Request) bool {
	if !a.local || strings.EqualFold(r.Host, a.base.Host) || r.Method != http.MethodGet || !pageLoad(r) || prefetch(r) {
		return false
	}
	at := &url.URL{Scheme: a.base.Scheme, Host: r.Host}
	if portOf(at) != portOf(a.base) || !loopback(strings.ToLower(at.Hostname())) {
		return false
	}
	return !shows(r, a.cookies.hostName(), "1")
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

// toBaseURL sends r to the same address at BaseURL.
func (a *Auth) toBaseURL(w http.ResponseWriter, r *http.Request) {
	a.cookies.set(w.Header(), &http.Cookie{
		Name: a.cookies.hostName(), Value: "1", Path: "/", MaxAge: int(hostLife.Seconds()),
		HttpOnly: true, Secure: a.cookies.secure, SameSite: http.SameSiteLaxMode,
	})
	redirect(w, a.origin+"/"+strings.TrimPrefix(returnpath.Encode(address(r.URL)), "/"))
}

// redirectURI is what is registered with the provider of that name.
func (a *Auth) redirectURI(provider string) string {
	return a.origin + a.prefix + "/" + provider + "/callback"
}

// announce tells the log what has to be registered with each provider.
func (a *Auth) announce() {
	for _, name := range a.names {
		a.event(context.Background(), slog.LevelInfo, "provider configured", "", slog.String("provider", name), slog.String("redirect_uri", a.redirectURI(name)))
	}
}
