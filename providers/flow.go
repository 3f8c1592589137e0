package providers

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"
)

// A Flow is one visit to a provider, from the redirect to the answer. It is the caller's, and the
// same at Begin, Check and Finish, in any process. Every encoding of it shows [redacted].
type Flow struct {
	RedirectURL string   // exact, the same at both endpoints
	State       string   // opaque to the provider
	Verifier    string   // PKCE, RFC 7636: 43 to 128 unreserved characters
	Nonce       string   // OpenID Connect; at most 64 characters
	Scopes      []string // asked for besides those that the provider always asks for

	Prompt    string        // "login", "consent", "select_account" or "none"; "" leaves it to the provider
	LoginHint string        // who is expected to sign in, shown by the provider
	MaxAge    time.Duration // 0: not asked; to force a sign-in use Prompt "login"
	ACR       []string      // step-up: one of these, RFC 9470
	Subject   string        // who must come back; "" anyone
	Extra     url.Values    // parameters that the app declared; none overrides ours
}

// Format writes "[redacted]" for every verb.
func (Flow) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String returns "[redacted]".
func (Flow) String() string { return redacted }

// GoString returns "[redacted]".
func (Flow) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Flow) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Flow) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]".
func (Flow) GobEncode() ([]byte, error) { return []byte(redacted), nil }
