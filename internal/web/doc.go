// Package web knows one HTTP request and its answer.
//
// It promises:
//
//   - A request is judged by headers that no script of another site can set: is it the load of a page, a prefetch, from
//     another origin, from another site.
//   - The names of cookies tell apps on other ports and
//     prefixes of the same host apart. There are the session cookie, binding cookies, and short-lived ones by which a
//     page that loads itself again under SameSite=Strict is known: see reload.go. [Cookies] sets and clears them, and no cache keeps an answer that sets one.
//   - A redirect is sent exactly as it was judged.
//   - A [Writer] calls its [Hook] once before the header leaves, so that changes are saved and cookies are set in time.
//   - The body of a request to the kit's own addresses has a limit of length and of time.
//
// It knows no sessions, providers or stores. Their rooms and middleware decide what is answered.
//
// The main type is [App]: where the app is, as browsers see it.
package web
