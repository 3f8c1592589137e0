package keys

import (
	"strconv"

	"github.com/returnleg/returnleg/internal/aead"
	"github.com/returnleg/returnleg/sessionstore"
)

// Secrets are the keys that are derived from one key of the ring, one for each purpose, for one site. A value
// that was made for one purpose or site is worthless for another.
type Secrets struct {
	ID     byte        // of the key of the ring
	State  aead.Secret // seals the flow into the state parameter
	Flow   aead.Secret // derives PKCE verifiers and nonces
	Cookie aead.Secret // derives secrets of session cookies
	Relay  aead.Secret // seals a relayed form-post answer, and a Need in a URL of the kit
	Page   aead.Secret // derives page tags

	Binding aead.Secret // proves bindings, and derives from each what seals its states
}

// New returns the secrets of each key of the ring, in its order, for the site of that name.
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

// First returns the secret of a session before its first sign-in. It is derived: a browser can be given a
// session for which nothing is stored, and a client cannot invent one.
func (s *Secrets) First(sid string) string {
	m := s.Cookie.Derive("first", sid)
	return Text(m[:])
}

// Next returns the secret that follows present when user signs in to the session sid. born is the version of
// the session's record. The secret is derived, so that two sign-ins of one user that end together set one and
// the same cookie. Of two random secrets, the browser might keep the one that was just replaced.
func (s *Secrets) Next(sid, present, user string, born uint64) string {
	m := s.Cookie.Derive("next", sid, present, user, strconv.FormatUint(born, 36))
	return Text(m[:])
}
