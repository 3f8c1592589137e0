// Package idtoken verifies the ID tokens of one issuer: OpenID Connect Core 1.0, section 3.1.3.7, and RFC 8725.
//
// It promises that nothing is read from a token before one of the issuer's keys has signed it, with an accepted
// algorithm; and that it was issued by this issuer, for this app, and is valid now. The flow that it answers (nonce,
// subject, acr, max_age) is left to package providers.
package idtoken
