// Package middleware signs people in with OAuth 2.0 and OpenID Connect, and makes the way back
// boring. A person may come back in a new tab, twice, with the back button, after lunch, or to
// another replica: they land in the session that left, on the page where they were, with what they
// had filled in. A callback in another browser than the one that started is refused. It wraps any
// [net/http.Handler].
//
//	auth, err := middleware.New(middleware.Config{
//		BaseURL:   "https://app.example.com",
//		Providers: []providers.Provider{providers.GitHub(id, secret)},
//	})
//	…
//	http.ListenAndServe(addr, auth.Handler(mux))
//
// # In a handler
//
// Calls about one request are functions of its context, so that a library deep down needs
// nothing else: [User] is who is signed in, [Client] calls a provider's API as that person,
// [LoginURL] is where a link to sign in goes, [SignOut] ends the session. [SavePage] keeps what a
// page holds before somebody leaves it, and [Returned] gives it to the tab that comes back.
//
// Calls about everybody are methods of [Auth]: [Auth.Require] protects handlers,
// [Auth.Sessions] is the scs manager through which handlers keep data of their own.
//
// # In a script
//
// A page that stays open while its person signs in elsewhere asks {Prefix}/status, which answers for
// this browser:
//
//	{
//	  "signed_in": true,
//	  "since": "2026-11-21T16:10:00Z",    // when they signed in
//	  "expires": "2026-11-22T16:10:00Z",  // when the session ends if it is not used again
//	  "user": {"id": "…", "name": "Ada"}, // Account.ID, and the name that the provider told
//	  "page_tag": "…",                    // what PageTag returns
//	  "connections": [ … ],               // each is a Connection
//	  "sign_ins": [
//	    {"id": "…", "provider": "github", "result": "denied", "at": "2026-11-21T16:09:30Z"}
//	  ]
//	}
//
// Times are those of RFC 3339. sign_ins has how the latest four ended, newest first; result is
// "signed_in" or a [Reason]. since and user are left out if nobody is signed in, expires if there is no
// session. No token is ever in it.
//
// # In a test
//
// Package providertest, in providers, is a provider to test with; the example named Test shows how.
//
// # What it promises
//
//   - A callback counts only in the browser that started the sign-in, and every check passes before
//     the code is redeemed. A code is redeemed at most once, whatever is reloaded or raced.
//   - Tabs are independent: any number of sign-ins of one browser end, in any order.
//   - Two requests that write different session values both win; a slow one never undoes a
//     sign-out; [Take] gives a value to one request only.
//   - A store that fails is never taken for "signed out": requests with a session cookie get 503, no cookie
//     is cleared and no gate opens.
//   - A token goes to the origins that its provider declares, and nowhere else. No code, token,
//     secret or cookie is ever logged.
//
// # What it needs
//
// The URL of the app, as browsers see it, in [Config].BaseURL: behind a proxy nothing else has to
// be set, because no forwarded header is believed. The redirect URI to register with a provider
// is BaseURL + "/auth/" + its name + "/callback", or with [Config].Prefix in the place of "/auth". With more than one process, a store that they
// share, and keys.
package middleware
