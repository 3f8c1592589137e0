package providers

import "github.com/returnleg/returnleg/providers/internal/service"

// GitHub returns github.com as a provider named "github", for an OAuth app or a GitHub App. Scopes
// are those of https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps;
// none is needed to learn who somebody is. Fields may be changed, for example the URLs for an
// Enterprise Server.
//
// An identity's Subject is the numeric id of the account; a login name may change and be given to
// somebody else, and is the Username. Email is the public one and mostly empty. Sign-in takes two
// requests: GitHub does not say with the token whose it is.
func GitHub(clientID string, clientSecret Secret, scopes ...string) *OAuth2 {
	return named(service.GitHub(), clientID, clientSecret, scopes)
}
