package providers

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

// A Token is what a provider issued. Every encoding of it shows [redacted], except [Token.Pack].
type Token struct {
	Access  string
	Type    string // as the provider wrote it; compare without case
	Refresh string
	ID      string // the ID token as it came, for a later logout at the provider

	Expiry  time.Time // of Access; zero: unknown
	Scopes  []string  // granted
	Issuer  string    // of the ID token; a refreshed one must agree
	Subject string    // of the ID token
	Session string    // sid claim of the ID token, for a logout that the provider starts
}

// Format writes "[redacted]" for every verb, also those that would ignore String.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Token) String() string { return redacted }

// GoString returns "[redacted]".
func (Token) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]": JSON, XML and most other encodings ask for it.
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]": a token put into a session by accident is not stored in the clear.
func (Token) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// refreshAhead is how long before its end a token counts as expired: a request on its way, and a
// clock that is a little off, must not meet the end.
const refreshAhead = time.Minute

// Expired reports whether t should be refreshed before it is used: from a minute before its end
// on. A token of unknown end is not expired.
func (t *Token) Expired(now time.Time) bool {
	return !t.Expiry.IsZero() && !now.Before(t.Expiry.Add(-refreshAhead))
}

// Pack returns the form in which a token is stored. It holds the secrets: seal it.
func (t *Token) Pack() string {
	// Lengths and the time take less than 64 bytes.
	size := 64 + len(t.Access) + len(t.Type) + len(t.Refresh) + len(t.ID) + len(t.Issuer) + len(t.Subject) + len(t.Session)
	for _, s := range t.Scopes {
		size += 3 + len(s)
	}
	var b packed.Builder
	b.Grow(size)
	b.Text(t.Access)
	b.Text(t.Type)
	b.Text(t.Refresh)
	b.Text(t.ID)
	b.Time(t.Expiry)
	b.Texts(t.Scopes)
	b.Text(t.Issuer)
	b.Text(t.Subject)
	b.Text(t.Session)
	return b.String()
}

// Unpack reads what [Token.Pack] returned. Input of any other origin is an error.
func Unpack(s string) (*Token, error) {
	r := packed.Read(s)
	t := &Token{
		Access:  r.String(),
		Type:    r.String(),
		Refresh: r.String(),
		ID:      r.String(),
		Expiry:  r.Time(),
		Scopes:  r.Strings(),
		Issuer:  r.String(),
		Subject: r.String(),
		Session: r.String(),
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return t, nil
}
