package keys

import (
	"encoding/base64"
	"strings"
)

// Text returns the text form of random or derived bytes: base64url.
func Text(b []byte) string {
	var short [64]byte // ids, hashes and secrets fit, and need no allocation
	return string(base64.RawURLEncoding.AppendEncode(short[:0], b))
}

// texts decodes what [Text] has encoded. It refuses loose bits at the end.
var texts = base64.RawURLEncoding.Strict()

// Raw returns the bytes of a text, which take a quarter less room than it does; nil if [Text] would not write
// them as s. The decoder skips line breaks, so a text with one is refused first.
func Raw(s string) []byte {
	if s == "" || strings.Contains(s, "\r") || strings.Contains(s, "\n") {
		return nil
	}
	b, err := texts.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// Token reports whether s has n characters, all of base64url.
func Token(s string, n int) bool {
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

// Clip returns at most n bytes of s, without half a character at the end.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
