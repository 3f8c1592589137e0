package providers

import "github.com/returnleg/returnleg/providers/internal/service"

// Vimeo returns Vimeo as a provider named "vimeo". Scopes are those of
// https://developer.vimeo.com/api/authentication#supported-scopes; Vimeo takes none for "public".
//
// Vimeo's token answer says whose token it is: sign-in takes one request. An identity's Subject is
// the number in the user's URI, and its Claims are the user as the API shows it. Vimeo's tokens do
// not expire, and there is no refresh.
func Vimeo(clientID string, clientSecret Secret, scopes ...string) *OAuth2 {
	return named(service.Vimeo(), clientID, clientSecret, scopes)
}
