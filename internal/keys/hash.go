package keys

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Hash returns the form in which the store keeps a secret of 256 bits. Such a secret cannot be guessed, so the
// hash needs no salt.
func Hash(secret string) string {
	var buf [64]byte // a secret has 43 bytes, and a conversion of more than 32 allocates
	if len(secret) > len(buf) {
		h := sha256.Sum256([]byte(secret))
		return string(h[:])
	}
	h := sha256.Sum256(buf[:copy(buf[:], secret)])
	return string(h[:])
}

// Same reports whether a and b are equal and not empty. It compares in constant time.
func Same(a, b string) bool { return a != "" && hmac.Equal([]byte(a), []byte(b)) }
