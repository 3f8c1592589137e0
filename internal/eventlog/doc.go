// Package eventlog tells the app's logger what happens.
//
// It promises:
//
//   - An event has a fixed text, a reason code, names, and errors of the kit. No code, state, token, secret or cookie
//     value is among them.
//   - Requests in which no user is signed in cannot flood the log. Of each kind of line, a limited number is written in
//     a minute, and the rest is counted and reported. See [Allowance].
//
// It knows nothing of requests but what a [Visitor] tells: whether a user is signed in. A caller must hold no lock that
// a handler of the log may need.
//
// The main type is [Log].
package eventlog
