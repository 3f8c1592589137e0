package web

import (
	"cmp"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/keys"
)

// Cookies has the names and attributes of the two kinds of cookies.
type Cookies struct {
	Session  string // name of the session cookie
	Binding  string // prefix of the names of binding cookies
	Secure   bool
	SameSite http.SameSite // of the session cookie; the binding cookie is always Lax
	Persist  bool          // session cookies outlive the browser
}

// DefaultPrefix is the path of the kit's own addresses unless the app says otherwise.
const DefaultPrefix = "/auth"

// NewCookies derives the names from the address of the app. A browser sends a cookie to every port and path of
// a host: the port and the prefix in the name keep two apps apart. On loopback http, the prefix __Host- and the
// attribute Secure do not work in every browser.
func NewCookies(base *url.URL, prefix, name string, sameSite http.SameSite, persist bool) Cookies {
	if sameSite != http.SameSiteStrictMode {
		sameSite = http.SameSiteLaxMode
	}
	c := Cookies{SameSite: sameSite, Persist: persist, Secure: base.Scheme == "https"}
	c.Session = cmp.Or(name, "rl"+nameOf(prefix))
	port := base.Port()
	if !c.Secure {
		port = cmp.Or(port, "80")
	}
	if port != "" {
		c.Session += "-" + port
	}
	if c.Secure {
		c.Session = "__Host-" + c.Session
	}
	c.Binding = c.Session + "-bind-"
	return c
}

// nameOf returns the part of a cookie's name that stands for the prefix. It has no hyphen, because a hyphen
// separates the parts of the name.
func nameOf(prefix string) string {
	if prefix == DefaultPrefix {
		return ""
	}
	if len(prefix) > 24 {
		h := sha256.Sum256([]byte(prefix))
		prefix = "/" + keys.Text(h[:6])
	}
	return strings.NewReplacer("/", ".", "-", "~").Replace(prefix)
}

// ownName returns the name of a Strict cookie. Where a service worker hides where a navigation came from, this
// cookie proves that no other site had a part in it.
func (c *Cookies) ownName() string { return c.Session + "-own" }

// Each yields the cookies of r as they came. The caller compares names byte by byte: a name in another case or
// behind a space is another name.
func Each(r *http.Request, yield func(name, value string) bool) {
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

// Shows reports whether r has the cookie of that name and value.
func Shows(r *http.Request, name, value string) (found bool) {
	Each(r, func(n, v string) bool {
		found = n == name && v == value
		return !found
	})
	return found
}

// Presented returns the id and the secret in the session cookie of r. ok is false if there is none, if it is
// malformed, or if there are two: another site may have planted one of them.
func (c *Cookies) Presented(r *http.Request) (sid, secret string, ok bool) {
	n, value := 0, ""
	Each(r, func(name, v string) bool {
		if name == c.Session {
			n, value = n+1, v
		}
		return true
	})
	if n != 1 {
		return "", "", false
	}
	sid, secret, ok = strings.Cut(value, ".")
	if !ok || !keys.Token(sid, 22) || !keys.Token(secret, 43) {
		return "", "", false
	}
	return sid, secret, true
}

// PresentedHash returns a hash of the session cookie of r, valid or not. Without a cookie it returns a fixed
// text.
func (c *Cookies) PresentedHash(r *http.Request) string {
	var values []string
	Each(r, func(name, v string) bool {
		if name == c.Session {
			values = append(values, v)
		}
		return true
	})
	if len(values) == 0 {
		return "nothing"
	}
	return keys.Hash(strings.Join(values, ";"))
}

// SetSession adds the session cookie to h.
func (c *Cookies) SetSession(h http.Header, sid, secret string, expires time.Time, persist bool) {
	k := http.Cookie{
		Name: c.Session, Value: sid + "." + secret, Path: "/",
		HttpOnly: true, Secure: c.Secure, SameSite: c.SameSite,
	}
	if persist {
		k.MaxAge = max(1, int(time.Until(expires).Seconds()))
		k.Expires = expires // for clients that know no Max-Age
	}
	c.Set(h, &k)
}

// Clear adds the removal of a cookie to h.
func (c *Cookies) Clear(h http.Header, name string, sameSite http.SameSite) {
	c.Set(h, &http.Cookie{Name: name, Path: "/", HttpOnly: true, Secure: c.Secure, SameSite: sameSite, MaxAge: -1, Expires: time.Unix(1, 0)})
}

// Set adds the cookie k to h, in place of one of the same name.
func (c *Cookies) Set(h http.Header, k *http.Cookie) {
	// "Servers SHOULD NOT include more than one Set-Cookie header field in the same response with the
	// same cookie-name." RFC 6265, section 4.1.1.
	DropCookie(h, k.Name)
	h.Add("Set-Cookie", k.String())
	Uncached(h)
}

// Sets reports whether h sets a cookie of the kit.
func (c *Cookies) Sets(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(v string) bool { return strings.HasPrefix(v, c.Session) })
}

// SetsBinding reports whether h sets a binding cookie.
func (c *Cookies) SetsBinding(h http.Header) bool {
	return slices.ContainsFunc(h["Set-Cookie"], func(v string) bool { return strings.HasPrefix(v, c.Binding) })
}

// DropCookie removes from h the cookie of that name, if h sets it.
func DropCookie(h http.Header, name string) {
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

// ReplacedMark returns the cookie that marks a browser which has loaded a page with the session cookie of sid
// and secret after that cookie was replaced. A second such load is told from the first by it.
func (c *Cookies) ReplacedMark(sid, secret string) *http.Cookie {
	h := sha256.Sum256([]byte(sid + "." + secret))
	return &http.Cookie{
		Name: c.Session + "-replaced", Value: keys.Text(h[:16]), Path: "/", MaxAge: int(markLife.Seconds()),
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
	}
}

const markLife = 10 * time.Minute
