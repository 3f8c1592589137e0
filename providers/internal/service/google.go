package service

import (
	"net/url"

	"github.com/returnleg/returnleg/providers/internal/clientauth"
)

// Google is accounts.google.com.
func Google() OIDC {
	return OIDC{
		ID:         "google",
		Issuer:     "https://accounts.google.com",
		AuthMethod: clientauth.Basic, // its metadata knows none without a secret
		Scopes:     []string{"openid", "profile", "email"},
		Algorithms: []string{"RS256"},
		AuthParams: url.Values{"access_type": {"offline"}},
		APIBase:    "https://www.googleapis.com",
	}
}
