package providers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // linked in, for crypto.Hash
	_ "crypto/sha512"
	"encoding/base64"
	"math/big"
	"strings"
)

// A jws is a token in compact form, taken apart: RFC 7515, section 7.1. go-oidc has parsed the token by
// the time its key set is asked; to verify the signature here, instead of parsing once more, saves a
// quarter of what a sign-in allocates.
type jws struct {
	input, signature []byte // what was signed, and by what
	payload          string // still encoded
}

func parseJWS(raw string) (*jws, bool) {
	head, rest, _ := strings.Cut(raw, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return nil, false
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || len(sig) == 0 {
		return nil, false
	}
	return &jws{[]byte(raw[:len(head)+1+len(payload)]), sig, payload}, true
}

// signedBy reports whether key made the signature by alg: RFC 7518, section 3, and RFC 8037, section
// 3.1. The caller has made sure that alg is one of key's.
func (j *jws) signedBy(key any, alg string) bool {
	if k, ok := key.(ed25519.PublicKey); ok {
		return len(k) == ed25519.PublicKeySize && ed25519.Verify(k, j.input, j.signature)
	}
	h := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	if h == 0 {
		return false
	}
	d := h.New()
	d.Write(j.input)
	sum := d.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		if alg[0] == 'P' {
			// "The size of the salt value is the same size as the hash function output." Section 3.5.
			return rsa.VerifyPSS(k, h, sum, j.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(k, h, sum, j.signature) == nil
	case *ecdsa.PublicKey:
		// Two numbers of the size of the curve's order, one behind the other: section 3.4.
		n := (k.Curve.Params().BitSize + 7) / 8
		if len(j.signature) != 2*n {
			return false
		}
		return ecdsa.Verify(k, sum, new(big.Int).SetBytes(j.signature[:n]), new(big.Int).SetBytes(j.signature[n:]))
	}
	return false
}
