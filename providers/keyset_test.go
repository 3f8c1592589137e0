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
	"net/http"
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
