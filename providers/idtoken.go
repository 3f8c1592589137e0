package providers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/returnleg/returnleg/internal/strictjson"
)

const (
	maxIDToken = 64 << 10
	maxKeyID   = 1024
)

// An idToken is an ID token that was verified, but for what depends on the flow.
type idToken struct {
	claims                       strictjson.Object
	subject, nonce, acr, session string
	issued, authTime             time.Time
}

// errIssuer says that a token was issued by somebody else.
var errIssuer = reject("iss")

func reject(what string) error { return fmt.Errorf("%s: %w", what, ErrToken) }

// verify verifies the ID token of t: OpenID Connect Core 1.0, section 3.1.3.7, and RFC 8725. The
// signature comes first; nothing is read from a token that nobody has signed.
func (o *OIDC) verify(ctx context.Context, p *party, m *metadata, t *Token, now time.Time) (*idToken, error) {
	alg, kid, err := header(t.ID)
	if err != nil {
		return nil, o.refused(err)
	}
	if !slices.Contains(o.algorithms, alg) {
		return nil, o.refused(reject("alg"))
	}
	fetch := func(ctx context.Context) (*keySet, error) { return p.fetchKeys(ctx, m.jwks) }
	keys := &signature{
		alg: alg, kid: kid,
		load:  func(ctx context.Context) (*keySet, error) { return o.keys.load(ctx, fetch) },
		again: func(ctx context.Context) (*keySet, bool, error) { return o.keys.again(ctx, fetch) },
	}
	// Of its claims go-oidc checks none: it lets exceptions through that we do not make (Google's
	// other issuer, five minutes of nbf), and quotes the token in its errors.
	verifier := oidc.NewVerifier(o.Issuer, keys, &oidc.Config{
		SupportedSigningAlgs: []string{alg},
		SkipIssuerCheck:      true,
		SkipClientIDCheck:    true,
		SkipExpiryCheck:      true,
	})
	token, err := verifier.Verify(ctx, t.ID)
	if keys.err != nil {
		return nil, o.refused(keys.err)
	}
	if err != nil {
		return nil, o.refused(reject("claims"))
	}
	var payload json.RawMessage
	if err := token.Claims(&payload); err != nil {
		return nil, o.refused(reject("claims"))
	}
	claims, err := strictjson.Parse(payload)
	if err != nil {
		return nil, o.refused(fmt.Errorf("claims: %w: %w", ErrToken, err))
	}
	v, err := o.read(claims, now)
	if err != nil {
		return nil, o.refused(err)
	}
	// "If the ID Token contains an at_hash Claim, the Client MAY use it to validate the Access
	// Token." OpenID Connect Core 1.0, section 3.1.3.8.
	if _, has := claims["at_hash"]; has && token.VerifyAccessToken(t.Access) != nil {
		return nil, o.refused(reject("at_hash"))
	}
	return v, nil
}

// header reads the header of a token in compact form: alg, and kid if it has one. Keys that a token
// brings along (jwk, jku, x5c, x5u) are never looked at.
func header(raw string) (alg, kid string, err error) {
	if raw == "" {
		return "", "", reject("missing")
	}
	if len(raw) > maxIDToken || strings.Count(raw, ".") != 2 || !compact(raw) {
		return "", "", reject("not three segments of base64url")
	}
	for segment := range strings.SplitSeq(raw, ".") {
		// Bits behind the end would let one token be written in several ways.
		if _, err := base64.RawURLEncoding.Strict().DecodeString(segment[len(segment)&^3:]); err != nil {
			return "", "", reject("not three segments of base64url")
		}
	}
	segment := raw[:strings.IndexByte(raw, '.')]
	b, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return "", "", reject("header")
	}
	h, err := strictjson.Parse(b)
	if err != nil {
		return "", "", reject("header")
	}
	alg, ok := h.String("alg")
	if !ok {
		return "", "", reject("alg")
	}
	// "If any of the listed extension Header Parameters are not understood and supported by the
	// recipient, then the JWS is invalid." RFC 7515, section 4.1.11. We support none.
	if _, has := h["crit"]; has {
		return "", "", reject("crit")
	}
	if _, has := h["kid"]; has {
		if kid, ok = h.String("kid"); !ok || len(kid) > maxKeyID {
			return "", "", reject("kid")
		}
	}
	// An access token, a logout token or a userinfo answer of the same provider is signed by the
	// same keys: RFC 8725, section 3.11.
	if _, has := h["typ"]; has {
		typ, _ := h.String("typ")
		if !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "application/jwt") {
			return "", "", reject("typ")
		}
	}
	return alg, kid, nil
}

// compact reports whether all of s is base64url and dots: no padding, no white space.
func compact(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// read checks the claims that do not depend on a flow.
func (o *OIDC) read(c strictjson.Object, now time.Time) (*idToken, error) {
	v := &idToken{claims: c}
	iss, ok := c.String("iss")
	if !ok {
		return nil, reject("iss")
	}
	if iss != o.Issuer {
		return nil, errIssuer
	}
	if err := o.audience(c); err != nil {
		return nil, err
	}
	if v.subject, ok = c.String("sub"); !ok || !subject(v.subject) {
		return nil, reject("sub")
	}
	// A logout token is no ID token: OpenID Connect Back-Channel Logout 1.0, section 2.4.
	if _, has := c["events"]; has {
		return nil, reject("events")
	}
	expires, ok := date(c, "exp")
	if !ok || !now.Before(expires.Add(o.skew())) {
		return nil, reject("exp")
	}
	if v.issued, ok = date(c, "iat"); !ok || v.issued.After(now.Add(o.skew())) {
		return nil, reject("iat")
	}
	if _, has := c["nbf"]; has {
		if from, ok := date(c, "nbf"); !ok || from.After(now.Add(o.skew())) {
			return nil, reject("nbf")
		}
	}
	if _, has := c["nonce"]; has {
		if v.nonce, ok = c.String("nonce"); !ok {
			return nil, reject("nonce")
		}
	}
	// Some providers write 0 for "not known".
	v.authTime, _ = date(c, "auth_time")
	v.acr, _ = c.String("acr")
	v.session, _ = c.String("sid")
	return v, nil
}

// audience accepts this app alone, or among audiences that it trusts if the token was issued to it.
func (o *OIDC) audience(c strictjson.Object) error {
	audiences, ok := c.Strings("aud")
	if one, is := c.String("aud"); is {
		audiences, ok = []string{one}, true
	}
	if !ok || !slices.Contains(audiences, o.ClientID) {
		return reject("aud")
	}
	for _, a := range audiences {
		if a != o.ClientID && !slices.Contains(o.TrustedAudiences, a) {
			return reject("aud")
		}
	}
	azp, _ := c.String("azp")
	if _, has := c["azp"]; (has || len(audiences) > 1) && azp != o.ClientID {
		return reject("azp")
	}
	return nil
}

// answers checks what f asked for.
func (v *idToken) answers(f *Flow, now time.Time, skew time.Duration) error {
	if f.Nonce == "" || v.nonce != f.Nonce {
		return reject("nonce")
	}
	if f.Subject != "" && v.subject != f.Subject {
		return fmt.Errorf("sub: %w: %w", ErrToken, ErrSubject)
	}
	if len(f.ACR) > 0 && !slices.Contains(f.ACR, v.acr) {
		return fmt.Errorf("acr: %w: %w", ErrToken, ErrUnmet)
	}
	if f.MaxAge > 0 && (v.authTime.IsZero() || now.Sub(v.authTime) > f.MaxAge+skew) {
		return fmt.Errorf("auth_time: %w: %w", ErrToken, ErrUnmet)
	}
	return nil
}

// continues checks that v, which came with a refresh, is about the same sign-in as what came with t:
// OpenID Connect Core 1.0, section 12.2.
func (v *idToken) continues(t *Token) error {
	if t.Subject != "" && v.subject != t.Subject {
		return fmt.Errorf("sub: %w: %w", ErrToken, ErrSubject)
	}
	before, err := unverified(t.ID)
	if err != nil {
		// There is nothing to compare with: it came without an ID token.
		return nil
	}
	if nonce, _ := before.String("nonce"); v.nonce != "" && v.nonce != nonce {
		return reject("nonce")
	}
	if issued, ok := date(before, "iat"); ok && v.issued.Before(issued) {
		return reject("iat")
	}
	return nil
}

// unverified returns the claims of an ID token that was verified when it came.
func unverified(raw string) (strictjson.Object, error) {
	_, rest, _ := strings.Cut(raw, ".")
	segment, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return nil, err
	}
	return strictjson.Parse(b)
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
