// Package aead seals and opens: AES-256-GCM under keys that are derived, one per purpose, so that
// no key ever sees more messages than random nonces allow.
package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// ErrOpen is what does not open: another key, other associated data, or changed bytes. It does not
// say which, because whoever forges would like to know.
var ErrOpen = errors.New("aead: does not open")

const (
	// Overhead is by how many bytes [Seal] makes a message longer: nonce and tag.
	Overhead = 12 + 16

	// OnceOverhead is by how many bytes [SealOnce] makes a message longer: seed and tag.
	OnceOverhead = 16 + 16
)

// Derive returns the key of a purpose: HMAC-SHA256 under secret over the parts, each behind its
// length, so that no two lists of parts give the same key. The first part names the domain.
func Derive(secret []byte, parts ...string) [32]byte {
	var buf [roomy]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return mac(secret, b)
}

// roomy is enough for what is usually derived from; more goes to the heap.
const roomy = 192

// mac returns HMAC-SHA256, as RFC 2104, section 2, puts it together: H(K XOR opad, H(K XOR ipad, text)).
// All of it is on the stack. crypto/hmac makes nine objects for a key, which is most of the cost where
// each request derives keys of its own.
func mac(secret, text []byte) [32]byte {
	var key [sha256.BlockSize]byte
	if len(secret) > len(key) {
		short := sha256.Sum256(secret)
		secret = short[:]
	}
	copy(key[:], secret)
	var inner [sha256.BlockSize + roomy]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	for i, k := range key {
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	sum := sha256.Sum256(append(inner[:len(key)], text...))
	copy(outer[len(key):], sum[:])
	return sha256.Sum256(outer[:])
}

// A Box seals and opens under one key, for callers that do so more than once. It is safe for
// concurrent use.
type Box struct{ gcm cipher.AEAD }

// NewBox returns the Box of key.
func NewBox(key [32]byte) Box {
	gcm, err := cipher.NewGCMWithRandomNonce(block(key))
	if err != nil {
		panic("aead: " + err.Error()) // the cipher is AES: it cannot be
	}
	return Box{gcm}
}

// Seal appends nonce, ciphertext and tag to dst. aad is bound but not contained. The nonce is
// random, which is good for 2^32 messages under one key ("NIST SP 800-38D", section 8.3).
func (b Box) Seal(dst, plaintext, aad []byte) []byte {
	return b.gcm.Seal(dst, nil, plaintext, aad)
}

// Open appends to dst what [Box.Seal] was given, or returns [ErrOpen].
func (b Box) Open(dst, sealed, aad []byte) ([]byte, error) {
	out, err := b.gcm.Open(dst, nil, sealed, aad)
	if err != nil {
		return nil, ErrOpen
	}
	return out, nil
}

// Seal returns nonce, ciphertext and tag of plaintext under key. See [Box.Seal] for how many
// messages a key is good for.
func Seal(key [32]byte, plaintext, aad []byte) []byte {
	return NewBox(key).Seal(make([]byte, 0, len(plaintext)+Overhead), plaintext, aad)
}

// Open returns what [Seal] was given, or [ErrOpen].
func Open(key [32]byte, sealed, aad []byte) ([]byte, error) {
	return NewBox(key).Open(nil, sealed, aad)
}

// SealOnce returns seed, ciphertext and tag of plaintext. Each message has a key of its own,
// derived from key and seed, so that one key is good for 2^40 messages and more: it takes 2^64 of
// them before two random seeds are likely to meet. The seed must be random and must not be used
// for a second message; what else a message needs to derive can be derived from it.
func SealOnce(key [32]byte, seed [16]byte, plaintext, aad []byte) []byte {
	out := make([]byte, 0, len(plaintext)+OnceOverhead)
	out = append(out, seed[:]...)
	return once(key, seed).Seal(out, onceNonce[:], plaintext, aad)
}

// OpenOnce returns the seed and plaintext that [SealOnce] was given, or [ErrOpen].
func OpenOnce(key [32]byte, sealed, aad []byte) (seed [16]byte, plaintext []byte, err error) {
	if len(sealed) < OnceOverhead {
		return seed, nil, ErrOpen
	}
	copy(seed[:], sealed)
	plaintext, err = once(key, seed).Open(nil, onceNonce[:], sealed[len(seed):], aad)
	if err != nil {
		return [16]byte{}, nil, ErrOpen
	}
	return seed, plaintext, nil
}

// A key that seals one message may use a constant nonce.
var onceNonce [12]byte

func once(key [32]byte, seed [16]byte) cipher.AEAD {
	gcm, err := cipher.NewGCM(block(Derive(key[:], "once", string(seed[:]))))
	if err != nil {
		panic("aead: " + err.Error())
	}
	return gcm
}

func block(key [32]byte) cipher.Block {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		panic("aead: " + err.Error()) // the key has 32 bytes: it cannot be
	}
	return b
}
