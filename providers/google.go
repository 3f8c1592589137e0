package providers

import "github.com/returnleg/returnleg/providers/internal/service"

// Google returns Google as a provider named "google". Scopes are added to openid, profile and email;
// those of APIs are at https://developers.google.com/identity/protocols/oauth2/scopes.
//
// It asks for offline access, so that API clients outlive the hour that an access token lasts. Google
// gives a refresh token with the first consent only; set AuthParams["prompt"] to "consent" to get a
// new one with each sign-in, at the price of a consent page each time, or delete
// AuthParams["access_type"] if nothing is asked of an API after sign-in.
func Google(clientID string, clientSecret Secret, scopes ...string) *OIDC {
	return namedOIDC(service.Google(), clientID, clientSecret, scopes)
}
