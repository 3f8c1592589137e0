package keys

import (
	"strconv"

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
	Relay  aead.Secret // seals a posted answer, and a Need in a URL of ours
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
			Relay:  derive("hop"),
			Page:   derive("page"),

			Binding: derive("binding"),
		})
	}
	return ss
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
