package providertest

import (
	"maps"
	"slices"
	"time"
)

const idTokenTTL = 10 * time.Minute

// idToken makes the ID token of an answer: OpenID Connect Core 1.0, sections 2 and 3.1.3.6, and 12.2
// for one that comes with a refresh.
func (s *Server) idToken(b Behavior, d *Draft, g *grant) string {
	s.mu.Lock()
	s.signingKey()
	if b.RotateBeforeSigning {
		s.addKey(s.newKey(s.cfg.Algorithm))
	}
	d.key = s.keys[len(s.keys)-1]
	s.mu.Unlock()

	now := s.now()
	d.Header = map[string]any{"alg": s.cfg.Algorithm, "kid": d.key.id, "typ": "JWT"}
	d.Claims = map[string]any{
		"iss":       s.cfg.Issuer,
		"sub":       g.account.Subject,
		"aud":       g.client.ID,
		"iat":       now.Unix(),
		"exp":       now.Add(idTokenTTL).Unix(),
		"auth_time": g.authTime.Unix(),
		"sid":       g.sid,
		"at_hash":   halfHash(s.cfg.Algorithm, d.Access),
	}
	if g.acr != "" {
		d.Claims["acr"] = g.acr
	}
	// "it SHOULD NOT have a nonce Claim, even when the ID Token issued at the time of the original
	// authentication contained nonce": section 12.2.
	if g.nonce != "" && d.GrantType == "authorization_code" {
		d.Claims["nonce"] = g.nonce
	}
	maps.Copy(d.Claims, person(g.account, d.Scopes))
	if b.Claims != nil {
		b.Claims(d, d.Claims)
	}
	if b.Header != nil {
		b.Header(d, d.Header)
	}
	if b.IDToken != nil {
		return b.IDToken(d)
	}
	return d.JWS()
}

// person is what the scopes tell of an account: OpenID Connect Core 1.0, section 5.4.
func person(a Account, scopes []string) map[string]any {
	m := map[string]any{}
	if slices.Contains(scopes, "profile") {
		m["name"] = a.Name
		m["preferred_username"] = a.ID
		maps.Copy(m, a.Claims)
	}
	if slices.Contains(scopes, "email") && a.Email != "" {
		m["email"] = a.Email
		m["email_verified"] = a.EmailVerified
	}
	return m
}
