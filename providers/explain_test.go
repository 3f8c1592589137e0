package providers_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/providers"
)

func TestExplain(t *testing.T) {
	said := &providers.Error{Provider: "idp", Endpoint: "token", Code: "invalid_grant", Description: "too late", URI: "https://user:pass@idp.example/help?code=1#x"}
	const line = `idp says "invalid_grant": too late (https://idp.example/help)`
	for _, row := range []struct {
		name string
		err  error
		want []string
	}{
		{"nothing", nil, nil},
		{"an error of somebody else's", errors.New("password: secret"), nil},
		{"a refusal", said, []string{line}},
		{"wrapped", fmt.Errorf("a: %w: %w", providers.ErrToken, fmt.Errorf("b: %w", said)), []string{line}},
		{"joined", errors.Join(said, errors.New("x"), said), []string{line, line}},
		{"a refusal without words", &providers.Error{Provider: "idp", Endpoint: "token", Status: 503}, nil},
		{"words of many lines", &providers.Error{Provider: "idp", Code: "a\nb", Description: strings.Repeat("x\r\n", 5000)}, []string{`idp says "a\nb": ` + strings.Repeat("x", 1024-len(`idp says "a\nb": `))}},
	} {
		if got := providers.Explain(row.err); !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// What a transport says is explained as far as it is the transport's own, and the URL without its query.
func TestExplain_transport(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"refused", &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, "POST https://id.example/token: dial tcp: connection refused"},
		{"no host", &net.DNSError{Name: "id.example", IsNotFound: true}, `POST https://id.example/token: there is no host "id.example"`},
		{"too slow", context.DeadlineExceeded, "POST https://id.example/token did not answer in time"},
		{"a quotation of what came", errors.New("malformed HTTP response \"secret\""), "POST https://id.example/token got no usable answer"},
	} {
		p, _ := tokenServer(nil)
		p.TokenURL = "https://id.example/token?key=secret"
		_, _, err := p.Finish(with(t.Context(), failing{row.err}), newFlow(), good())
		is(t, err, providers.ErrUnavailable)
		if got := providers.Explain(err); !slices.Equal(got, []string{row.want}) {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

// A provider that repeats what it was sent does not get it into an error, also where the words are cut off in the
// middle of it.
func TestExplain_repeated(t *testing.T) {
	const secret = "client-secret-of-the-app"
	for _, before := range []string{"", strings.Repeat("x", 490), strings.Repeat("x", 500)} {
		for name, form := range map[string]func(r *http.Request) string{
			"code":   func(*http.Request) string { return "code-of-the-provider" },
			"secret": func(*http.Request) string { return secret },
			"header": func(r *http.Request) string { return strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ") },
		} {
			sent := ""
			p, s := tokenServer(func(r *http.Request) *http.Response {
				sent = form(r)
				return always(400, "application/json", fmt.Sprintf(`{"error":"invalid_grant","error_description":"%s"}`, before+sent))(r)
			})
			p.ClientSecret, p.AuthMethod = secret, providers.ClientSecretBasic
			_, _, err := p.Finish(with(t.Context(), s), newFlow(), good("code", "code-of-the-provider"))
			lines := strings.Join(providers.Explain(err), "")
			if len(sent) < 8 || !strings.Contains(lines, "invalid_grant") || strings.Contains(lines, sent[:8]) {
				t.Errorf("%s after %d: %q", name, len(before), lines)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
