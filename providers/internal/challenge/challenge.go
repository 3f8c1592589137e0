// Package challenge reads the WWW-Authenticate header of an API's answer.
//
// It promises that a parameter that came twice, or that does not follow the grammar, counts as absent, and that no
// header makes it work for long. The decision that follows from a challenge is left to its callers.
package challenge

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// A Challenge is what an answer asks for: the fields are those of providers.Challenge.
type Challenge struct {
	Scheme string        // "bearer" or "dpop"
	Error  string        // such as "insufficient_scope"; "" if it only says that a token is needed
	Scopes []string      // needed
	ACR    []string      // one of these is needed
	MaxAge time.Duration // since the person signed in; 0 is no limit, and max_age=0 is one second
}

// maxChallenge bounds what is read of a header, and maxListed the elements of a list in it.
const (
	maxChallenge = 8 << 10
	maxListed    = 64
)

// Parse returns the challenge for a bearer token in the header of an answer. Of several, it
// returns the first that names an error, otherwise the first. Challenges of other schemes are passed
// over, as is whatever does not follow the grammar of RFC 9110, section 11.6.1; ok is false if
// nothing is left.
func Parse(h http.Header) (c Challenge, ok bool) {
	for _, line := range h.Values("WWW-Authenticate") {
		if len(line) > maxChallenge {
			continue
		}
		for _, one := range challenges(line) {
			if one.scheme != "bearer" && one.scheme != "dpop" {
				continue
			}
			if read := one.challenge(); !ok || c.Error == "" && read.Error != "" {
				c, ok = read, true
			}
		}
	}
	return c, ok
}

// A rawChallenge is a challenge of any scheme. A parameter that came twice is in twice, and not used.
type rawChallenge struct {
	scheme string
	params map[string]string
	twice  map[string]bool
}

func (r *rawChallenge) param(name string) string {
	if r.twice[name] {
		return ""
	}
	return r.params[name]
}

func (r *rawChallenge) challenge() Challenge {
	c := Challenge{Scheme: r.scheme, Scopes: r.list("scope"), ACR: r.list("acr_values")}
	if e := r.param("error"); grammar.Scope(e) && len(e) <= 64 {
		c.Error = e
	}
	if n, err := strconv.ParseUint(r.param("max_age"), 10, 31); err == nil {
		c.MaxAge = max(time.Duration(n)*time.Second, time.Second)
	}
	return c
}

// list returns a parameter of values separated by spaces; one value that cannot be is left out.
func (r *rawChallenge) list(name string) (values []string) {
	for v := range strings.FieldsSeq(r.param(name)) {
		if grammar.Scope(v) && !slices.Contains(values, v) && len(values) < maxListed {
			values = append(values, v)
		}
	}
	return values
}

// challenges splits one field line. A comma separates both challenges and their parameters: what
// follows it is a parameter if there is a "=" behind its first token, and a scheme otherwise.
func challenges(line string) (list []*rawChallenge) {
	rest := line
	for {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" {
			return list
		}
		var token string
		if token, rest = cutToken(rest); token == "" {
			return list
		}
		value, after, is := cutValue(rest)
		if !is {
			list = append(list, &rawChallenge{
				scheme: strings.ToLower(token), params: make(map[string]string), twice: make(map[string]bool),
			})
			rest = skipToken68(rest)
			continue
		}
		rest = after
		if len(list) == 0 {
			continue
		}
		r, name := list[len(list)-1], strings.ToLower(token)
		if _, has := r.params[name]; has {
			r.twice[name] = true
		}
		r.params[name] = value
	}
}

// cutToken returns the token that s begins with: RFC 9110, section 5.6.2.
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && s[i] > ' ' && s[i] < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(s[i])) {
		i++
	}
	return s[:i], s[i:]
}

// cutValue returns the value behind "=", a token or a quoted string, and whether there is one.
func cutValue(s string) (value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	s, ok = strings.CutPrefix(s, "=")
	if !ok {
		return "", s, false
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		// Some write a URL or a list without the quotes that it needs.
		i := strings.IndexAny(s, ", \t")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", true
			}
		}
		b.WriteByte(s[i])
	}
	// A string that does not end has no value.
	return "", "", true
}

// skipToken68 passes over credentials such as those of Negotiate, which look like a parameter
// without a value: a token68 is followed by a comma or the end.
func skipToken68(s string) string {
	trimmed := strings.TrimLeft(s, " \t")
	i := 0
	for i < len(trimmed) && (isAlnum(trimmed[i]) || strings.IndexByte("-._~+/", trimmed[i]) >= 0) {
		i++
	}
	for i < len(trimmed) && trimmed[i] == '=' {
		i++
	}
	end := strings.TrimLeft(trimmed[i:], " \t")
	if i > 0 && (end == "" || end[0] == ',') {
		return end
	}
	return trimmed
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
