package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/returnleg/returnleg/internal/aead"
	"github.com/returnleg/returnleg/sessionstore"
)

// Secrets are the keys of one ring key, one per purpose and site, so that what is made for one cannot be
// used as another.
type Secrets struct {
	ID     byte
	State  aead.Secret // seals the flow into the state parameter
	Flow   aead.Secret // PKCE verifier and nonce
	Cookie aead.Secret // secrets of session cookies
	Hop    aead.Secret // seals a posted answer, and a Need in a URL of ours
	Page   aead.Secret // page tags

	Binding aead.Secret // bindings: what proves them, and what states are sealed with
}

func New(keys sessionstore.Keyring, site string) []Secrets {
	ss := make([]Secrets, 0, len(keys))
	for _, k := range keys {
		ring := aead.NewSecret(k.Secret)
		derive := func(purpose string) aead.Secret {
			key := ring.Derive("middleware", purpose, site)
			return aead.NewSecret(key[:])
		}
		ss = append(ss, Secrets{
			ID:     k.ID,
			State:  derive("state"),
			Flow:   derive("flow"),
			Cookie: derive("cookie"),
			Hop:    derive("hop"),
			Page:   derive("page"),

			Binding: derive("binding"),
		})
	}
	return ss
}

// Text is the form in which random and derived bytes travel.
func Text(b []byte) string {
	var short [64]byte // most are: ids, hashes and secrets need no buffer of their own
	return string(base64.RawURLEncoding.AppendEncode(short[:0], b))
}

// First returns the secret of a session before its first sign-in. It is derived, so that a browser
// can be given a session that costs the store nothing, and nobody can invent one.
func (s *Secrets) First(sid string) string {
	m := s.Cookie.Derive("first", sid)
	return Text(m[:])
}

// Next returns the secret that follows present when user signs in to the session that was born
// with that version. It is derived, so that two sign-ins of one person that end together set one
// and the same cookie: with random secrets the browser may keep the one that has just been replaced.
func (s *Secrets) Next(sid, present, user string, born uint64) string {
	m := s.Cookie.Derive("next", sid, present, user, strconv.FormatUint(born, 36))
	return Text(m[:])
}

// Hash is what the store holds of a secret of 256 bits: opening nothing, and needing no salt.
func Hash(secret string) string {
	var buf [64]byte // a secret has 43 bytes; a conversion of more than 32 would allocate
	if len(secret) > len(buf) {
		h := sha256.Sum256([]byte(secret))
		return string(h[:])
	}
	h := sha256.Sum256(buf[:copy(buf[:], secret)])
	return string(h[:])
}

// Same compares in constant time.
func Same(a, b string) bool { return a != "" && hmac.Equal([]byte(a), []byte(b)) }

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

// Clip returns at most n bytes of s, and no half of a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
