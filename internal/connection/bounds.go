package connection

import (
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/providers"
)

// What is kept of a person is bounded, whatever a provider says of them: it is in each of their sessions.
// What is too long to be what it should be is dropped, and so is an e-mail address or a level that
// somebody could be let in by: nothing that is cut off grants anything. Claims are the app's to read, and
// one that is missing could be the one that says no; more of them than this refuse the sign-in.
const (
	maxClaims  = 128 << 10
	maxSubject = 1 << 10
	maxProfile = 1 << 10 // of a name, an address or a level
	maxPicture = 8 << 10 // some are data, not an address
	maxScopes  = 16 << 10
)

// Bound drops what is too long in id, and returns an error if there is more than can be dropped.
func Bound(t *providers.Token, id *providers.Identity) error {
	if n := len(id.Claims); n > maxClaims {
		return fmt.Errorf("middleware: callback: %d bytes of claims, want at most %d", n, maxClaims)
	}
	if len(id.Issuer) > maxSubject || len(id.Subject) > maxSubject {
		return errors.New("middleware: callback: issuer or subject is too long")
	}
	if n := scopesSize(t); n > maxScopes {
		return fmt.Errorf("middleware: callback: %d bytes of scopes, want at most %d", n, maxScopes)
	}
	id.Name = keys.Clip(id.Name, maxProfile)
	if len(id.Email) > maxProfile {
		id.Email, id.EmailVerified = "", false
	}
	for _, s := range []*string{&id.Username, &id.ACR} {
		if len(*s) > maxProfile {
			*s = ""
		}
	}
	if len(id.Picture) > maxPicture {
		id.Picture = ""
	}
	return nil
}

func scopesSize(t *providers.Token) int {
	n := 0
	for _, s := range t.Scopes {
		n += len(s) + 1
	}
	return n
}
