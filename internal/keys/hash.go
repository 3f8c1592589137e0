package keys

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Hash is what the store holds of a secret of 256 bits: opening nothing, and needing no salt.
func Hash(secret string) string {
	var buf [64]byte // a secret has 43 bytes; a conversion of more than 32 would allocate
	if len(secret) > len(buf) {
		h := sha256.Sum256([]byte(secret))
		return string(h[:])
	}
	h := sha256.Sum256(buf[:copy(buf[:], secret)])
	return string(h[:])
}

// Same compares in constant time.
func Same(a, b string) bool { return a != "" && hmac.Equal([]byte(a), []byte(b)) }
