package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/returnpath"
)

// This file reads what browsers say about a request: the Fetch Metadata headers, Origin and Referer. No
// script can set them. The engines differ, and a service worker that passes a navigation on changes
// what they say; the table of TestNavigation has every case that was measured.

// elements are the destinations of a navigation that is not in a tab, and of what is no navigation.
var elements = []string{
	"iframe", "frame", "object", "embed", "fencedframe",
	"audio", "audioworklet", "font", "image", "json", "manifest", "paintworklet", "report", "script", "serviceworker",
	"sharedworker", "speculationrules", "style", "track", "video", "webidentity", "websocket", "worker", "xslt",
}

// PageLoad reports that r is the load of a page in a tab, which may be sent elsewhere, and not a
// fetch, an image, a frame, or a client that is no browser and asks for something else than HTML.
// The mode decides. The destination is empty when a service worker has passed the navigation on; what it
// accepts is still a page.
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

// PassedOn reports that r is a navigation that a service worker of the app has sent: it has no
// destination. In WebKit all else is then the worker's: Sec-Fetch-Site is same-origin whoever the navigation
// came from, and where that told no referrer, Referer is the worker's script and Origin is ours. In Firefox,
// Sec-Fetch-Site is, too, and the mode is same-origin, of which no page of another origin makes a request; what
// it accepts is left. SameSite holds: another site's form has no cookie of ours, and its link no
// Strict one.
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

// Prefetch reports that nobody has asked to see the answer to r yet.
func Prefetch(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") || strings.Contains(r.Header.Get("Purpose"), "prefetch") ||
		strings.Contains(r.Header.Get("X-Moz"), "prefetch")
}

// CrossOrigin reports that r was sent by a page of another origin than the configured one. Browsers
// have sent Origin with every POST since 2020, and Sec-Fetch-Site since 2023: what sends neither is
// no browser, and carries nobody's cookies. Origin comes first: WebKit calls a form of ours that opens a
// new tab cross-site, and a service worker's navigation same-origin.
func (a *App) CrossOrigin(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	origins := r.Header["Origin"]
	if len(origins) == 1 && origins[0] == "null" {
		// A form of a page without referrers comes from "null"; so does one of a sandboxed frame, but
		// that is never of the same origin, unless a service worker stands between.
		return site != "same-origin" || PassedOn(r)
	}
	if len(origins) > 0 {
		return len(origins) > 1 || origins[0] != a.Origin
	}
	return site != "" && site != "same-origin" && site != "none"
}

// FromElsewhere reports that the navigation r, which shows a session or not, may have been started by a page that is not ours, such as one of
// another site or of a sibling subdomain. An address that was typed is the person's own.
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

// Referer returns the address of the page that r came from; "" if there is none that can be come back to.
func (a *App) Referer(r *http.Request) string {
	page, ok := a.OwnPath(r.Referer())
	path, _, _ := strings.Cut(page, "?")
	if !ok || PassedOn(r) && strings.HasSuffix(path, "js") {
		return "" // a service worker's script, in WebKit
	}
	return page
}

// address returns u as it was asked for. Browsers send a "\" in a query as it is, where it means no more than
// its escape.
func Address(u *url.URL) string {
	path, query, found := strings.Cut(u.RequestURI(), "?")
	if !found {
		return path
	}
	return path + "?" + strings.ReplaceAll(query, `\`, "%5C")
}

// OwnPath returns the address s if it leads back to the app, as it may be sent.
func (a *App) OwnPath(s string) (string, bool) {
	return returnpath.Clean(a.URL, a.Prefix, returnpath.Encode(s))
}
