package providertest

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
)

// A Draft is an answer of the token endpoint while it is made: whom it is for, and its ID token
// before it is signed.
type Draft struct {
	GrantType string // "authorization_code" or "refresh_token"
	Client    Client
	Account   Account
	Scopes    []string
	Access    string // the access token
	Nonce     string // of the authorization request

	Header, Claims map[string]any // of the ID token

	server *Server
	key    *key
}

// Input returns the first two segments of the ID token.
func (d *Draft) Input() string {
	return b64(mustJSON(d.Header)) + "." + b64(mustJSON(d.Claims))
}

// JWS returns the ID token, signed as it should be.
func (d *Draft) JWS() string { return d.Sign(d.Input()) }

// Sign signs any input with the provider's key: segments that no map can express.
func (d *Draft) Sign(input string) string { return input + "." + b64(d.key.sign(input)) }

// HS256 returns the ID token with its algorithm changed to HS256 and signed with secret: RFC 8725,
// section 2.1.
func (d *Draft) HS256(secret []byte) string {
	d.Header["alg"] = "HS256"
	input := d.Input()
	return input + "." + b64(hmacSHA256(secret, input))
}

// PublicKey returns the provider's public key, PKIX in DER.
func (d *Draft) PublicKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(d.key.private.Public())
	if err != nil {
		panic("providertest: public key: " + err.Error())
	}
	return der
}

// PublicKeyPEM returns the provider's public key as a PEM block.
func (d *Draft) PublicKeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: d.PublicKey()})
}

// The functions below are for [Behavior].IDToken.

// Unsigned returns an ID token of algorithm "none": RFC 7519, section 6.
func Unsigned(d *Draft) string {
	d.Header["alg"] = "none"
	delete(d.Header, "kid")
	return d.Input() + "."
}

// Stripped returns a good ID token without its signature.
func Stripped(d *Draft) string { return d.Input() + "." }

// Flipped returns a good ID token with one bit of its signature changed.
func Flipped(d *Draft) string {
	input := d.Input()
	sig := d.key.sign(input)
	sig[len(sig)/2] ^= 1
	return input + "." + b64(sig)
}

// WrongKey returns an ID token signed by a key that is not published, under the id of one that is.
func WrongKey(d *Draft) string {
	input := d.Input()
	return input + "." + b64(d.server.stranger(d.server.cfg.Algorithm).sign(input))
}

// OtherSignature returns an ID token that carries the good signature of another one.
func OtherSignature(d *Draft) string {
	input := d.Input()
	return input + "." + b64(d.key.sign(input[:len(input)-1]))
}

// WithAlgorithm signs with a key of another algorithm, which is published under an id of its own.
func WithAlgorithm(alg string) func(*Draft) string {
	return func(d *Draft) string {
		k := d.server.published(alg)
		d.Header["alg"], d.Header["kid"] = alg, k.id
		input := d.Input()
		return input + "." + b64(k.sign(input))
	}
}

// HS256Public signs with the public key as an HMAC secret, as PEM.
func HS256Public(d *Draft) string { return d.HS256(d.PublicKeyPEM()) }

// HS256Secret signs with the client's secret.
func HS256Secret(d *Draft) string { return d.HS256([]byte(d.Client.Secret)) }

// HS256Empty signs with an empty secret.
func HS256Empty(d *Draft) string { return d.HS256(nil) }

// extraKey is a key that is published and signs nothing. The caller has locked s.
func (s *Server) extraKey(i int) *key {
	if s.cfg.Algorithm != "RS256" {
		return s.newKey(s.cfg.Algorithm)
	}
	// The last of the shared ones is the stranger's, the first ones sign.
	at := len(sharedRSA) - 2 - i
	if at < s.made {
		return s.newKey("RS256")
	}
	k := sharedRSA[at]()
	return &key{keyID(k), k}
}

// stranger is a key of alg that is published nowhere.
func (s *Server) stranger(alg string) *key {
	if alg == "RS256" {
		k := sharedRSA[len(sharedRSA)-1]()
		return &key{keyID(k), k}
	}
	return s.newKey(alg)
}

// published is a key of alg, in the key set beside the one that signs.
func (s *Server) published(alg string) *key {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		if publicJWK(k.private)["alg"] == alg {
			return k
		}
	}
	k := s.newKey(alg)
	s.keys = append([]*key{k}, s.keys...)
	return k
}

// halfHash is at_hash: OpenID Connect Core 1.0, section 3.1.3.6. Ed25519 hashes with SHA-512.
func halfHash(alg, token string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(token))
		return b64(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return b64(sum[:crypto.SHA256.Size()/2])
}

func mustJSON(v any) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("providertest: json: " + err.Error()) // a behavior put something in that JSON cannot hold
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
