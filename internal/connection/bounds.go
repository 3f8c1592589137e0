package connection

import (
	"errors"
	"fmt"

	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/providers"
)

// An identity is kept in each session of its person, and is therefore bounded. A name that is too long is cut. An
// e-mail address or a level that is too long is dropped as a whole, because a part of it could grant access. Too many
// claims refuse the sign-in, because a claim that is missing could be the one that denies access.
const (
	maxClaims  = 128 << 10
	maxSubject = 1 << 10
	maxProfile = 1 << 10 // of a name, an address or a level
	maxPicture = 8 << 10 // some are data, not an address
	maxScopes  = 16 << 10
)

// Bound drops fields of id that are too long. It returns an error if one is too long that cannot be dropped.
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
