// Package aead seals and opens: AES-256-GCM under keys that are derived, one per purpose, so that
// no key ever sees more messages than random nonces allow.
package aead

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
)

// ErrOpen is what does not open: another key, other associated data, or changed bytes. It does not
// say which, because whoever forges would like to know.
var ErrOpen = errors.New("aead: does not open")

const (
	// Overhead is by how many bytes [Box.Seal] makes a message longer: nonce and tag.
	Overhead = 12 + 16

	// OnceOverhead is by how many bytes [Secret.SealOnce] makes a message longer: seed and tag.
	OnceOverhead = 16 + 16
)

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

// SealOnce returns seed, ciphertext and tag of plaintext. Each message has a key of its own,
// derived from the seed, so that one secret is good for 2^40 messages and more: it takes 2^64 of
// them before two random seeds are likely to meet. The seed must be random and must not be used
// for a second message; what else a message needs to derive can be derived from it.
func (s Secret) SealOnce(seed [16]byte, plaintext, aad []byte) []byte {
	out := make([]byte, 0, len(plaintext)+OnceOverhead)
	out = append(out, seed[:]...)
	return s.once(seed).Seal(out, onceNonce[:], plaintext, aad)
}

// OpenOnce returns the seed and plaintext that [Secret.SealOnce] was given, or [ErrOpen].
func (s Secret) OpenOnce(sealed, aad []byte) (seed [16]byte, plaintext []byte, err error) {
	if len(sealed) < OnceOverhead {
		return seed, nil, ErrOpen
	}
	copy(seed[:], sealed)
	plaintext, err = s.once(seed).Open(nil, onceNonce[:], sealed[len(seed):], aad)
	if err != nil {
		return [16]byte{}, nil, ErrOpen
	}
	return seed, plaintext, nil
}

// A key that seals one message may use a constant nonce.
var onceNonce [12]byte

func (s Secret) once(seed [16]byte) cipher.AEAD {
	gcm, err := cipher.NewGCM(block(s.Derive("once", string(seed[:]))))
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
