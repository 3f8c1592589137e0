package aead

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// A Secret is what keys are derived from. It is safe for concurrent use.
type Secret struct{ derivers *sync.Pool }

// NewSecret returns the Secret of these bytes. To make one costs more than to derive from it.
func NewSecret(secret []byte) Secret {
	secret = bytes.Clone(secret)
	return Secret{&sync.Pool{New: func() any { return &deriver{mac: hmac.New(sha256.New, secret)} }}}
}

// Derive returns the key of a purpose: HMAC-SHA256 over the parts, each behind its length, so that
// no two lists of parts give the same key. The first part names the domain.
func (s Secret) Derive(parts ...string) [32]byte {
	d := s.derivers.Get().(*deriver)
	key := d.derive(parts)
	s.derivers.Put(d)
	return key
}

// A deriver derives one key after the other. To begin anew costs crypto/hmac half as much as to
// begin, and no object.
type deriver struct {
	mac  hash.Hash
	text []byte
	sum  []byte
}

func (d *deriver) derive(parts []string) [32]byte {
	d.text = d.text[:0]
	for _, p := range parts {
		d.text = binary.AppendUvarint(d.text, uint64(len(p)))
		d.text = append(d.text, p...)
	}
	d.mac.Reset()
	d.mac.Write(d.text)
	d.sum = d.mac.Sum(d.sum[:0])
	key := [32]byte(d.sum)
	clear(d.text)
	clear(d.sum)
	return key
}
