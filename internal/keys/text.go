package keys

import (
	"encoding/base64"
	"strings"
)

// Text is the form in which random and derived bytes travel.
func Text(b []byte) string {
	var short [64]byte // most are: ids, hashes and secrets need no buffer of their own
	return string(base64.RawURLEncoding.AppendEncode(short[:0], b))
}

// texts is the encoding of [text]. Loose bits behind the end are refused.
var texts = base64.RawURLEncoding.Strict()

// Raw returns the bytes of a text, such as an id, which take a quarter less room than it does. One
// that [text] would write otherwise is no text: the decoder lets line breaks pass.
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

// Token reports that s has n characters, all of base64url.
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

// Clip returns at most n bytes of s, and no half of a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
