package providertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"sync"
)

// A key signs ID tokens.
type key struct {
	id      string
	private crypto.Signer
}

func knownAlgorithm(alg string) bool { return alg == "RS256" || alg == "ES256" || alg == "EdDSA" }

// sharedRSA are made once in a process, when they are first needed: one costs a tenth of a second.
var sharedRSA = func() (fs [6]func() *rsa.PrivateKey) {
	for i := range fs {
		fs[i] = sync.OnceValue(newRSA)
	}
	return fs
}()

func newRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("providertest: rsa key: " + err.Error()) // the system has no randomness
	}
	return k
}

// newKey makes the next key of an algorithm. The caller has locked s.
func (s *Server) newKey(alg string) *key {
	var k crypto.Signer
	switch alg {
	case "ES256":
		e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic("providertest: ecdsa key: " + err.Error())
		}
		k = e
	case "EdDSA":
		_, e, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic("providertest: ed25519 key: " + err.Error())
		}
		k = e
	default:
		if s.made < len(sharedRSA)-1 {
			k = sharedRSA[s.made]()
		} else {
			k = newRSA()
		}
		s.made++
	}
	return &key{id: keyID(k), private: k}
}

// keyID is the start of a key's thumbprint (RFC 7638): the same key has the same id everywhere.
func keyID(k crypto.Signer) string {
	m := publicJWK(k)
	h := sha256.New()
	switch m["kty"] {
	case "EC":
		fmt.Fprintf(h, `{"crv":%q,"kty":"EC","x":%q,"y":%q}`, m["crv"], m["x"], m["y"])
	case "OKP":
		fmt.Fprintf(h, `{"crv":%q,"kty":"OKP","x":%q}`, m["crv"], m["x"])
	default:
		fmt.Fprintf(h, `{"e":%q,"kty":"RSA","n":%q}`, m["e"], m["n"])
	}
	return b64(h.Sum(nil))[:16]
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// publicJWK is the public part as RFC 7517 and RFC 7518, section 6 write it.
func publicJWK(k crypto.Signer) map[string]any {
	switch p := k.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "alg": "RS256", "use": "sig", "n": b64(p.N.Bytes()), "e": b64(big.NewInt(int64(p.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 4, x, y
		if err != nil {
			panic("providertest: ecdsa key: " + err.Error())
		}
		return map[string]any{"kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case ed25519.PublicKey:
		return map[string]any{"kty": "OKP", "alg": "EdDSA", "use": "sig", "crv": "Ed25519", "x": b64(p)}
	}
	panic("providertest: key of an unknown kind")
}

// jwk is the key as it is published.
func (k *key) jwk() map[string]any {
	m := publicJWK(k.private)
	m["kid"] = k.id
	return m
}

// sign signs input by the algorithm that k is for.
func (k *key) sign(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	switch p := k.private.(type) {
	case *rsa.PrivateKey:
		sig, err := rsa.SignPKCS1v15(nil, p, crypto.SHA256, sum[:])
		if err != nil {
			panic("providertest: sign: " + err.Error())
		}
		return sig
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, p, sum[:])
		if err != nil {
			panic("providertest: sign: " + err.Error())
		}
		sig := make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
		return sig
	case ed25519.PrivateKey:
		return ed25519.Sign(p, []byte(input))
	}
	panic("providertest: key of an unknown kind")
}

func hmacSHA256(secret []byte, input string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(input))
	return h.Sum(nil)
}

// RotateKey makes the next ID token be signed by a new key. The keys before it stay published, the last
// three of them.
func (s *Server) RotateKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signingKey()
	s.addKey(s.newKey(s.cfg.Algorithm))
}

// DropKeys makes the next ID token be signed by a new key, and publishes only that one.
func (s *Server) DropKeys() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signingKey()
	s.keys = []*key{s.newKey(s.cfg.Algorithm)}
}

func (s *Server) addKey(k *key) {
	s.keys = append(s.keys, k)
	if len(s.keys) > 4 {
		s.keys = append([]*key(nil), s.keys[1:]...)
	}
}

// signingKey makes the first key when it is needed: a provider that signs nothing has none.
func (s *Server) signingKey() *key {
	if len(s.keys) == 0 {
		s.addKey(s.newKey(s.cfg.Algorithm))
	}
	return s.keys[len(s.keys)-1]
}

func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet) {
		return
	}
	s.mu.Lock()
	b := s.behavior
	s.signingKey()
	set := make([]map[string]any, 0, len(s.keys)+b.ExtraKeys)
	for _, k := range s.keys {
		set = append(set, k.jwk())
	}
	for i := range b.ExtraKeys {
		set = append(set, s.extraKey(i).jwk())
	}
	s.mu.Unlock()

	var keys any = set
	if b.Keys != nil {
		keys = b.Keys(set)
	}
	writeJSON(w, http.StatusOK, map[string]any{"keys": keys})
}
