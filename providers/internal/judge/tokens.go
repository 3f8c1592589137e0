package judge

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/fault"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// maxLifetime is what an absurd expires_in is cut to.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Tokens are what a token endpoint issued: the fields are those of providers.Token. Those of an ID token are empty.
type Tokens struct {
	Access  string
	Type    string
	Refresh string
	ID      string

	Expiry  time.Time
	Scopes  []string
	Issuer  string
	Subject string
	Session string
}

// Format writes "[redacted]" for every verb.
func (Tokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Tokens judges the members of a token answer: RFC 6749, section 5.1.
func (rules *Rules) Tokens(o strictjson.Object, asked []string, now time.Time) (*Tokens, error) {
	t := &Tokens{}
	var ok bool
	if t.Access, ok = o.String("access_token"); !ok || !grammar.Token(t.Access, '!') {
		return nil, fault.Reject("access_token")
	}
	// "The client MUST NOT use an access token if it does not understand the token type." RFC
	// 6749, section 7.1. The value is case insensitive.
	if t.Type, ok = o.String("token_type"); !ok || !strings.EqualFold(t.Type, "bearer") {
		return nil, fault.Reject("token_type")
	}
	if !o.Absent("refresh_token") {
		if t.Refresh, ok = o.String("refresh_token"); !ok || t.Refresh != "" && !grammar.Token(t.Refresh, ' ') {
			return nil, fault.Reject("refresh_token")
		}
	}
	if !o.Absent("id_token") {
		if t.ID, ok = o.String("id_token"); !ok {
			return nil, fault.Reject("id_token")
		}
	}
	lifetime, ok := expiresIn(o)
	if !ok {
		return nil, fault.Reject("expires_in")
	}
	if lifetime > 0 {
		t.Expiry = now.Add(lifetime)
	}
	// "OPTIONAL, if identical to the scope requested by the client; otherwise, REQUIRED."
	t.Scopes = slices.Clone(asked)
	if !o.Absent("scope") {
		scope, ok := o.String("scope")
		if !ok {
			return nil, fault.Reject("scope")
		}
		if t.Scopes, ok = rules.scopes(scope); !ok {
			return nil, fault.Reject("scope")
		}
	}
	return t, nil
}

// scopes splits what was granted.
func (rules *Rules) scopes(s string) (list []string, ok bool) {
	if rules.CommaScopes {
		s = strings.ReplaceAll(s, ",", " ")
	}
	for scope := range strings.SplitSeq(s, " ") {
		if scope == "" || slices.Contains(list, scope) {
			continue
		}
		if !grammar.Scope(scope) {
			return nil, false
		}
		list = append(list, scope)
	}
	return list, true
}

// expiresIn returns the lifetime of an access token, 0 if it is unknown. Providers write it as a
// number or a string, with fractions, or as 0 or less for "does not say": none of these may become
// a token that has always just expired.
func expiresIn(o strictjson.Object) (time.Duration, bool) {
	if o.Absent("expires_in") {
		return 0, true
	}
	n, ok := o.Number("expires_in")
	if s, isString := o.String("expires_in"); isString {
		var err error
		n, err = strconv.ParseFloat(s, 64)
		ok = err == nil && !math.IsNaN(n)
	}
	if !ok {
		return 0, false
	}
	if n < 1 {
		return 0, true
	}
	if n > maxLifetime.Seconds() {
		return maxLifetime, true
	}
	return time.Duration(math.Floor(n)) * time.Second, true
}
