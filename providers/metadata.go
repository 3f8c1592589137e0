package providers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/address"
	"github.com/returnleg/returnleg/providers/internal/fault"
)

// metadata is what we use of a provider's metadata: OpenID Connect Discovery 1.0, section 3, and RFC
// 9207, section 3.
type metadata struct {
	authorization, token, jwks, userinfo, revocation string
	namesIssuer                                      bool // answers have an iss parameter
	onlyPost                                         bool // client_secret_post, but not client_secret_basic
	algorithms                                       []string
}

// discover reads the metadata of issuer.
func (p *party) discover(ctx context.Context, issuer string) (*metadata, error) {
	r, err := p.published(ctx, "metadata", strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if r.status != 200 || !isJSON(r.header) {
		return nil, r.explain(fmt.Errorf("providers: %s: metadata: %w: status %d or not JSON", p.name, ErrUnavailable, r.status))
	}
	m, err := readMetadata(issuer, r.body)
	if err != nil {
		return nil, fmt.Errorf("providers: %s: metadata: %w: %w", p.name, ErrUnavailable, err)
	}
	return m, nil
}

// readMetadata judges a metadata document.
func readMetadata(issuer string, body []byte) (*metadata, error) {
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
	m := &metadata{namesIssuer: o.True("authorization_response_iss_parameter_supported")}
	for _, e := range []struct {
		name     string
		field    *string
		required bool
	}{
		{"authorization_endpoint", &m.authorization, true},
		{"token_endpoint", &m.token, true},
		{"jwks_uri", &m.jwks, true},
		{"userinfo_endpoint", &m.userinfo, false},
		{"revocation_endpoint", &m.revocation, false},
	} {
		if o.Absent(e.name) && !e.required {
			continue
		}
		*e.field, _ = o.String(e.name)
		if err := address.Published(base, *e.field); err != nil {
			return nil, fault.Explain(fmt.Errorf("%s: %w", e.name, err), "the metadata says %s %s", e.name, fault.Quoted(*e.field))
		}
	}
	m.algorithms, _ = o.Strings("id_token_signing_alg_values_supported")
	methods, _ := o.Strings("token_endpoint_auth_methods_supported")
	m.onlyPost = slices.Contains(methods, string(ClientSecretPost)) && !slices.Contains(methods, string(ClientSecretBasic))
	return m, nil
}

// asymmetric are the algorithms that an ID token may be signed with at all.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// pinned returns the algorithms to accept from now on: what is configured, else what the provider
// advertises, less what nobody should use.
func pinned(configured, advertised []string) []string {
	if len(configured) > 0 {
		return slices.Clone(configured)
	}
	algorithms := slices.DeleteFunc(slices.Clone(advertised), func(a string) bool { return !slices.Contains(asymmetric, a) })
	if len(algorithms) == 0 {
		// "The algorithm RS256 MUST be included." OpenID Connect Discovery 1.0, section 3.
		return []string{"RS256"}
	}
	return algorithms
}
