// Package service has the services that package providers knows by name, as data.
//
// It promises that a service is an OAuth2 or an OIDC, and the function that reads an identity from its answers, in a file with
// the service's name. It may touch nothing else: it sends no request, sees no secret and makes no judgment. The
// constructors, with the documentation of a service, are in package providers.
package service
