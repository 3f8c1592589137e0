package idtoken

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/returnleg/returnleg/internal/strictjson"
)

const (
	minRSA  = 2048 // bits
	maxRSA  = 4096 // more would cost more than it proves; go-jose takes no more, either
	maxKeys = 16   // that one signature is tried with
)

// A KeySet is the usable part of a JSON Web Key Set: RFC 7517.
type KeySet struct{ keys []jose.JSONWebKey }

// readKeys returns the keys that can verify a signature. "Implementations SHOULD ignore JWKs within
// a JWK Set that use "kty" values that are not understood by them, that are missing required members,
// or for which values are out of the supported ranges." RFC 7517, section 5.
func readKeys(body []byte) (*KeySet, error) {
	o, err := strictjson.Parse(string(body))
	if err != nil {
		return nil, err
	}
	var elements []json.RawMessage
	if json.Unmarshal([]byte(o["keys"]), &elements) != nil {
		return nil, errors.New("no array of keys")
	}
	set := &KeySet{}
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
	// Neither a symmetric key nor a private one: a private key that is published is shared with everybody.
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
func (s *KeySet) signed(ctx context.Context, token *jws) bool {
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
