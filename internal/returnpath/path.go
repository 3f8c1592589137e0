// Package returnpath judges the addresses to which a person is sent back after a sign-in or a
// sign-out.
//
// A return address comes from a link, so anybody can have written it. [Clean] lets it pass as it
// is or refuses it; it never repairs one, because what was checked and what is sent would then be
// two strings. [Encode] comes before that, and never after. What it returns goes into the Location header unchanged.
//
// Browsers are not the only readers. A proxy, a framework or the app itself may decode a path,
// shorten it and build an address from it again, and "/%09/evil.example" becomes "//evil.example"
// on the way. The path is therefore judged as its most lenient reader would see it: with escapes
// decoded, as often as there is something to decode, with "\" as a slash, and with path
// parameters (";…") dropped.
package returnpath

import (
	"net/url"
	"strings"
)

// MaxLength is the length in bytes of the longest address that [Clean] accepts. Where an address
// travels inside something else, the budget may be smaller; that is for the caller to check.
const MaxLength = 8 << 10

// maxLayers is how often a path may be escaped over: a "%2525" more is an attempt, not a name.
const maxLayers = 4

// Clean returns the address s if it leads back to the app, and whether it does.
//
// Accepted is a path that begins with one slash, with its query and fragment, and is returned as
// it is. An absolute URL is accepted if its origin is that of base, and returned without it;
// base == nil accepts none. Only scheme, host and port of base count. Clean of what Clean returned
// is the same string again.
//
// Refused are, and nothing is said about why, since the caller's answer is the same (go home):
//   - more than [MaxLength] bytes;
//   - a byte that no browser writes into an address: controls, space, anything above 0x7e, `"`,
//     "<", ">", and "\" anywhere, also in the query;
//   - a path whose first segment is empty: "//evil.example", "/%2f/evil.example", "/;/evil.example".
//     An empty segment further on, "/a//b", is a path like any other;
//   - dot segments, also as "%2e" or "..;": browsers resolve them before they send a request, so an
//     address that was once requested has none;
//   - in the path, an escaped control character, an overlong UTF-8 sequence, or a "%" that does not
//     begin an escape; the last also in the fragment, where [url.Parse] would stumble;
//   - prefix and everything beneath it, in any case and spelling: signing in in order to sign out,
//     or to sign in, is a loop. prefix is a decoded path such as "/auth"; "" and "/" forbid nothing.
//
// The query is the app's own: "?next=%0d%0a//evil.example" passes, and is sent as it stands.
//
// Open redirectors: https://www.rfc-editor.org/rfc/rfc9700#section-4.11. What browsers make of an
// address: https://url.spec.whatwg.org/#concept-basic-url-parser.
func Clean(base *url.URL, prefix, s string) (string, bool) {
	if len(s) == 0 || len(s) > MaxLength || !visible(s) {
		return "", false
	}
	if s[0] != '/' {
		rest, ok := local(base, s)
		if !ok {
			return "", false
		}
		s = rest
	}
	end, hash := len(s), strings.IndexByte(s, '#')
	if hash >= 0 {
		if !escaped(s[hash+1:]) {
			return "", false
		}
		end = hash
	}
	if q := strings.IndexByte(s[:end], '?'); q >= 0 {
		end = q
	}
	path := s[:end]
	if !escaped(path) || !inside(path, strings.TrimRight(prefix, "/")) {
		return "", false
	}
	return s, true
}

// Encode returns s with spaces, quotes, angle brackets and what is not ASCII percent-encoded, as a browser does before it sends an
// address: a handler that has a path at hand, [url.URL.Path] say, has it decoded. "%", "?" and "#" keep the
// meaning that they have in an address. [Clean] judges what it returns.
func Encode(s string) string {
	n := 0
	for i := range len(s) {
		if encoded(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		c := s[i]
		if !encoded(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', digits[c>>4], digits[c&15])
	}
	return string(b)
}

func encoded(c byte) bool { return c == ' ' || c == '"' || c == '<' || c == '>' || c >= 0x80 }

// visible reports whether s has only bytes that stand for themselves in an address, to a URL
// parser and in a header.
func visible(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '\\', c == '"', c == '<', c == '>':
			return false
		}
	}
	return true
}

// local returns what follows the origin in s, if that is the origin of base.
func local(base *url.URL, s string) (string, bool) {
	if base == nil || base.Host == "" {
		return "", false
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !strings.EqualFold(scheme, base.Scheme) {
		return "", false
	}
	host := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		host = rest[:end]
	}
	// The whole authority is compared, not what a parser takes for the host: user names, trailing
	// dots, escapes and other ports cannot be equal to what was configured.
	port := defaultPort(base.Scheme)
	if !strings.EqualFold(strings.TrimSuffix(host, port), strings.TrimSuffix(base.Host, port)) {
		return "", false
	}
	rest = rest[len(host):]
	if rest == "" {
		return "/", true
	}
	if rest[0] != '/' {
		return "/" + rest, true
	}
	return rest, true
}

func defaultPort(scheme string) string {
	if strings.EqualFold(scheme, "https") {
		return ":443"
	}
	return ":80"
}

// escaped reports whether every "%" of s begins an escape.
func escaped(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0; {
		if _, width := next(s[i:]); width != 3 {
			return false
		}
		s = s[i+3:]
		i = strings.IndexByte(s, '%')
	}
	return true
}
