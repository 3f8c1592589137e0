package providers

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"math/big"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
)

const (
	maxIDToken = 64 << 10
	maxKeyID   = 1024
)

// segment is the encoding of a token's segments: without padding, and without loose bits behind the
// end, which would let one token be written in several ways.
var segment = base64.RawURLEncoding.Strict()

// A jws is a token in compact form, taken apart: RFC 7515, section 7.1. Nothing in it is to be
// believed before [jws.signedBy] has said so.
type jws struct {
	alg, kid           string // of the header; kid may be ""
	input              []byte // what was signed
	payload, signature []byte // decoded
}

// parseJWS takes a token apart and judges its header. Keys that it points to or has certificates of (jku,
// x5u, x5c) are never looked at.
func parseJWS(raw string) (*jws, error) {
	if raw == "" {
		return nil, reject("missing")
	}
	// The decoder refuses whatever is not of its alphabet, but for line breaks.
	if len(raw) > maxIDToken || strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, "\r\n") {
		return nil, reject("not three segments of base64url")
	}
	b := []byte(raw)
	first, last := bytes.IndexByte(b, '.'), bytes.LastIndexByte(b, '.')
	j := &jws{input: b[:last]}
	decoded := make([]byte, 0, segment.DecodedLen(len(b))) // of all three
	var parts [3][]byte
	for i, s := range [3][]byte{b[:first], b[first+1 : last], b[last+1:]} {
		all, err := segment.AppendDecode(decoded, s)
		if err != nil {
			return nil, reject("not three segments of base64url")
		}
		parts[i], decoded = all[len(decoded):len(all):len(all)], all
	}
	j.payload, j.signature = parts[1], parts[2]
	return j, j.judge(parts[0])
}

// judge reads the header.
func (j *jws) judge(header []byte) error {
	h, err := strictjson.Parse(header)
	if err != nil {
		return reject("header")
	}
	var ok bool
	if j.alg, ok = h.String("alg"); !ok {
		return reject("alg")
	}
	// "If any of the listed extension Header Parameters are not understood and supported by the
	// recipient, then the JWS is invalid." RFC 7515, section 4.1.11. We support none.
	if _, has := h["crit"]; has {
		return reject("crit")
	}
	// No provider has a reason to send the key along that it publishes: who does wants it believed.
	if _, has := h["jwk"]; has {
		return reject("jwk")
	}
	if _, has := h["kid"]; has {
		if j.kid, ok = h.String("kid"); !ok || len(j.kid) > maxKeyID {
			return reject("kid")
		}
	}
	// An access token, a logout token or a userinfo answer of the same provider is signed by the
	// same keys: RFC 8725, section 3.11.
	if _, has := h["typ"]; has {
		typ, _ := h.String("typ")
		if !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "application/jwt") {
			return reject("typ")
		}
	}
	return nil
}

// digest returns the hash that alg stands for, and that of b: RFC 7518, section 3.1.
func digest(alg string, b []byte) (crypto.Hash, []byte) {
	switch alg[2:] {
	case "256":
		sum := sha256.Sum256(b)
		return crypto.SHA256, sum[:]
	case "384":
		sum := sha512.Sum384(b)
		return crypto.SHA384, sum[:]
	case "512", "DSA": // EdDSA, by which only Ed25519 is meant here
		sum := sha512.Sum512(b)
		return crypto.SHA512, sum[:]
	}
	return 0, nil
}

// signedBy reports whether key made the signature by alg: RFC 7518, section 3, and RFC 8037, section
// 3.1. The caller has made sure that alg is one of key's.
func (j *jws) signedBy(key any) bool {
	if k, ok := key.(ed25519.PublicKey); ok {
		return len(k) == ed25519.PublicKeySize && ed25519.Verify(k, j.input, j.signature)
	}
	h, sum := digest(j.alg, j.input)
	if h == 0 {
		return false
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if j.alg[0] == 'P' {
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
