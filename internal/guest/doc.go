// Package guest keeps the number of guests' sessions below a budget. A guest is a client that has not signed in: any
// client that reaches the app can make it store such a session.
//
// It promises:
//
//   - Among all processes that share a store, the guests' sessions that are alive stay within the budget, as far as no
//     clock is ahead of the store's by much: see [New].
//   - A guest whose session exists keeps it: it is prolonged also while new guests are refused.
//   - The store is asked seldom. A process takes a share of the budget at a time.
//
// It knows no sessions: internal/session says when one is made or prolonged, and internal/signin charges refused
// sign-ins to the same budget.
//
// The main type is [Budget].
package guest
