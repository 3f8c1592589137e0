package providers

import (
	"encoding/json"

	"github.com/returnleg/returnleg/providers/internal/service"
)

// named returns a service that speaks OAuth 2.0 as a provider.
func named(s service.OAuth2, clientID string, clientSecret Secret, scopes []string) *OAuth2 {
	o := &OAuth2{
		ID:           s.ID,
		ClientID:     clientID,
		ClientSecret: clientSecret,
		AuthMethod:   AuthMethod(s.AuthMethod),
		AuthURL:      s.AuthURL,
		TokenURL:     s.TokenURL,
		UserInfoURL:  s.UserInfoURL,
		Scopes:       scopes,
		APIBase:      s.APIBase,
		CommaScopes:  s.CommaScopes,
		SpentCodes:   s.SpentCodes,
		revocation:   s.Revocation,
	}
	if s.Identify != nil {
		o.Identify = func(claims json.RawMessage) (Identity, error) {
			p, err := s.Identify(claims)
			return Identity(p), err
		}
	}
	return o
}

// namedOIDC returns a service that speaks OpenID Connect as a provider.
func namedOIDC(s service.OIDC, clientID string, clientSecret Secret, scopes []string) *OIDC {
	return &OIDC{
		ID:           s.ID,
		Issuer:       s.Issuer,
		ClientID:     clientID,
		ClientSecret: clientSecret,
		AuthMethod:   AuthMethod(s.AuthMethod),
		Scopes:       append(s.Scopes, scopes...),
		Algorithms:   s.Algorithms,
		AuthParams:   s.AuthParams,
		APIBase:      s.APIBase,
	}
}
