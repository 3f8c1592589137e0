package providers

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// An idToken is an ID token that was verified, but for what depends on the flow.
type idToken struct {
	claims                       strictjson.Object
	subject, nonce, acr, session string
	issued, authTime             time.Time
}

// errIssuer says that a token was issued by somebody else.
var errIssuer = fault.Reject("iss")

// verify verifies the ID token of t: OpenID Connect Core 1.0, section 3.1.3.7, and RFC 8725. The
// signature comes first; nothing is read from a token that nobody has signed. Of go-oidc it is the key
// set that judges it and not the verifier, which would parse the same claims once more by looser rules:
// it lets exceptions through that we do not make (Google's other issuer, five minutes of nbf).
func (o *OIDC) verify(ctx context.Context, p *party, m *metadata, t *Token, now time.Time) (*idToken, error) {
	keys := signature{o: o, p: p, m: m}
	payload, err := keys.verify(ctx, t.ID)
	if err != nil {
		return nil, o.refused(err)
	}
	claims, err := strictjson.Parse(string(payload))
	if err != nil {
		return nil, o.refused(fmt.Errorf("claims: %w: %w", ErrToken, err))
	}
	v, err := o.read(claims, now)
	if err != nil {
		return nil, o.refused(err)
	}
	// "If the ID Token contains an at_hash Claim, the Client MAY use it to validate the Access
	// Token." OpenID Connect Core 1.0, section 3.1.3.8.
	if _, has := claims["at_hash"]; has && !hashes(claims, keys.alg, t.Access) {
		return nil, o.refused(fault.Reject("at_hash"))
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
func (o *OIDC) read(c strictjson.Object, now time.Time) (*idToken, error) {
	v := &idToken{claims: c}
	iss, ok := c.String("iss")
	if !ok {
		return nil, fault.Reject("iss")
	}
	if iss != o.Issuer {
		return nil, fault.Explain(errIssuer, "the ID token's iss is %s, Issuer is %s", fault.Quoted(iss), fault.Quoted(o.Issuer))
	}
	if err := o.audience(c); err != nil {
		return nil, err
	}
	if v.subject, ok = c.String("sub"); !ok || !grammar.Subject(v.subject) {
		return nil, fault.Reject("sub")
	}
	// A logout token is no ID token: OpenID Connect Back-Channel Logout 1.0, section 2.4.
	if _, has := c["events"]; has {
		return nil, fault.Reject("events")
	}
	expires, ok := date(c, "exp")
	if !ok || !now.Before(expires.Add(o.skew())) {
		return nil, o.untimely("exp", expires, now)
	}
	if v.issued, ok = date(c, "iat"); !ok || v.issued.After(now.Add(o.skew())) {
		return nil, o.untimely("iat", v.issued, now)
	}
	if _, has := c["nbf"]; has {
		if from, ok := date(c, "nbf"); !ok || from.After(now.Add(o.skew())) {
			return nil, o.untimely("nbf", from, now)
		}
	}
	if _, has := c["nonce"]; has {
		if v.nonce, ok = c.String("nonce"); !ok {
			return nil, fault.Reject("nonce")
		}
	}
	// Some providers write 0 for "not known".
	v.authTime, _ = date(c, "auth_time")
	v.acr, _ = c.String("acr")
	v.session, _ = c.String("sid")
	return v, nil
}

// untimely refuses a claim for its time; zero: it is no date.
func (o *OIDC) untimely(claim string, at, now time.Time) error {
	switch err := fault.Reject(claim); {
	case at.IsZero():
		return fault.Explain(err, "the ID token's %s is missing or no date", claim)
	case at.After(now):
		return fault.Explain(err, "%s is %s ahead, Skew is %s: one of the two clocks is wrong, or Skew is too small", claim, fault.Span(at.Sub(now)), fault.Span(o.skew()))
	default:
		return fault.Explain(err, "%s was %s ago, Skew is %s: one of the two clocks is wrong, or Skew is too small", claim, fault.Span(now.Sub(at)), fault.Span(o.skew()))
	}
}

// audience accepts this app alone, or among audiences that it trusts if the token was issued to it.
func (o *OIDC) audience(c strictjson.Object) error {
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

// answers checks what f asked for.
func (v *idToken) answers(f *Flow, now time.Time, skew time.Duration) error {
	if f.Nonce == "" || v.nonce != f.Nonce {
		if v.nonce == "" {
			return fault.Explain(fault.Reject("nonce"), "the ID token has no nonce: the provider has lost the one that it was sent")
		}
		return fault.Explain(fault.Reject("nonce"), "the ID token's nonce is that of another sign-in")
	}
	if f.Subject != "" && v.subject != f.Subject {
		return fmt.Errorf("sub: %w: %w", ErrToken, ErrSubject)
	}
	if len(f.ACR) > 0 && !slices.Contains(f.ACR, v.acr) {
		return fault.Explain(fmt.Errorf("acr: %w: %w", ErrToken, ErrUnmet), "the ID token's acr is %s, the page needs one of %s", fault.Quoted(v.acr), fault.Quoted(strings.Join(f.ACR, " ")))
	}
	if f.MaxAge == 0 {
		return nil
	}
	// "max_age: […] When max_age is used, the ID Token returned MUST include an auth_time Claim Value."
	// OpenID Connect Core 1.0, section 3.1.2.1.
	proved := ProvedAt(v.authTime, now, skew)
	if proved.IsZero() {
		return fault.Explain(fmt.Errorf("auth_time: %w: %w", ErrToken, ErrNoAuthTime), "the provider was sent max_age, and its ID token has no auth_time")
	}
	if !Recent(proved, now, f.MaxAge) {
		return fault.Explain(fmt.Errorf("auth_time: %w: %w", ErrToken, ErrUnmet), "auth_time was %s ago, MaxAge is %s, Skew is %s", fault.Span(now.Sub(v.authTime)), fault.Span(f.MaxAge), fault.Span(skew))
	}
	return nil
}

// continues checks that v, which came with a refresh, is about the same sign-in as what came with t:
// OpenID Connect Core 1.0, section 12.2.
func (v *idToken) continues(t *Token, skew time.Duration) error {
	if t.Subject != "" && v.subject != t.Subject {
		return fmt.Errorf("sub: %w: %w", ErrToken, ErrSubject)
	}
	before, err := unverified(t.ID)
	if err != nil {
		// There is nothing to compare with: it came without an ID token.
		return nil
	}
	if nonce, _ := before.String("nonce"); v.nonce != "" && v.nonce != nonce {
		return fault.Reject("nonce")
	}
	// A provider of several machines has several clocks, and the second token may come at once.
	if issued, ok := date(before, "iat"); ok && v.issued.Add(skew).Before(issued) {
		return fault.Reject("iat")
	}
	return nil
}

// unverified returns the claims of an ID token that was verified when it came.
func unverified(raw string) (strictjson.Object, error) {
	_, rest, _ := strings.Cut(raw, ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	return strictjson.Parse(string(b))
}

// maxDate is the last second of the year 9999: what is later is not meant as a date.
const maxDate = 253402300799

// date returns a NumericDate: RFC 7519, section 2. Zero and less is none.
func date(c strictjson.Object, name string) (time.Time, bool) {
	n, ok := c.Number(name)
	if !ok || n <= 0 || n > maxDate {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(n)), 0), true
}

// encode returns claims for the app: without what belongs to one flow.
func encode(claims strictjson.Object) json.RawMessage {
	for _, name := range []string{"nonce", "at_hash", "c_hash"} {
		delete(claims, name)
	}
	b, err := claims.Encode()
	if err != nil {
		return nil
	}
	return b
}
