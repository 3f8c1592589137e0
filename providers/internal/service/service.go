package service

import (
	"encoding/json"
	"net/url"
	"time"
)

// An OAuth2 is what package providers must know of a service that speaks OAuth 2.0. The fields are those of
// providers.OAuth2, or as they say.
type OAuth2 struct {
	ID          string
	AuthMethod  string
	AuthURL     string
	TokenURL    string
	UserInfoURL string
	APIBase     string
	CommaScopes bool
	SpentCodes  []string
	Identify    func(claims json.RawMessage) (Person, error)
	Revocation  *Revocation // instead of RFC 7009
}

// An OIDC is what package providers must know of a service that speaks OpenID Connect. The fields are those of
// providers.OIDC. Scopes are always asked for, whatever an app adds.
type OIDC struct {
	ID         string
	Issuer     string
	AuthMethod string
	Scopes     []string
	Algorithms []string
	AuthParams url.Values
	APIBase    string
}

// A Person is who signed in: the fields are those of providers.Identity.
type Person struct {
	Issuer   string
	Subject  string
	Email    string
	Name     string
	Username string
	Picture  string

	EmailVerified bool
	AuthTime      time.Time
	ACR           string
	Claims        json.RawMessage
}

// A Revocation is how a service revokes a token that has an interface of its own for it: one DELETE below APIBase. The
// app proves itself with its secret in the header, or the token itself does as the bearer token.
type Revocation struct {
	Path   string // below APIBase; {client_id} stands for the app's id
	Accept string
	Bearer bool   // the token proves itself
	Member string // of a JSON object in the body, for the token; "" sends no body
}
