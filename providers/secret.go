package providers

import (
	"fmt"
	"io"
	"log/slog"
)

// A Secret is text that only the provider may see, such as a client secret. Whatever prints or
// encodes it shows [redacted]; string(s) is what it holds.
//
//	providers.GitHub(id, providers.Secret(os.Getenv("GITHUB_SECRET")))
type Secret string

// Format writes "[redacted]" for every verb, also those that would ignore String.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]".
func (Secret) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// Format writes the kind and the name, for every verb: what is behind the fields is not for a log.
func (o *OAuth2) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "OAuth2("+o.ID+")") }

// Format writes the kind and the name, for every verb: what is behind the fields is not for a log.
func (o *OIDC) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "OIDC("+o.ID+")") }

const redacted = "[redacted]"
