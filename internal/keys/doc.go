// Package keys derives what the kit seals, signs and hashes with from the app's key ring.
//
// It promises: each purpose and each site has keys of its own ([Secrets]); secrets of session cookies are derived, so
// that two requests get the same one independently; the store gets a hash of a secret and never the secret.
//
// It knows no records, cookies or flows. It also has the text form of random and derived bytes ([Text], [Raw], [Token]).
//
// The main type is [Secrets].
package keys
