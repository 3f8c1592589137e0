package web

import (
	"net/url"
	"strings"
)

// An App is where the app is, as browsers see it, and the names of its cookies.
type App struct {
	URL     *url.URL // scheme and host
	Origin  string
	Prefix  string // of the kit's own addresses
	Home    string
	Local   bool // the address is loopback
	Cookies Cookies
}

// RedirectURI is what is registered with the provider of that name.
func (a *App) RedirectURI(provider string) string {
	return a.Origin + a.Prefix + "/" + provider + "/callback"
}

// Below returns what follows the prefix in path.
func (a *App) Below(path string) (rest string, ok bool) {
	n := len(a.Prefix)
	if len(path) <= n || path[:n] != a.Prefix || path[n] != '/' {
		return "", false
	}
	return path[n+1:], true
}

// RedirectURIs returns the redirect URI of a provider, or those of all these if it is "".
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
