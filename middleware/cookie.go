package middleware

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxBindings = 4             // cookies that a callback tries
	bindingLife = 2 * time.Hour // of the cookie, renewed by each start; longer than a flow
)

// cookies are the names and attributes of the two kinds of cookie.
type cookies struct {
	session  string // name
	binding  string // prefix of names
	secure   bool
	sameSite http.SameSite // of the session cookie; the binding cookie is always Lax
	persist  bool
}

// newCookies derives the names from base. On loopback http the prefix __Host- and Secure cannot be
// relied on, and cookies ignore ports: the port in the name keeps two programs apart.
func newCookies(base *url.URL, sameSite http.SameSite, persist bool) cookies {
	if sameSite != http.SameSiteStrictMode {
		sameSite = http.SameSiteLaxMode
	}
	c := cookies{sameSite: sameSite, persist: persist, secure: base.Scheme == "https"}
	c.session = "__Host-rl"
	if !c.secure {
		c.session = "rl-" + cmp.Or(base.Port(), "80")
	}
	c.binding = c.session + "-bind-"
	return c
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
	}
	c.set(h, &k)
}

// clear adds the removal of a cookie to h.
func (c *cookies) clear(h http.Header, name string, sameSite http.SameSite) {
	c.set(h, &http.Cookie{Name: name, Path: "/", HttpOnly: true, Secure: c.secure, SameSite: sameSite, MaxAge: -1})
}

func (c *cookies) set(h http.Header, k *http.Cookie) {
	// "Servers SHOULD NOT include more than one Set-Cookie header field in the same response with the
	// same cookie-name." RFC 6265, section 4.1.1.
	dropCookie(h, k.Name)
	h.Add("Set-Cookie", k.String())
	// A shared cache must not hand one person's cookie to another.
	header(h, "Cache-Control", "no-store")
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

// A binding is the cookie that ties a sign-in to the browser that started it.
type binding struct {
	name   string
	secret string
	minted int64
	gates  []gate // automatic sign-ins of late, for the loop guard
}

// A gate notes that one was started for a path.
type gate struct {
	path string // 6 characters of a hash
	at   int64  // Unix seconds
}

// bindings returns the binding cookies of r, newest first.
func (c *cookies) bindings(r *http.Request) []binding {
	var bs []binding
	twice := map[string]bool{}
	each(r, func(name, value string) bool {
		if !strings.HasPrefix(name, c.binding) || !token(name[len(c.binding):], 8) {
			return true
		}
		b, ok := parseBinding(name, value)
		if !ok {
			return true
		}
		if i := slices.IndexFunc(bs, func(o binding) bool { return o.name == name }); i >= 0 {
			twice[name] = true
			return true
		}
		if len(bs) < 64 { // what a hostile header can make us do
			bs = append(bs, b)
		}
		return true
	})
	bs = slices.DeleteFunc(bs, func(b binding) bool { return twice[b.name] })
	slices.SortStableFunc(bs, func(a, b binding) int { return cmp.Compare(b.minted, a.minted) })
	return bs
}

// parseBinding reads secret.minted[.path+time]… A part of another form is a later version's.
func parseBinding(name, value string) (binding, bool) {
	parts := strings.Split(value, ".")
	if len(parts) < 2 || len(parts) > maxParts || !token(parts[0], 43) {
		return binding{}, false
	}
	minted, err := strconv.ParseInt(parts[1], 36, 64)
	if err != nil || minted < 0 {
		return binding{}, false
	}
	b := binding{name: name, secret: parts[0], minted: minted}
	for _, p := range parts[2:] {
		if len(p) < 7 || !token(p[:6], 6) {
			continue
		}
		at, err := strconv.ParseInt(p[6:], 36, 64)
		if err == nil && len(b.gates) < maxGates {
			b.gates = append(b.gates, gate{p[:6], at})
		}
	}
	return b, true
}

func (b *binding) value() string {
	v := b.secret + "." + strconv.FormatInt(b.minted, 36)
	for _, g := range b.gates {
		v += "." + g.path + strconv.FormatInt(g.at, 36)
	}
	return v
}

const (
	maxGates = 4
	maxParts = 16
	gateRest = time.Minute
)

// mayStart reports whether an automatic sign-in for path may start at now: at most one per browser
// and path in a minute, so that a session that never comes to satisfy a gate is no endless loop.
func mayStart(bs []binding, path string, now time.Time) bool {
	for _, b := range bs {
		for _, g := range b.gates {
			if g.path == path && now.Sub(time.Unix(g.at, 0)).Abs() < gateRest {
				return false
			}
		}
	}
	return true
}

// note remembers a start for path.
func (b *binding) note(path string, now time.Time) {
	b.gates = slices.DeleteFunc(b.gates, func(g gate) bool {
		return g.path == path || now.Sub(time.Unix(g.at, 0)).Abs() >= gateRest
	})
	if len(b.gates) == maxGates {
		b.gates = b.gates[1:]
	}
	b.gates = append(b.gates, gate{path, now.Unix()})
}

// bind returns the binding of a flow that starts now. A browser that shows none gets one under a
// random name, so that the first tabs of a browser never overwrite each other's; one that it shows is
// sent again, with the same secret: see [cookies.setBinding].
func (a *Auth) bind(bs []binding, path string, now time.Time) (*binding, error) {
	var b binding
	if len(bs) > 0 {
		b = bs[0]
	} else {
		suffix, err := a.randomText(6)
		if err != nil {
			return nil, err
		}
		secret, err := a.randomText(32)
		if err != nil {
			return nil, err
		}
		b = binding{name: a.cookies.binding + suffix, secret: secret, minted: now.UnixMilli()}
	}
	if path != "" {
		b.note(path, now)
	}
	return &b, nil
}

// setBinding adds the cookie of b to h, which the browser shows as bs so far. What is past the number
// that a callback tries is of no use and goes.
func (c *cookies) setBinding(h http.Header, b *binding, bs []binding) {
	c.set(h, &http.Cookie{
		Name: b.name, Value: b.value(), Path: "/", MaxAge: int(bindingLife.Seconds()),
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	})
	for _, old := range bs[min(len(bs), maxBindings):] {
		c.clear(h, old.name, http.SameSiteLaxMode)
	}
}
