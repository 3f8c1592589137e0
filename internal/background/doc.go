// Package background counts the work that a stop of the server waits for: redemptions, renewals, revocations and
// retried writes.
//
// It promises: after [Group.Wait] has begun, no new work enters, and Wait returns when the work under way has ended or
// when its context ends. [Apart] lets work outlast the request that has begun it. The room leaves to others what the work is,
// and how long it may take.
//
// The main type is [Group].
package background
