package web

import (
	"net/http"
	"net/url"
	"strings"
)

// An App is where the app is, as browsers see it, and the names of its cookies.
type App struct {
	URL     *url.URL // scheme and host, as [CheckBaseURL] returns them
	Origin  string   // of URL
	Prefix  string   // of the paths of the kit's own addresses
	Home    string   // the path to go to where no other is known
	Local   bool     // the host is loopback
	Cookies Cookies
}

// strict reports whether the session cookie is Strict.
func (a *App) strict() bool { return a.Cookies.SameSite == http.SameSiteStrictMode }

// RedirectURI returns the redirect URI that is registered with the provider of that name.
func (a *App) RedirectURI(provider string) string {
	return a.Origin + a.Prefix + "/" + provider + "/callback"
}

// Below returns the part of path behind the prefix of the kit's own addresses. ok is false for any other path.
func (a *App) Below(path string) (rest string, ok bool) {
	n := len(a.Prefix)
	if len(path) <= n || path[:n] != a.Prefix || path[n] != '/' {
		return "", false
	}
	return path[n+1:], true
}

// RedirectURIs returns the redirect URI of provider, or those of all these providers, joined by "or", if
// provider is "".
func (a *App) RedirectURIs(provider string, all []string) string {
	if provider != "" {
		return a.RedirectURI(provider)
	}
	uris := make([]string, len(all))
	for i, name := range all {
		uris[i] = a.RedirectURI(name)
	}
	return strings.Join(uris, " or ")
}
