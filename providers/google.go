package providers

import "net/url"

// Google returns Google as a provider named "google". Scopes are added to openid, profile and email;
// those of APIs are at https://developers.google.com/identity/protocols/oauth2/scopes.
//
// It asks for offline access, so that API clients outlive the hour that an access token lasts. Google
// gives a refresh token with the first consent only; set AuthParams["prompt"] to "consent" to get a
// new one with each sign-in, at the price of a consent page each time, or delete
// AuthParams["access_type"] if nothing is asked of an API after sign-in.
func Google(clientID string, clientSecret Secret, scopes ...string) *OIDC {
	return &OIDC{
		ID:           "google",
		Issuer:       "https://accounts.google.com",
		ClientID:     clientID,
		ClientSecret: clientSecret,
		AuthMethod:   ClientSecretBasic, // its metadata knows none without a secret
		Scopes:       append([]string{"openid", "profile", "email"}, scopes...),
		Algorithms:   []string{"RS256"},
		AuthParams:   url.Values{"access_type": {"offline"}},
		APIBase:      "https://www.googleapis.com",
	}
}
