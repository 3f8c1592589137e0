// Package session keeps one browser's session in the store.
//
// It promises:
//
//   - The session cookie is an id and a secret. The store has a hash of the secret. A [Standing] says what a cookie is
//     worth: the current secret opens the session. One that was replaced, or that is stale, does not.
//   - A sign-in, a raised level and RenewToken rotate the secret within the same record. See [Meta.Rotate].
//   - Values that the app keeps through scs are one field of the record each. Two requests that change different keys
//     both win. [Request.Take] removes a value in one step.
//   - A change that cannot be saved is an error that wraps [ErrNotSaved]. A late change does not bring back a session
//     that has ended: see also the tombstones of internal/account.
//   - A session in which nobody has signed in pays from the guests' budget.
//   - A page state belongs to the session and the user that saved it.
//   - A session that another scs store holds is taken over once. See [Former].
//
// It leaves to others: accounts and the index of a user's sessions (internal/account implements [Index]), grants and
// sign-ins, which keep fields of their own in the record, and the answer: errors are returned, and cookies are set
// through a [Header] that internal/web and middleware implement.
//
// The main type is [Sessions]: the sessions of an app. A [Request] is the part of one HTTP request that has to do with
// its session, and a [View] is the session as that request sees it.
package session
