package providers

import (
	"fmt"
	"net/http"

	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// bearer puts t into the Authorization header of r, and nowhere else: a token in a URL ends up in
// logs and histories. RFC 6750, sections 2.1 and 2.3.
func bearer(name string, r *http.Request, t *Token) error {
	if r.URL == nil {
		return fmt.Errorf("providers: %s: request: %w", name, address.ErrURL)
	}
	if _, err := address.Parse(r.URL.Scheme + "://" + r.URL.Host + "/"); err != nil || r.URL.User != nil {
		if err == nil {
			err = address.ErrURL
		}
		return fmt.Errorf("providers: %s: request: %w", name, err)
	}
	if t == nil || !grammar.Token(t.Access, '!') {
		return &unsendable{name}
	}
	r.Header.Set("Authorization", "Bearer "+t.Access)
	return nil
}

// unsendable is the error for a token that no header can carry. It is [ErrToken], but its text does not say that
// anybody has refused something: nothing was sent.
type unsendable struct{ provider string }

func (e *unsendable) Error() string {
	return "providers: " + e.provider + ": request not sent: the access token is missing or malformed"
}

// Is reports that it is [ErrToken].
func (*unsendable) Is(target error) bool { return target == ErrToken }
