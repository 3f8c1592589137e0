// Package signin is the return leg: a sign-in, a step-up or a link, from the start in one browser to the
// session that it ends in.
//
// [SignIns] promises:
//
//   - A flow is stored nowhere. The state parameter is the flow, sealed for the browser that started it; in
//     another browser it does not open (state.go). A return path that does not fit into it has a slot in the store.
//   - An answer passes every check before its code is redeemed. A check that fails sends nothing to the
//     provider and writes nothing; only a refusal by the provider is recorded.
//   - A code is redeemed at most once, by one process: claim.go. [Redemption] is the record of it, and tells a
//     reload how the sign-in ended.
//   - A sign-in that fails leaves the session as it was, and what was issued for it is revoked.
//   - The table at [Choose] says which session wins.
//
// A start is [SignIns.Start]. A callback is, in this order: [SignIns.OpenFlow]; [SignIns.Redeem], or for a reload
// [SignIns.Known] and [SignIns.Reissue]; and [SignIns.Rebind].
//
// It leaves to others: pages, status codes and the app's own URLs to the package middleware, which is asked by
// the field Tell for the words in which a failure is kept; sessions and cookies to session and web; account
// records and their index to account; the form of a grant, and what becomes of its token, to connection.
package signin
