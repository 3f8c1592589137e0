package idtoken

import (
	"encoding/base64"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/fault"
)

const (
	maxIDToken = 64 << 10
	maxKeyID   = 1024
)

// segment is the encoding of a token's segments: without padding, and without loose bits behind the
// end, which would let one token be written in several ways.
var segment = base64.RawURLEncoding.Strict()

// A jws is a token in compact form, taken apart: RFC 7515, section 7.1. Nothing in it is to be
// believed before [KeySet.signed] has said so.
type jws struct {
	raw      string
	alg, kid string // of the header; kid may be ""
	payload  []byte // decoded
}

// parseJWS takes a token apart and judges its header. Keys that it points to or has certificates of (jku,
// x5u, x5c) are never looked at.
func parseJWS(raw string) (*jws, error) {
	if raw == "" {
		return nil, fault.Reject("missing")
	}
	// The decoder refuses whatever is not of its alphabet, but for line breaks.
	if len(raw) > maxIDToken || strings.Count(raw, ".") != 2 || strings.Contains(raw, "\r") || strings.Contains(raw, "\n") {
		return nil, fault.Reject("not three segments of base64url")
	}
	j := &jws{raw: raw}
	var parts [3][]byte
	i := 0
	for s := range strings.SplitSeq(raw, ".") {
		var err error
		if parts[i], err = segment.DecodeString(s); err != nil {
			return nil, fault.Reject("not three segments of base64url")
		}
		i++
	}
	j.payload = parts[1]
	return j, j.judge(parts[0])
}

// judge reads the header.
func (j *jws) judge(header []byte) error {
	h, err := strictjson.Parse(string(header))
	if err != nil {
		return fault.Reject("header")
	}
	var ok bool
	if j.alg, ok = h.String("alg"); !ok {
		return fault.Reject("alg")
	}
	// "If any of the listed extension Header Parameters are not understood and supported by the
	// recipient, then the JWS is invalid." RFC 7515, section 4.1.11. We support none.
	if _, has := h["crit"]; has {
		return fault.Reject("crit")
	}
	// No provider has a reason to send the key along that it publishes: one that does wants it believed.
	if _, has := h["jwk"]; has {
		return fault.Reject("jwk")
	}
	if _, has := h["kid"]; has {
		if j.kid, ok = h.String("kid"); !ok || len(j.kid) > maxKeyID {
			return fault.Reject("kid")
		}
	}
	// An access token, a logout token or a userinfo answer of the same provider is signed by the
	// same keys: RFC 8725, section 3.11.
	if _, has := h["typ"]; has {
		typ, _ := h.String("typ")
		if !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "application/jwt") {
			return fault.Reject("typ")
		}
	}
	return nil
}
