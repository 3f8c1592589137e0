package middleware

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strconv"

	"github.com/returnleg/returnleg/internal/aead"
	"github.com/returnleg/returnleg/sessionstore"
)

// secrets are the keys of one ring key, one per purpose and site, so that what is made for one cannot be
// used as another.
type secrets struct {
	id     byte
	state  aead.Secret // seals the flow into the state parameter
	flow   aead.Secret // PKCE verifier and nonce
	cookie aead.Secret // secrets of session cookies
	hop    aead.Secret // seals a posted answer, and a Need in a URL of ours
	page   aead.Secret // page tags

	binding aead.Secret // bindings: what proves them, and what states are sealed with
}

func newSecrets(keys sessionstore.Keyring, site string) []secrets {
	ss := make([]secrets, 0, len(keys))
	for _, k := range keys {
		ring := aead.NewSecret(k.Secret)
		derive := func(purpose string) aead.Secret {
			key := ring.Derive("middleware", purpose, site)
			return aead.NewSecret(key[:])
		}
		ss = append(ss, secrets{
			id:     k.ID,
			state:  derive("state"),
			flow:   derive("flow"),
			cookie: derive("cookie"),
			hop:    derive("hop"),
			page:   derive("page"),

			binding: derive("binding"),
		})
	}
	return ss
}

// text is the form in which random and derived bytes travel.
func text(b []byte) string {
	var short [64]byte // most are: ids, hashes and secrets need no buffer of their own
	return string(base64.RawURLEncoding.AppendEncode(short[:0], b))
}

// first returns the secret of a session before its first sign-in. It is derived, so that a browser
// can be given a session that costs the store nothing, and nobody can invent one.
func (s *secrets) first(sid string) string {
	m := s.cookie.Derive("first", sid)
	return text(m[:])
}

// next returns the secret that follows present when user signs in to the session that was born
// with that version. It is derived, so that two sign-ins of one person that end together set one
// and the same cookie: with random secrets the browser may keep the one that has just been replaced.
func (s *secrets) next(sid, present, user string, born uint64) string {
	m := s.cookie.Derive("next", sid, present, user, strconv.FormatUint(born, 36))
	return text(m[:])
}

// hash is what the store holds of a secret of 256 bits: opening nothing, and needing no salt.
func hash(secret string) string {
	var buf [64]byte // a secret has 43 bytes; a conversion of more than 32 would allocate
	if len(secret) > len(buf) {
		h := sha256.Sum256([]byte(secret))
		return string(h[:])
	}
	h := sha256.Sum256(buf[:copy(buf[:], secret)])
	return string(h[:])
}

// same compares in constant time.
func same(a, b string) bool { return a != "" && hmac.Equal([]byte(a), []byte(b)) }

// fill fills b with random bytes.
func (a *Auth) fill(b []byte) error {
	_, err := io.ReadFull(a.random, b)
	return err
}

// randomText returns n random bytes as text. A source that fails is an error, never a weaker value.
func (a *Auth) randomText(n int) (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(a.random, b[:n]); err != nil {
		return "", err
	}
	return text(b[:n]), nil
}

// seed returns what one sealed message derives from.
func (a *Auth) seed() (seed [16]byte, err error) {
	_, err = io.ReadFull(a.random, seed[:])
	return seed, err
}
