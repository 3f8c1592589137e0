package middleware

import (
	"cmp"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cookies are the names and attributes of the two kinds of cookie.
type cookies struct {
	session  string // name
	binding  string // prefix of names
	secure   bool
	sameSite http.SameSite // of the session cookie; the binding cookie is always Lax
	persist  bool
}

// newCookies derives the names from where the app is. A cookie is sent to every port and path of a host:
// what is in the name keeps two apps apart. On loopback http the prefix __Host- and Secure cannot be
// relied on.
func newCookies(base *url.URL, prefix, name string, sameSite http.SameSite, persist bool) cookies {
	if sameSite != http.SameSiteStrictMode {
		sameSite = http.SameSiteLaxMode
	}
	c := cookies{sameSite: sameSite, persist: persist, secure: base.Scheme == "https"}
	c.session = cmp.Or(name, "rl"+nameOf(prefix))
	port := base.Port()
	if !c.secure {
		port = cmp.Or(port, "80")
	}
	if port != "" {
		c.session += "-" + port
	}
	if c.secure {
		c.session = "__Host-" + c.session
	}
	c.binding = c.session + "-bind-"
	return c
}

// nameOf returns the part of a cookie's name that says which prefix it belongs to. It has no hyphen: what
// follows one is the port, or what kind of cookie it is.
func nameOf(prefix string) string {
	if prefix == defaultPrefix {
		return ""
	}
	if len(prefix) > 24 {
		h := sha256.Sum256([]byte(prefix))
		prefix = "/" + text(h[:6])
	}
	return strings.NewReplacer("/", ".", "-", "~").Replace(prefix)
}

// each yields the cookies of r as they came. Names are compared byte by byte by the caller: names
// that only look alike, in other case or behind a space, are not ours.
func each(r *http.Request, yield func(name, value string) bool) {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var part string
			part, line, _ = strings.Cut(line, ";")
			part = strings.Trim(part, " \t")
			if name, value, ok := strings.Cut(part, "="); ok && !yield(name, value) {
				return
			}
		}
	}
}

// presented returns the session cookie's parts; ok is false if there is none, if it is malformed,
// or if there are two, because then somebody else may have planted one.
func (c *cookies) presented(r *http.Request) (sid, secret string, ok bool) {
	n, value := 0, ""
	each(r, func(name, v string) bool {
		if name == c.session {
			n, value = n+1, v
		}
		return true
	})
	if n != 1 {
		return "", "", false
	}
	sid, secret, ok = strings.Cut(value, ".")
	if !ok || !token(sid, 22) || !token(secret, 43) {
		return "", "", false
	}
	return sid, secret, true
}

// shown returns a hash of what r shows as session cookie, and a value of its own if that is nothing.
func (c *cookies) shown(r *http.Request) string {
	var values []string
	each(r, func(name, v string) bool {
		if name == c.session {
			values = append(values, v)
		}
		return true
	})
	if len(values) == 0 {
		return "nothing"
	}
	return hash(strings.Join(values, ";"))
}

// token reports that s has n characters, all of base64url.
func token(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// setSession adds the session cookie to h.
func (c *cookies) setSession(h http.Header, sid, secret string, expires time.Time, persist bool) {
	k := http.Cookie{
		Name: c.session, Value: sid + "." + secret, Path: "/",
		HttpOnly: true, Secure: c.secure, SameSite: c.sameSite,
	}
	if persist {
		k.MaxAge = max(1, int(time.Until(expires).Seconds()))
		k.Expires = expires // for clients that know no Max-Age
	}
	c.set(h, &k)
}

// clear adds the removal of a cookie to h.
func (c *cookies) clear(h http.Header, name string, sameSite http.SameSite) {
	c.set(h, &http.Cookie{Name: name, Path: "/", HttpOnly: true, Secure: c.secure, SameSite: sameSite, MaxAge: -1, Expires: time.Unix(1, 0)})
}

func (c *cookies) set(h http.Header, k *http.Cookie) {
	// "Servers SHOULD NOT include more than one Set-Cookie header field in the same response with the
	// same cookie-name." RFC 6265, section 4.1.1.
	dropCookie(h, k.Name)
	h.Add("Set-Cookie", k.String())
	uncached(h)
}

// uncached makes h that of an answer which no cache keeps, of whatever vendor: a shared one must not hand
// one person's cookie to another. A header for one kind of cache goes before Cache-Control
// (RFC 9213), and is taken out.
func uncached(h http.Header) {
	for name := range h {
		if name != "Cache-Control" && forCaches(strings.ToLower(name)) {
			delete(h, name)
		}
	}
	header(h, "Cache-Control", "no-store")
}

// forCaches reports that a header of that name, in lower case, tells a cache what to keep.
func forCaches(name string) bool {
	return strings.HasSuffix(name, "cache-control") || strings.HasSuffix(name, "surrogate-control") || strings.HasSuffix(name, "edge-control") ||
		name == "expires" || name == "x-accel-expires"
}

// sets reports that h sets a cookie of ours.
func (c *cookies) sets(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(v string) bool { return strings.HasPrefix(v, c.session) })
}

// binds reports that h sets a binding cookie.
func (c *cookies) binds(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(v string) bool { return strings.HasPrefix(v, c.binding) })
}

// dropCookie takes a cookie back that h would set.
func dropCookie(h http.Header, name string) {
	if len(h["Set-Cookie"]) == 0 {
		return
	}
	kept := slices.DeleteFunc(h["Set-Cookie"], func(v string) bool { return strings.HasPrefix(v, name+"=") })
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}
