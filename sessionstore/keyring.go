package sessionstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/returnleg/returnleg/internal/aead"
)

// A Keyring is the list of keys that a program seals with. The first one seals, all of them open.
// To rotate, add the new key behind the old one on every replica; then put it in front. Leave the old
// one there: what it sealed is gone without it, and accounts, unlike sessions, do not expire. Printed
// or encoded, a key ring is "[redacted]".
type Keyring []RingKey

// A RingKey is one key and the number that marks what it sealed. Whoever has a key can read the
// store and forge every cookie: keep it where passwords are kept, outside the store.
type RingKey struct {
	ID     byte   // different from the other keys'; a key keeps its ID for life
	Secret []byte // 32 bytes from a random source, not a password
}

// NewKeyring returns a ring of one random key. It is good for one process: after a restart, or in
// another process, nothing that it sealed will open.
func NewKeyring() Keyring {
	secret := make([]byte, secretLen)
	rand.Read(secret) // never fails: see crypto/rand
	return Keyring{{ID: ringID(secret), Secret: secret}}
}

// ParseKeyring reads keys as an environment variable holds them: each is 32 bytes in base64, of
// either alphabet, padded or not, with commas between them, and the first one seals. A key's ID
// comes from the key itself, so that the order may change; one pair in 256 has the same ID and is
// refused, and a new key that does not fit the old one has to be made once more. Make a key with
//
//	openssl rand -base64 32
//
// The error names every mistake by the key's position and shows no part of a key.
func ParseKeyring(s string) (Keyring, error) {
	if strings.TrimSpace(s) == "" {
		return nil, errors.New("sessionstore: key ring: no keys")
	}
	var ring Keyring
	var errs []error
	for i, part := range strings.Split(s, ",") {
		secret, ok := decodeBase64(strings.TrimSpace(part))
		if !ok {
			errs = append(errs, fmt.Errorf("sessionstore: key ring: key %d: not base64", i+1))
		}
		ring = append(ring, RingKey{ID: ringID(secret), Secret: secret})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := ring.Validate(); err != nil {
		return nil, err
	}
	return ring, nil
}

const (
	secretLen = 32

	// Of 32 random bytes, 30 are different on average, and fewer than 16 once in 10^19 keys.
	// Repeated bytes, short words and hexadecimal digits taken for bytes have fewer.
	minDistinct = 16
)

// Validate names every mistake of the ring in one error: no key at all, a secret that does not
// have 32 bytes or is not random by its looks, and an ID or a secret that two keys share.
func (r Keyring) Validate() error {
	if len(r) == 0 {
		return errors.New("sessionstore: key ring: no keys")
	}
	var errs []error
	for i, k := range r {
		switch n := distinct(k.Secret); {
		case len(k.Secret) != secretLen:
			errs = append(errs, fmt.Errorf("sessionstore: key ring: key %d: %d bytes, want %d", i+1, len(k.Secret), secretLen))
		case n < minDistinct:
			errs = append(errs, fmt.Errorf("sessionstore: key ring: key %d: not random: only %d different bytes", i+1, n))
		}
		for j, other := range r[:i] {
			switch {
			case string(other.Secret) == string(k.Secret):
				errs = append(errs, fmt.Errorf("sessionstore: key ring: keys %d and %d: same secret", j+1, i+1))
			case other.ID == k.ID:
				errs = append(errs, fmt.Errorf("sessionstore: key ring: keys %d and %d: same id %d: one of them has to be another key", j+1, i+1, k.ID))
			}
		}
	}
	return errors.Join(errs...)
}

// Derive returns a key for a purpose, so that what is sealed or signed for one purpose is worth
// nothing for another. It is none that the kit uses itself.
func (k RingKey) Derive(purpose string) [32]byte {
	return aead.NewSecret(k.Secret).Derive("purpose", purpose)
}

// Format writes "[redacted]", whatever the verb.
func (Keyring) Format(s fmt.State, _ rune) { redact(s) }

// LogValue returns "[redacted]".
func (Keyring) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Keyring) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]".
func (Keyring) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// Format writes "[redacted]", whatever the verb.
func (RingKey) Format(s fmt.State, _ rune) { redact(s) }

// LogValue returns "[redacted]".
func (RingKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (RingKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]".
func (RingKey) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// ringID returns a byte that depends on the whole secret and tells eight bits of its hash.
func ringID(secret []byte) byte {
	sum := sha256.Sum256(append([]byte("returnleg key id\x00"), secret...))
	return sum[0]
}

// decodeBase64 reads both alphabets, padded or not.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(s), "=")
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil
}

func distinct(b []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}
