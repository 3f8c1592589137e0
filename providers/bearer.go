package providers

import (
	"fmt"
	"net/http"
)

// bearer puts t into the Authorization header of r, and nowhere else: a token in a URL ends up in
// logs and histories. RFC 6750, sections 2.1 and 2.3.
func bearer(name string, r *http.Request, t *Token) error {
	if r.URL == nil {
		return fmt.Errorf("providers: %s: request: %w", name, errURL)
	}
	if _, err := parseURL(r.URL.Scheme + "://" + r.URL.Host + "/"); err != nil || r.URL.User != nil {
		if err == nil {
			err = errURL
		}
		return fmt.Errorf("providers: %s: request: %w", name, err)
	}
	if t == nil || !tokenText(t.Access, '!') {
		return fmt.Errorf("providers: %s: request: %w", name, ErrToken)
	}
	r.Header.Set("Authorization", "Bearer "+t.Access)
	return nil
}
