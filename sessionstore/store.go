// Package sessionstore keeps small records of named fields: sessions, redemptions, indexes and
// accounts. It sees fields and bytes, and knows nothing of sign-in.
//
// [Memory] is the store of one process; its zero value is ready. Packages redisstore and sqlstore
// have those that processes share, and [FromSCS] makes one of any store that was written for scs.
// [Sealed] encrypts the values of whichever it is; package middleware does so by itself. The test
// suite in package storetest is the contract of [Store] as code: a store that passes it will do.
package sessionstore

import (
	"context"
	"errors"
)

// A Store keeps records: small sets of named fields that expire together.
//
// A record is one unit: a Store changes it atomically, and never needs two records at once, so
// that a cluster, or a table of keys and values, will do. Three things follow from [Change], and
// everything above relies on them:
//
//   - fields merge: of two changes that set different fields of one record, both win;
//   - conditions decide: of several changes with one condition, at most one succeeds,
//     among all processes that share the store;
//   - nothing is revived: a change with [MustExist] fails once Delete has returned.
//
// Changes and deletions of one record are linearizable. Expiry goes by the store's clock, to the
// millisecond; an expired record does not exist, for any method.
//
// Methods are safe for concurrent use. [ErrNotFound] means that the store looked and the record
// is not there; a store that cannot tell returns another error, never ErrNotFound. A key or change
// that is not valid is [ErrInvalid], before anything else. A canceled ctx may or may not stop a
// change that is under way; the caller loads again to know.
//
// A method returns in bounded time, whatever has become of a server behind it: requests wait for a
// Load, and nobody above sets it a deadline of their own.
type Store interface {
	// Load returns the record of k: one round trip, all fields. A record that was never
	// saved, was deleted or has expired is [ErrNotFound].
	Load(ctx context.Context, k Key) (Record, error)

	// Update applies c to the record of k, whole or not at all. It returns [ErrNotFound] or
	// [ErrExists] if c.Mode is not met, [ErrConflict] if a condition is not, and [ErrFull]
	// if the store has no room; then nothing has changed. A condition on a record that is
	// not there yet sees no fields. A record is never evicted to make room for another one.
	Update(ctx context.Context, k Key, c Change) error

	// Delete forgets the records of ks, each by itself. One that is not there is no error.
	// After an error some may be gone; it is safe to try again. See [BatchLoader] for many.
	Delete(ctx context.Context, ks ...Key) error
}

// A Pinger is a [Store] that can be asked whether it is there, for a health check. Ping makes one
// round trip, changes nothing, and returns nil if the store answers and lets itself be used.
type Pinger interface {
	Ping(ctx context.Context) error
}

// A SingleProcess is a [Store] that may not keep the contract when more than one process uses it, or
// what it stands on. Whoever builds on a store asks once, at start-up, and warns if the answer is
// true. A store that lacks the method is good for any number of processes.
type SingleProcess interface {
	SingleProcess() bool
}

// Store errors. [errors.Is] finds them in what a Store returns.
var (
	ErrNotFound = errors.New("sessionstore: not found")
	ErrExists   = errors.New("sessionstore: exists")
	ErrConflict = errors.New("sessionstore: conflict")
	ErrFull     = errors.New("sessionstore: full")
	ErrInvalid  = errors.New("sessionstore: invalid key or change") // a caller's mistake
)

// Why a store that is a server cannot tell. None of these says anything about the record: a change
// may have been made or not.
var (
	ErrUnavailable   = errors.New("sessionstore: unavailable")   // not reached, or cannot answer now: try again later
	ErrOverloaded    = errors.New("sessionstore: overloaded")    // nothing was asked, for want of a connection: try again later
	ErrMisconfigured = errors.New("sessionstore: misconfigured") // does not end by itself: wake somebody up
)
