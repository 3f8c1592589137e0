// Package env is what all rooms of the kit share: the store, the keys, the clock, the random source, the event log and
// the background tasks.
//
// It promises:
//
//   - A change that other changes depend on is made exactly once, even if the store's answer is lost. See [Env.Write].
//   - A change that has to be made is tried until the store takes it. See [Env.Retry].
//   - Records of one site cannot be mistaken for those of another. See [Site].
//
// The fields of a record belong to the room that owns it.
//
// The main type is [Env]. Rooms share it by pointer, because tests replace parts of it.
package env
