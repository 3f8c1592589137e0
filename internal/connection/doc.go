// Package connection has the grants of a session: what each provider has granted, as a field of the session's
// record, and the tokens in it.
//
// [Connections] promises:
//
//   - A grant is renewed once at a time, across goroutines and processes: one request goes to the provider, and
//     every request that needs the token waits for its result.
//   - A renewed token is saved before it is used, and a client that disconnects does not stop that. If the store
//     is down, the token is used from memory after a second, and the save is tried until it succeeds.
//   - A refusal of the provider ends a grant only if the record, read again, still holds the refused token.
//   - A token is sent to the origins that its provider declares, and to no other. A request that an API
//     refuses with 401 and invalid_token is sent once more with a renewed one, if its body can be sent again.
//   - The token of a grant that is disconnected, or replaced by one of another account, is revoked in the background.
//
// A renewal is begun in refresh.go, and reads from top to bottom in renewal.go. The mark by which one process is known
// to be at it is in mark.go.
//
// It leaves to others: how a grant comes to be, to signin; the session's record, to session; the accounts that a
// grant links, to account; HTTP answers and the errors of the public API, to the package middleware. Its errors are
// [Shortfall], the Err values, and the codes of the package reason.
package connection
