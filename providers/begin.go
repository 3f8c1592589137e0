package providers

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/grammar"
	"golang.org/x/oauth2"
)

// maxOwn bounds what we put into the URL ourselves: some servers and proxies refuse more.
const maxOwn = 2048

// reserved parameters are never taken from a configuration or an app: we set them, or they change
// how the answer must be read.
var reserved = map[string]bool{
	"response_type": true, "client_id": true, "redirect_uri": true, "scope": true, "state": true,
	"nonce": true, "code_challenge": true, "code_challenge_method": true, "response_mode": true,
	"request": true, "request_uri": true, "max_age": true, "acr_values": true, "dpop_jkt": true,
	"client_secret": true,
}

// authURL returns the URL of the authorization endpoint that starts f.
func (p *party) authURL(endpoint string, f *Flow, scopes []string, nonce bool) (string, error) {
	u, err := address.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("providers: %s: authorization endpoint: %w", p.Name, err)
	}
	if err := f.sound(nonce); err != nil {
		return "", fmt.Errorf("providers: %s: flow: %w", p.Name, err)
	}
	maxAge, once := "", ""
	if f.MaxAge > 0 {
		maxAge = strconv.FormatInt(WholeSeconds(f.MaxAge), 10)
	}
	if nonce {
		once = f.Nonce
	}
	own := query{
		{"acr_values", strings.Join(f.ACR, " ")},
		{"client_id", p.Auth.ID()},
		// "Clients MUST use PKCE"; a provider that does not know it ignores two parameters, and
		// metadata that lacks it may be a downgrade. RFC 9700, sections 2.1.1 and 4.8.
		{"code_challenge", oauth2.S256ChallengeFromVerifier(f.Verifier)},
		{"code_challenge_method", "S256"},
		{"login_hint", f.LoginHint},
		{"max_age", maxAge},
		{"nonce", once},
		{"prompt", f.Prompt},
		{"redirect_uri", f.RedirectURL},
		{"response_mode", p.mode},
		{"response_type", "code"},
		{"scope", strings.Join(scopes, " ")},
		{"state", f.State},
	}
	front := ""
	if u.RawQuery != "" || len(p.authParams)+len(f.Extra) > 0 {
		q := u.Query()
		declare(q, p.authParams)
		declare(q, f.Extra)
		maps.DeleteFunc(q, func(name string, _ []string) bool { return own.has(name) })
		if len(q) > 0 {
			front = q.Encode() + "&"
		}
	}
	u.RawQuery, u.ForceQuery = "", true
	front = u.String() + front
	to := own.appendTo(front)
	if len(to)-len(front) > maxOwn {
		return "", fmt.Errorf("providers: %s: flow: parameters of more than %d bytes", p.Name, maxOwn)
	}
	return to, nil
}

// A query is a list of parameters. One without a value is not sent.
type query []struct{ name, value string }

// appendTo returns front with the parameters behind it.
func (q query) appendTo(front string) string {
	var b strings.Builder
	b.Grow(1024) // what a start needs
	b.WriteString(front)
	for _, p := range q {
		if p.value == "" {
			continue
		}
		if b.Len() > len(front) {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.value))
	}
	return b.String()
}

func (q query) has(name string) bool {
	for _, p := range q {
		if p.name == name && p.value != "" {
			return true
		}
	}
	return false
}

// declare copies the parameters that are not ours.
func declare(q, extra url.Values) {
	for name, values := range extra {
		if !reserved[name] {
			q[name] = values
		}
	}
}

// sound reports what makes f unfit to start. What is missing is never made up here: a check against
// an empty value would be no check.
func (f *Flow) sound(nonce bool) error {
	switch {
	case f.State == "":
		return errors.New("no state")
	case !grammar.Verifier(f.Verifier):
		return errors.New("verifier is not 43 to 128 unreserved characters")
	case nonce && (f.Nonce == "" || len(f.Nonce) > 64):
		return errors.New("nonce is not 1 to 64 characters")
	case f.MaxAge < 0:
		return errors.New("negative MaxAge")
	}
	if _, err := address.Parse(f.RedirectURL); err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	for _, s := range f.Scopes {
		if !grammar.Scope(s) {
			return errors.New("scope is not a token of RFC 6749, section 3.3")
		}
	}
	return nil
}
