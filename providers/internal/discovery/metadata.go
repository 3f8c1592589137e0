package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/call"
	"github.com/returnleg/returnleg/providers/internal/clientauth"
	"github.com/returnleg/returnleg/providers/internal/fault"
)

// Metadata is what we use of a provider's metadata: OpenID Connect Discovery 1.0, section 3, and RFC
// 9207, section 3.
type Metadata struct {
	Authorization, Token, Keys, UserInfo, Revocation string
	NamesIssuer                                      bool // answers have an iss parameter
	OnlyPost                                         bool // client_secret_post, but not client_secret_basic
	Algorithms                                       []string
}

// Fetch reads the metadata of issuer.
func Fetch(ctx context.Context, c *call.Client, issuer string) (*Metadata, error) {
	r, err := c.Published(ctx, "metadata", strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	if r.Status != 200 || !r.JSON() {
		return nil, r.Explain(fmt.Errorf("providers: %s: metadata: %w: status %d or not JSON", c.Name, fault.ErrUnavailable, r.Status))
	}
	m, err := readMetadata(issuer, r.Body)
	if err != nil {
		return nil, fmt.Errorf("providers: %s: metadata: %w: %w", c.Name, fault.ErrUnavailable, err)
	}
	return m, nil
}

// readMetadata judges a metadata document.
func readMetadata(issuer string, body []byte) (*Metadata, error) {
	o, err := strictjson.Parse(string(body))
	if err != nil {
		return nil, err
	}
	// "The issuer value returned MUST be identical to the Issuer URL that was used as the prefix
	// to /.well-known/openid-configuration." OpenID Connect Discovery 1.0, section 4.3.
	if got, _ := o.String("issuer"); got != issuer {
		return nil, fault.Explain(errors.New("issuer is another one"), "the metadata says issuer %s, Issuer is %s: they must be equal, to the last slash", fault.Quoted(got), fault.Quoted(issuer))
	}
	base, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	m := &Metadata{NamesIssuer: o.True("authorization_response_iss_parameter_supported")}
	for _, e := range []struct {
		name     string
		field    *string
		required bool
	}{
		{"authorization_endpoint", &m.Authorization, true},
		{"token_endpoint", &m.Token, true},
		{"jwks_uri", &m.Keys, true},
		{"userinfo_endpoint", &m.UserInfo, false},
		{"revocation_endpoint", &m.Revocation, false},
	} {
		if o.Absent(e.name) && !e.required {
			continue
		}
		*e.field, _ = o.String(e.name)
		if err := address.Published(base, *e.field); err != nil {
			return nil, fault.Explain(fmt.Errorf("%s: %w", e.name, err), "the metadata says %s %s", e.name, fault.Quoted(*e.field))
		}
	}
	m.Algorithms, _ = o.Strings("id_token_signing_alg_values_supported")
	methods, _ := o.Strings("token_endpoint_auth_methods_supported")
	m.OnlyPost = slices.Contains(methods, clientauth.Post) && !slices.Contains(methods, clientauth.Basic)
	return m, nil
}
