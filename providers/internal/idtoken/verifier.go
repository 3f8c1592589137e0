package idtoken

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// A Token is an ID token that was verified, but for what depends on the flow.
type Token struct {
	Claims                       strictjson.Object
	Subject, Nonce, ACR, Session string
	Issued, AuthTime             time.Time
}

// A Verifier verifies the ID tokens that one issuer gives to one app.
type Verifier struct {
	Issuer, ClientID string
	TrustedAudiences []string
	Skew             time.Duration // by which the issuer's clock may be off
	Keys             Keys
}

// ErrIssuer says that a token was issued by somebody else.
var ErrIssuer = fault.Reject("iss")

// Verify verifies the ID token that came with an access token: OpenID Connect Core 1.0, section 3.1.3.7, and RFC 8725. The
// signature comes first; nothing is read from a token that nobody has signed. Of go-oidc it is the key
// set that judges it and not the verifier, which would parse the same claims once more by looser rules:
// it lets exceptions through that we do not make (Google's other issuer, five minutes of nbf).
func (o *Verifier) Verify(ctx context.Context, raw, access string, now time.Time) (*Token, error) {
	token, err := o.Keys.verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	claims, err := strictjson.Parse(string(token.payload))
	if err != nil {
		return nil, fmt.Errorf("claims: %w: %w", fault.ErrToken, err)
	}
	v, err := o.read(claims, now)
	if err != nil {
		return nil, err
	}
	// "If the ID Token contains an at_hash Claim, the Client MAY use it to validate the Access
	// Token." OpenID Connect Core 1.0, section 3.1.3.8.
	if _, has := claims["at_hash"]; has && !hashes(claims, token.alg, access) {
		return nil, fault.Reject("at_hash")
	}
	return v, nil
}

// hashes reports whether the claim at_hash is of that access token: "the base64url encoding of the
// left-most half of the hash", by the hash of the algorithm that signed the ID token.
func hashes(c strictjson.Object, alg, access string) bool {
	var sum []byte
	switch alg[2:] {
	case "256":
		h := sha256.Sum256([]byte(access))
		sum = h[:16]
	case "384":
		h := sha512.Sum384([]byte(access))
		sum = h[:24]
	case "512", "DSA": // EdDSA, by which only Ed25519 is meant here
		h := sha512.Sum512([]byte(access))
		sum = h[:32]
	}
	got, ok := c.String("at_hash")
	return ok && sum != nil && got == segment.EncodeToString(sum)
}

// read checks the claims that do not depend on a flow.
func (o *Verifier) read(c strictjson.Object, now time.Time) (*Token, error) {
	v := &Token{Claims: c}
	iss, ok := c.String("iss")
	if !ok {
		return nil, fault.Reject("iss")
	}
	if iss != o.Issuer {
		return nil, fault.Explain(ErrIssuer, "the ID token's iss is %s, Issuer is %s", fault.Quoted(iss), fault.Quoted(o.Issuer))
	}
	if err := o.audience(c); err != nil {
		return nil, err
	}
	if v.Subject, ok = c.String("sub"); !ok || !grammar.Subject(v.Subject) {
		return nil, fault.Reject("sub")
	}
	// A logout token is no ID token: OpenID Connect Back-Channel Logout 1.0, section 2.4.
	if _, has := c["events"]; has {
		return nil, fault.Reject("events")
	}
	expires, ok := Date(c, "exp")
	if !ok || !now.Before(expires.Add(o.Skew)) {
		return nil, o.untimely("exp", expires, now)
	}
	if v.Issued, ok = Date(c, "iat"); !ok || v.Issued.After(now.Add(o.Skew)) {
		return nil, o.untimely("iat", v.Issued, now)
	}
	if _, has := c["nbf"]; has {
		if from, ok := Date(c, "nbf"); !ok || from.After(now.Add(o.Skew)) {
			return nil, o.untimely("nbf", from, now)
		}
	}
	if _, has := c["nonce"]; has {
		if v.Nonce, ok = c.String("nonce"); !ok {
			return nil, fault.Reject("nonce")
		}
	}
	// Some providers write 0 for "not known".
	v.AuthTime, _ = Date(c, "auth_time")
	v.ACR, _ = c.String("acr")
	v.Session, _ = c.String("sid")
	return v, nil
}

// untimely refuses a claim for its time; zero: it is no date.
func (o *Verifier) untimely(claim string, at, now time.Time) error {
	switch err := fault.Reject(claim); {
	case at.IsZero():
		return fault.Explain(err, "the ID token's %s is missing or no date", claim)
	case at.After(now):
		return fault.Explain(err, "%s is %s ahead, Skew is %s: one of the two clocks is wrong, or Skew is too small", claim, fault.Span(at.Sub(now)), fault.Span(o.Skew))
	default:
		return fault.Explain(err, "%s was %s ago, Skew is %s: one of the two clocks is wrong, or Skew is too small", claim, fault.Span(now.Sub(at)), fault.Span(o.Skew))
	}
}

// audience accepts this app alone, or among audiences that it trusts if the token was issued to it.
func (o *Verifier) audience(c strictjson.Object) error {
	audiences, ok := c.Strings("aud")
	if one, is := c.String("aud"); is {
		audiences, ok = []string{one}, true
	}
	if !ok || !slices.Contains(audiences, o.ClientID) {
		return fault.Explain(fault.Reject("aud"), "the ID token's aud is %s, ClientID is %s", fault.Quoted(strings.Join(audiences, " ")), fault.Quoted(o.ClientID))
	}
	for _, a := range audiences {
		if a != o.ClientID && !slices.Contains(o.TrustedAudiences, a) {
			return fault.Explain(fault.Reject("aud"), "the ID token's aud has %s besides ClientID, which TrustedAudiences has not", fault.Quoted(a))
		}
	}
	azp, _ := c.String("azp")
	if _, has := c["azp"]; (has || len(audiences) > 1) && azp != o.ClientID {
		return fault.Reject("azp")
	}
	return nil
}
