// Package grammar says which texts of a provider, or of a configuration, have the form that the standards give them.
//
// It promises that each function judges the text alone: it sends nothing, keeps nothing and knows no provider. The
// meaning of a text, and the error for one that is refused, are left to its callers.
package grammar

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits, in bytes.
const (
	maxValue   = 4096 // of one parameter of an answer, the code included
	MaxSubject = 255  // of one subject or issuer: OpenID Connect Core 1.0, section 2
	maxProfile = 1024 // of a claim that is shown
	maxToken   = 64 << 10
)

// Text reports whether a parameter's value is text without control characters, of bearable length.
func Text(s string) bool {
	if len(s) > maxValue || !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// Scope reports whether s is a scope: RFC 6749, section 3.3.
func Scope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// Verifier reports whether s is a code verifier: RFC 7636, section 4.1.
func Verifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~", rune(c)) {
			return false
		}
	}
	return true
}

// Visible reports whether s is printable ASCII without spaces and backslashes, as a URL is.
func Visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// Token reports whether s can be sent as it is: printable ASCII from first on, at most 64 KiB.
// RFC 6749, appendices A.12 and A.17, and RFC 6750, section 2.1.
func Token(s string, first byte) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if s[i] < first || s[i] > '~' {
			return false
		}
	}
	return true
}

// Shown reports whether s can be shown.
func Shown(s string) bool { return s != "" && len(s) <= maxProfile && Text(s) }

// Subject reports whether s can name a person.
func Subject(s string) bool {
	return s != "" && len(s) <= MaxSubject && Text(s) && strings.TrimSpace(s) != ""
}

// Digits returns s if it is a positive decimal number.
func Digits(s string) (string, bool) {
	if s == "" || len(s) > 20 || s[0] == '0' {
		return "", false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return "", false
		}
	}
	return s, true
}

// Clean returns s without control characters and what else does not belong on a page, in at most n bytes.
func Clean(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > n {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
