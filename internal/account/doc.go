// Package account keeps the people of an app: the account of each identity, the list of sessions of each
// account, and the list of accounts of each of the app's users.
//
// # What it promises
//
//   - Of several first sign-ins of one person exactly one is the first. One that fails leaves no trace that
//     would keep the next one from being the first.
//   - A session is listed before it is written. There is never a session that a sign-out of everything cannot
//     find, and none that outlives one.
//   - An account that cannot be read, that is unlinked, or whose first sign-in is abandoned loses its profile
//     and nothing else: its sessions stay listed, and what a sign-out of everything has left in it stays.
//   - A record never expires before the last session that is listed in it.
//
// # What is stored
//
// The main type is [Accounts]. There are three kinds of records, and a mark in two of them: a field that changes when
// all sessions of a person are ended, so that a sign-in under way notices. A tombstone takes the place of a session's
// record that was ended so, or was about to be written: see tombstone.go.
//
//	account   one for each issuer and subject: the profile, an entry for each session, the mark
//	index     one for each session at a provider: an entry for each session here, the mark
//	person    one for each of the app's users: the keys of their accounts
//
// # What it leaves to others
//
// It does not know HTTP, flows or tokens. Package session writes and ends the sessions themselves, and
// package signin decides which session a sign-in ends in and who may take an account from whom.
package account
