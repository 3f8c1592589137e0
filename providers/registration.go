package providers

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// A registration is the configuration that both protocols share, to be judged.
type registration struct {
	id, clientID            string
	secret                  Secret
	method                  AuthMethod
	mode                    string
	scopes                  []string
	authParams, tokenParams url.Values
	apiBase                 string
	apiOrigins              []string
	timeout                 time.Duration
}

func (r *registration) mistake(field string, err error) error {
	return fmt.Errorf("providers: %s: %s: %w", cmp.Or(r.id, `""`), field, err)
}

// mistakes returns what is wrong, field by field.
func (r *registration) mistakes() (errs []error) {
	wrong := func(field, why string) { errs = append(errs, r.mistake(field, errors.New(why))) }
	if !name(r.id) {
		wrong("ID", "not 1 to 32 of a-z 0-9 -")
	}
	if r.clientID == "" || !grammar.Text(r.clientID) {
		wrong("ClientID", "empty or malformed")
	}
	switch r.method {
	case "", None:
	case ClientSecretBasic, ClientSecretPost:
		if r.secret == "" {
			wrong("ClientSecret", "empty, but AuthMethod needs it")
		}
	default:
		wrong("AuthMethod", "not client_secret_basic, client_secret_post or none")
	}
	if r.method == None && r.secret != "" {
		wrong("ClientSecret", "set, but AuthMethod does not send it")
	}
	if r.mode != "" && r.mode != "query" && r.mode != "form_post" {
		wrong("ResponseMode", `neither "query" nor "form_post"`)
	}
	for _, s := range r.scopes {
		if !grammar.Scope(s) {
			wrong("Scopes", "not a token of RFC 6749, section 3.3")
		}
	}
	for p := range r.authParams {
		if reserved[p] {
			wrong("AuthParams", p+" is the protocol's")
		}
	}
	for p := range r.tokenParams {
		if reservedToken[p] {
			wrong("TokenParams", p+" is the protocol's")
		}
	}
	if r.timeout < 0 {
		wrong("Timeout", "negative")
	}
	errs = append(errs, r.endpoint("APIBase", r.apiBase, false))
	for _, o := range r.apiOrigins {
		if u, err := address.Parse(o); err != nil {
			errs = append(errs, r.mistake("APIOrigins", err))
		} else if address.Origin(u) != o {
			wrong("APIOrigins", "not scheme://host[:port] in lower case")
		}
	}
	return errs
}

// endpoint returns what is wrong with a URL of the configuration.
func (r *registration) endpoint(field, raw string, required bool) error {
	if raw == "" && !required {
		return nil
	}
	if raw == "" {
		return r.mistake(field, errors.New("empty"))
	}
	if _, err := address.Parse(raw); err != nil {
		return r.mistake(field, err)
	}
	return nil
}

// name reports whether s can name a provider.
func name(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32 && !strings.HasPrefix(s, "-")
}

// namespace reports whether s can be a Namespace. An account's default id is the issuer, "|" and the subject.
func namespace(s string) bool {
	return len(s) <= grammar.MaxSubject && grammar.Visible(s) && !strings.Contains(s, "|")
}
