// Package env is what all rooms of the kit share: the store, the keys, the clock, the random source, the event log and
// the background tasks.
//
// It promises:
//
//   - A change that other changes depend on is made once, also where the store's answer was lost. See [Env.Write].
//   - A change that has to be made is tried until the store takes it. See [Env.Retry].
//   - Records of one site cannot be mistaken for those of another. See [Site].
//
// It knows nothing of what is stored: rooms that own a record know its fields.
//
// The main type is [Env]. Rooms share it by pointer, because tests replace parts of it.
package env
