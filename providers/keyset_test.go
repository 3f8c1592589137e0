package providers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/returnleg/returnleg/providers"
)

// Each algorithm, as another implementation signs with it; no other one passes with its keys.
func TestAlgorithms(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	p256, p384, p521 := curve(elliptic.P256()), curve(elliptic.P384()), curve(elliptic.P521())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		alg string
		key crypto.Signer
	}{
		{"RS256", rsaKey}, {"RS384", rsaKey}, {"RS512", rsaKey}, {"PS256", rsaKey}, {"PS384", rsaKey}, {"PS512", rsaKey},
		{"ES256", p256}, {"ES384", p384}, {"ES512", p521}, {"EdDSA", ed},
	} {
		t.Run(row.alg, func(t *testing.T) {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(row.alg), Key: row.key}, nil)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			payload := encoded(t, map[string]any{
				"iss": "https://idp.example", "sub": "ada", "aud": "app", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": "nonce-1",
			})
			signed, err := signer.Sign(payload)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			keys := encoded(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: row.key.Public()}}})
			for _, pinned := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
				err := finishWith(t, pinned, raw, keys)
				if (err == nil) != (pinned == row.alg) {
					t.Errorf("pinned to %s: got %v", pinned, err)
				}
			}
			other := []byte(raw)
			other[len(other)-20] ^= 'A' ^ 'B' // 81
			if finishWith(t, row.alg, string(other), keys) == nil {
				t.Error("81 another signature is accepted")
			}
			short := raw[:len(raw)-4]
			if err := finishWith(t, row.alg, short, keys); !errors.Is(err, providers.ErrToken) {
				t.Errorf("81 a shorter signature: got %v", err)
			}
		})
	}
}

// Row 80: what signs is strong enough, or nothing is signed.
func TestKeys_weak(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0") // to make what nobody should
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	keys := encoded(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.Public()}}})
	is(t, finishWith(t, "RS256", b64(`{"alg":"RS256"}`)+".e30.AAAA", keys), providers.ErrUnavailable)
}

// Row 80: how long a modulus may be, to the bit, whatever another user of go-jose lets it take. A key that may sign
// is tried, and has not signed.
func TestKeys_bounds(t *testing.T) {
	defer func(before int) { jose.MaxRSAModulusBits = before }(jose.MaxRSAModulusBits)
	jose.MaxRSAModulusBits = 1 << 20
	for bits, want := range map[uint]error{
		2047: providers.ErrUnavailable, 2048: providers.ErrToken, 4096: providers.ErrToken, 4097: providers.ErrUnavailable, 8192: providers.ErrUnavailable, 65536: providers.ErrUnavailable,
	} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		n.SetBit(n, 0, 1)
		if n.BitLen() != int(bits) {
			t.Fatal(n.BitLen())
		}
		keys := encoded(t, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "n": b64(string(n.Bytes())), "e": "AQAB"}}})
		err := finishWith(t, "RS256", b64(`{"alg":"RS256"}`)+".e30."+b64(strings.Repeat("a", int(bits/8))), keys)
		if !errors.Is(err, want) {
			t.Errorf("80 %d bits: got %v, want %v", bits, err, want)
		}
	}
}

// How long the name of a key may be, in the header of a token that is good otherwise.
func TestKeys_nameBounds(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for length, want := range map[int]error{0: nil, 1: nil, 1024: nil, 1025: providers.ErrToken, 4096: providers.ErrToken} {
		kid := strings.Repeat("k", length)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		signed, err := signer.Sign(encoded(t, map[string]any{
			"iss": "https://idp.example", "sub": "ada", "aud": "app", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": "nonce-1",
		}))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		keys := encoded(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: kid}}})
		if err := finishWith(t, "EdDSA", raw, keys); !errors.Is(err, want) {
			t.Errorf("a name of %d: got %v, want %v", length, err, want)
		}
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// finishWith redeems a code for an ID token, at a provider with those keys.
func finishWith(t *testing.T, alg, raw string, keys []byte) error {
	t.Helper()
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"GET idp.example/.well-known/openid-configuration": always(200, "application/json", `{"issuer":"https://idp.example",
			"authorization_endpoint":"https://idp.example/a","token_endpoint":"https://idp.example/t","jwks_uri":"https://idp.example/k"}`),
		"POST idp.example/t": always(200, "application/json", string(encoded(t, map[string]string{"access_token": "a", "token_type": "bearer", "id_token": raw}))),
		"GET idp.example/k":  always(200, "application/jwk-set+json", string(keys)),
	}}
	p := &providers.OIDC{ID: "idp", Issuer: "https://idp.example", ClientID: "app", Algorithms: []string{alg}}
	_, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
	return err
}
