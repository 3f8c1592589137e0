package providers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/idtoken"
)

// answers checks that v is what f asked for.
func answers(v *idtoken.Token, f *Flow, now time.Time, skew time.Duration) error {
	if f.Nonce == "" || v.Nonce != f.Nonce {
		if v.Nonce == "" {
			return fault.Explain(fault.Reject("nonce"), "the ID token has no nonce: the provider has lost the one that it was sent")
		}
		return fault.Explain(fault.Reject("nonce"), "the ID token's nonce is that of another sign-in")
	}
	if f.Subject != "" && v.Subject != f.Subject {
		return fmt.Errorf("sub: %w: %w", ErrToken, ErrSubject)
	}
	if len(f.ACR) > 0 && !slices.Contains(f.ACR, v.ACR) {
		return fault.Explain(fmt.Errorf("acr: %w: %w", ErrToken, ErrUnmet), "the ID token's acr is %s, the page needs one of %s", fault.Quoted(v.ACR), fault.Quoted(strings.Join(f.ACR, " ")))
	}
	if f.MaxAge == 0 {
		return nil
	}
	// "max_age: […] When max_age is used, the ID Token returned MUST include an auth_time Claim Value."
	// OpenID Connect Core 1.0, section 3.1.2.1.
	proved := ProvedAt(v.AuthTime, now, skew)
	if proved.IsZero() {
		return fault.Explain(fmt.Errorf("auth_time: %w: %w", ErrToken, ErrNoAuthTime), "the provider was sent max_age, and its ID token has no auth_time")
	}
	if !Recent(proved, now, f.MaxAge) {
		return fault.Explain(fmt.Errorf("auth_time: %w: %w", ErrToken, ErrUnmet), "auth_time was %s ago, MaxAge is %s, Skew is %s", fault.Span(now.Sub(v.AuthTime)), fault.Span(f.MaxAge), fault.Span(skew))
	}
	return nil
}

// continues checks that v, which came with a refresh, is about the same sign-in as what came with t:
// OpenID Connect Core 1.0, section 12.2.
func continues(v *idtoken.Token, t *Token, skew time.Duration) error {
	if t.Subject != "" && v.Subject != t.Subject {
		return fmt.Errorf("sub: %w: %w", ErrToken, ErrSubject)
	}
	before, err := idtoken.Unverified(t.ID)
	if err != nil {
		// There is nothing to compare with: it came without an ID token.
		return nil
	}
	if nonce, _ := before.String("nonce"); v.Nonce != "" && v.Nonce != nonce {
		return fault.Reject("nonce")
	}
	// A provider of several machines has several clocks, and the second token may come at once.
	if issued, ok := idtoken.Date(before, "iat"); ok && v.Issued.Add(skew).Before(issued) {
		return fault.Reject("iat")
	}
	return nil
}
