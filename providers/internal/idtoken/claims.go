package idtoken

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
)

// Unverified returns the claims of an ID token that was verified when it came.
func Unverified(raw string) (strictjson.Object, error) {
	_, rest, _ := strings.Cut(raw, ".")
	payload, _, _ := strings.Cut(rest, ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	return strictjson.Parse(string(b))
}

// maxDate is the last second of the year 9999: what is later is not meant as a date.
const maxDate = 253402300799

// Date returns a NumericDate: RFC 7519, section 2. Zero and less is none.
func Date(c strictjson.Object, name string) (time.Time, bool) {
	n, ok := c.Number(name)
	if !ok || n <= 0 || n > maxDate {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Floor(n)), 0), true
}

// Encode returns claims for the app: without what belongs to one flow.
func Encode(claims strictjson.Object) json.RawMessage {
	for _, name := range []string{"nonce", "at_hash", "c_hash"} {
		delete(claims, name)
	}
	b, err := claims.Encode()
	if err != nil {
		return nil
	}
	return b
}
