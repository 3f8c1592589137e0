package providers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/returnleg/returnleg/providers"
)

// ID tokens are verified without go-oidc's verifier, by stricter rules: what passes here passes there.
func TestVerify_goOIDC(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := encoded(t, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public()}}})
	theirs := oidc.NewVerifier("https://idp.example", &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key.Public()}},
		&oidc.Config{ClientID: "app", SupportedSigningAlgs: []string{"ES256"}})
	now := time.Now()
	sum := sha256.Sum256([]byte("a"))
	rows := []struct {
		name        string
		claim       string
		value       any
		header      jose.HeaderKey
		inHeader    any
		ours, other bool // accepted here; accepted by go-oidc
	}{
		{name: "plain", ours: true, other: true},
		{name: "aud an array", claim: "aud", value: []string{"app"}, ours: true, other: true},
		{name: "aud of two", claim: "aud", value: []string{"app", "other"}, other: true},
		{name: "aud another", claim: "aud", value: "other"},
		{name: "aud of odd things", claim: "aud", value: []any{"app", 1}},
		{name: "iss another", claim: "iss", value: "https://other.example"},
		{name: "iss a number", claim: "iss", value: 1},
		{name: "sub a number", claim: "sub", value: 1},
		{name: "sub empty", claim: "sub", value: "", other: true},
		{name: "exp past", claim: "exp", value: now.Add(-time.Hour).Unix()},
		{name: "exp a string", claim: "exp", value: "4102444800", other: true},
		{name: "exp a fraction", claim: "exp", value: 4102444800.5, ours: true, other: true},
		{name: "exp missing", claim: "exp"},
		{name: "iat a string", claim: "iat", value: "1", other: true},
		{name: "nbf past", claim: "nbf", value: now.Add(-time.Hour).Unix(), ours: true, other: true},
		{name: "nbf in two minutes", claim: "nbf", value: now.Add(2 * time.Minute).Unix(), other: true},
		{name: "nbf in an hour", claim: "nbf", value: now.Add(time.Hour).Unix()},
		{name: "nonce a number", claim: "nonce", value: 1},
		{name: "at_hash", claim: "at_hash", value: b64(string(sum[:16])), ours: true, other: true},
		{name: "at_hash of the other half", claim: "at_hash", value: b64(string(sum[16:]))},
		{name: "at_hash whole", claim: "at_hash", value: b64(string(sum[:]))},
		{name: "at_hash a number", claim: "at_hash", value: 1},
		{name: "another claim", claim: "groups", value: []string{"a"}, ours: true, other: true},
		{name: "distributed claims", claim: "_claim_names", value: map[string]string{}, ours: true, other: true},
		{name: "crit", header: "crit", inHeader: []string{"exp"}},
		{name: "unencoded payload", header: "b64", inHeader: true, ours: true, other: true},
		{name: "jku", header: "jku", inHeader: "https://idp.example/other", ours: true, other: true},
		{name: "jwk of another kind", header: "jwk", inHeader: map[string]string{"kty": "oct", "k": "AAAA"}},
		{name: "jwk, public", header: "jwk", inHeader: jose.JSONWebKey{Key: key.Public()}, other: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			claims := map[string]any{
				"iss": "https://idp.example", "sub": "ada", "aud": "app", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": "nonce-1",
			}
			if row.claim != "" {
				claims[row.claim] = row.value
			}
			opts := &jose.SignerOptions{}
			if row.header != "" {
				opts.WithHeader(row.header, row.inHeader)
			}
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signer.Sign(encoded(t, claims))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := signed.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			ours := finishWith(t, "ES256", raw, keys)
			if row.ours {
				is(t, ours, nil)
			} else {
				is(t, ours, providers.ErrToken)
			}
			token, err := theirs.Verify(t.Context(), raw)
			if err == nil && token.AccessTokenHash != "" {
				err = token.VerifyAccessToken("a")
			}
			if (err == nil) != row.other {
				t.Errorf("go-oidc: got %v, want passed %v", err, row.other)
			}
			if ours == nil && err != nil {
				t.Errorf("accepted, but go-oidc says %v", err)
			}
		})
	}
}
