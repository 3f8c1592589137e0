package providers

import (
	"encoding/json"
	"time"
)

// An Identity is who signed in, as the provider tells it. Issuer and Subject together identify a
// person for good; an e-mail address does not, whatever EmailVerified says: providers let people
// change it, and reuse it.
type Identity struct {
	Issuer   string // of an OIDC provider its issuer; of an OAuth 2.0 provider [OAuth2].Namespace, Issuer, or the origin of AuthURL
	Subject  string // stable and unique within Issuer
	Email    string // "" if the provider does not say, or was not asked
	Name     string // for showing
	Username string // may change and be reused
	Picture  string // a URL that the provider claims; never fetch it from the server

	EmailVerified bool
	AuthTime      time.Time       // when the person proved who they are; zero: the provider does not say
	ACR           string          // how they proved it
	Claims        json.RawMessage // all that the provider said, as an object
}
