package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// elements are the destinations (Sec-Fetch-Dest) of requests that do not load a page in a tab.
//
// This file reads what browsers say about a request: the Fetch Metadata headers, Origin and Referer. No script
// can set them. Browser engines differ, and a service worker that passes a navigation on changes what they say.
// The table of TestNavigation has every case that was measured.
var elements = []string{
	"iframe", "frame", "object", "embed", "fencedframe",
	"audio", "audioworklet", "font", "image", "json", "manifest", "paintworklet", "report", "script", "serviceworker",
	"sharedworker", "speculationrules", "style", "track", "video", "webidentity", "websocket", "worker", "xslt",
}

// PageLoad reports whether r loads a page in a tab, so that it may be redirected. A fetch, an image and a frame
// do not, and neither does a client that is no browser and does not ask for HTML. The mode decides. The
// destination is empty where a service worker has passed the navigation on; Accept still names HTML then.
func PageLoad(r *http.Request) bool {
	mode, dest, accept := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest"), r.Header.Get("Accept")
	switch {
	case PassedOn(r):
		return accept == "" || strings.Contains(accept, "text/html") || strings.Contains(accept, "*/*")
	case mode == "navigate":
		return !slices.Contains(elements, dest)
	case mode != "":
		return false
	case dest != "":
		return dest == "document"
	}
	return r.Header.Get("Upgrade") == "" && strings.Contains(accept, "text/html")
}

// PassedOn reports whether r is a navigation that a service worker of the app has passed on: it has no
// destination.
//
// In WebKit, all other headers are those of the worker: Sec-Fetch-Site is same-origin wherever the navigation
// came from, and if that had no referrer, Referer is the worker's script and Origin is the app's. In Firefox,
// Sec-Fetch-Site is the worker's, too, and the mode is same-origin, which no page of another origin can use;
// Accept tells such a navigation from a fetch. SameSite still holds: a form of another site has no cookie of
// the app, and a link of another site has no Strict one.
func PassedOn(r *http.Request) bool {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "empty" {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Mode") {
	case "navigate":
		return true
	case "same-origin":
		return strings.HasPrefix(r.Header.Get("Accept"), "text/html")
	}
	return false
}

// Prefetch reports whether the browser has asked for r before the user asked to see the page.
func Prefetch(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || strings.Contains(r.Header.Get("Purpose"), "prefetch") ||
		strings.Contains(r.Header.Get("X-Moz"), "prefetch")
}

// CrossOrigin reports whether a page of another origin than the configured one has sent r. Browsers have sent
// Origin with every POST since 2020, and Sec-Fetch-Site since 2023: a client that sends neither is no browser,
// and has no user's cookies. Origin decides first: WebKit says cross-site for a form of the app that opens a
// new tab, and same-origin for a navigation that a service worker has passed on.
func (a *App) CrossOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	origins := r.Header["Origin"]
	if len(origins) == 1 && origins[0] == "null" {
		// A form of a page without referrers comes from "null". So does one of a sandboxed frame, but
		// that is not same-origin unless a service worker has passed it on.
		return site != "same-origin" || PassedOn(r)
	}
	if len(origins) > 0 {
		return len(origins) > 1 || origins[0] != a.Origin
	}
	return site != "" && site != "same-origin" && site != "none"
}

// FromElsewhere reports whether a page that is not the app's may have started the navigation r, such as one of
// another site or of a sibling subdomain. An address that was typed is the user's own. session reports that r
// has a session.
func (a *App) FromElsewhere(r *http.Request, session bool) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "none":
		return false
	case "same-origin":
		return PassedOn(r) && !Shows(r, a.Cookies.ownName(), "1") && !(a.strict() && session)
	case "":
		referer := r.Header.Get("Referer")
		rest, ok := strings.CutPrefix(referer, a.Origin)
		return referer != "" && !(ok && (rest == "" || rest[0] == '/'))
	}
	return true
}

// Referer returns the address of the page that r came from; "" if there is none to return to.
func (a *App) Referer(r *http.Request) string {
	page, ok := a.OwnPath(r.Referer())
	path, _, _ := strings.Cut(page, "?")
	if !ok || PassedOn(r) && strings.HasSuffix(path, "js") {
		return "" // in WebKit, the script of a service worker
	}
	return page
}

// Address returns the path and query of u as they were asked for. A "\" in a query is written as its escape:
// browsers send it as it is.
func Address(u *url.URL) string {
	path, query, found := strings.Cut(u.RequestURI(), "?")
	if !found {
		return path
	}
	return path + "?" + strings.ReplaceAll(query, `\`, "%5C")
}

// OwnPath returns the address s in the form in which it may be sent, if it leads back to the app.
func (a *App) OwnPath(s string) (string, bool) {
	return returnpath.Clean(a.URL, a.Prefix, returnpath.Encode(s))
}
