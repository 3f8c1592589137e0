// Package reason has the codes of what can go wrong, as they are stored, logged and shown to programs.
//
// It promises that the codes are stable: middleware.Reason has the same values. It leaves to middleware the status and
// the text that a user gets for each.
//
// The main type is [Error]: an error with a code.
package reason
