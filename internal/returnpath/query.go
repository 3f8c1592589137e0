package returnpath

import (
	"net/url"
	"strings"
)

// WithQuery returns path with key=value as the last parameter of its query, before the fragment.
// A parameter of that key that is there already, in whatever spelling, is taken out; nothing else
// of path changes by a byte. An address that [Clean] accepts is accepted with it, unless the
// length says no.
func WithQuery(path, key, value string) string {
	rest, fragment, hash := strings.Cut(path, "#")
	rest, query, _ := strings.Cut(rest, "?")
	var b strings.Builder
	b.Grow(len(path) + len(key) + len(value) + 2)
	b.WriteString(rest)
	b.WriteByte('?')
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if named(pair, key) {
			continue
		}
		b.WriteString(pair)
		b.WriteByte('&')
	}
	b.WriteString(url.QueryEscape(key))
	b.WriteByte('=')
	b.WriteString(url.QueryEscape(value))
	if hash {
		b.WriteByte('#')
		b.WriteString(fragment)
	}
	return b.String()
}

// named reports whether a reader of the query takes pair for a parameter of that key.
func named(pair, key string) bool {
	name, _, _ := strings.Cut(pair, "=")
	if name == key {
		return true
	}
	if !strings.ContainsAny(name, "%+") {
		return false
	}
	name, err := url.QueryUnescape(name)
	return err == nil && name == key
}
