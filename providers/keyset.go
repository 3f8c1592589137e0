package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/fault"
)

const (
	minRSA  = 2048 // bits
	maxRSA  = 4096 // more would cost more than it proves; go-jose takes no more, either
	maxKeys = 16   // that one signature is tried with
)

// A keySet is the usable part of a JSON Web Key Set: RFC 7517.
type keySet struct{ keys []jose.JSONWebKey }

// fetchKeys reads the key set of the provider.
func (p *party) fetchKeys(ctx context.Context, endpoint string) (*keySet, error) {
	r, err := p.published(ctx, "keys", endpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if r.status != 200 || !isJSON(r.header) {
		return nil, r.explain(fmt.Errorf("providers: %s: keys: %w: status %d or not JSON", p.name, ErrUnavailable, r.status))
	}
	set, err := readKeys(r.body)
	if err != nil {
		return nil, fmt.Errorf("providers: %s: keys: %w: %w", p.name, ErrUnavailable, err)
	}
	return set, nil
}

// readKeys returns the keys that can verify a signature. "Implementations SHOULD ignore JWKs within
// a JWK Set that use "kty" values that are not understood by them, that are missing required members,
// or for which values are out of the supported ranges." RFC 7517, section 5.
func readKeys(body []byte) (*keySet, error) {
	o, err := strictjson.Parse(string(body))
	if err != nil {
		return nil, err
	}
	var elements []json.RawMessage
	if json.Unmarshal([]byte(o["keys"]), &elements) != nil {
		return nil, errors.New("no array of keys")
	}
	set := &keySet{}
	for _, raw := range elements {
		if k, ok := readKey(raw); ok {
			set.keys = append(set.keys, k)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("no usable key")
	}
	return set, nil
}

func readKey(raw json.RawMessage) (k jose.JSONWebKey, ok bool) {
	o, err := strictjson.Parse(string(raw))
	if err != nil {
		return k, false
	}
	// Certificates add nothing to a key that was fetched from where the issuer says, and one that
	// cannot be parsed would lose the key.
	for _, certificate := range []string{"x5c", "x5u", "x5t", "x5t#S256"} {
		delete(o, certificate)
	}
	plain, err := o.Encode()
	if err != nil || k.UnmarshalJSON(plain) != nil || k.Use != "" && k.Use != "sig" {
		return k, false
	}
	// Neither a symmetric key nor a private one: who publishes that has shared it with everybody.
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return k, key.N.BitLen() >= minRSA && key.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey:
		return k, key.Curve == elliptic.P256() || key.Curve == elliptic.P384() || key.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return k, true
	}
	return k, false
}

// signed reports whether one of the keys signed token, out of those that a token with that header may be signed
// with. Of several with one id, any may be it.
func (s *keySet) signed(ctx context.Context, token *jws) bool {
	var keys oidc.StaticKeySet
	for i := range s.keys {
		k := &s.keys[i]
		if token.kid != "" && k.KeyID != token.kid || k.Algorithm != "" && k.Algorithm != token.alg || !fits(k.Key, token.alg) {
			continue
		}
		if keys.PublicKeys = append(keys.PublicKeys, k.Key); len(keys.PublicKeys) == maxKeys {
			break
		}
	}
	if len(keys.PublicKeys) == 0 {
		return false
	}
	_, err := keys.VerifySignature(ctx, token.raw)
	return err == nil
}

// fits reports whether alg is one of key's: RFC 7518, section 3.1, where each curve has one algorithm.
func fits(key any, alg string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return alg[0] == 'R' || alg[0] == 'P'
	case *ecdsa.PublicKey:
		return alg == map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[key.Curve]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// A signature verifies that of one token of an OIDC provider.
type signature struct {
	o   *OIDC
	p   *party
	m   *metadata
	alg string // of the token that was verified
}

var errSignature = fmt.Errorf("signature: %w", ErrToken)

// verify returns the payload of a token that one of the provider's keys has signed.
func (s *signature) verify(ctx context.Context, jwt string) ([]byte, error) {
	token, err := parseJWS(jwt)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(s.o.algorithms, token.alg) {
		return nil, fault.Explain(fault.Reject("alg"), "the ID token is signed with %s, accepted are %s", fault.Quoted(token.alg), strings.Join(s.o.algorithms, ", "))
	}
	s.alg = token.alg
	set, err := s.o.keys.load(ctx, s.fetch)
	if err != nil {
		return nil, err
	}
	// The key that signed it may have come since the copy was made, under a name of its own, without one, or under
	// that of another: not every provider that changes a key changes its id. It is asked once a minute, so that bad
	// signatures cost no more. Twice, because a fetch that was under way already may have been too early.
	for range 2 {
		if set.signed(ctx, token) {
			return token.payload, nil
		}
		next, ok, err := s.o.keys.again(ctx, s.fetch)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, s.unsigned(set, token)
		}
		set = next
	}
	if set.signed(ctx, token) {
		return token.payload, nil
	}
	return nil, s.unsigned(set, token)
}

// unsigned says that none of the keys has signed token.
func (s *signature) unsigned(set *keySet, token *jws) error {
	known := slices.ContainsFunc(set.keys, func(k jose.JSONWebKey) bool { return k.KeyID == token.kid })
	if token.kid != "" && !known {
		return fault.Explain(errSignature, "the ID token names the key %s, which %s does not have", fault.Quoted(token.kid), fault.Bare(s.m.jwks))
	}
	return fault.Explain(errSignature, "none of the %d keys at %s has signed the ID token, by %s", len(set.keys), fault.Bare(s.m.jwks), fault.Quoted(token.alg))
}

func (s *signature) fetch(ctx context.Context) (*keySet, error) { return s.p.fetchKeys(ctx, s.m.jwks) }
