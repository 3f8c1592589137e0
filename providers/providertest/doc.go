// Package providertest is an identity provider to test with: OAuth 2.0 and OpenID Connect, complete
// enough to sign in to, scriptable enough to misbehave in every way that a client must survive.
//
// # Test your app
//
// [NewServer] starts one on loopback and stops it with the test. It knows one client, [ClientID]
// with [ClientSecret], that may come back to any loopback or example address:
//
//	idp := providertest.NewServer(t)
//	app := startMyApp(t, idp.Issuer(), providertest.ClientID, providertest.ClientSecret)
//
// A person is a call. [Server.Approve] opens the URL that your app redirects to, picks an account,
// presses Allow, and returns the callback URL that the browser would open next; [Server.Deny]
// presses the other button. [Server.SignInAs] makes the provider answer at once, so that a plain
// http.Client that follows redirects goes through a whole sign-in.
//
// # Look what happened
//
// [Server.Ledger] is what the provider saw: every request with its form, and how often each code
// and refresh token was sent.
//
//	if n := idp.Ledger().Count("token"); n != 1 {
//		t.Errorf("%d token requests, want 1", n)
//	}
//
// # Make it misbehave
//
// [Server.Set] changes the [Behavior], at any time. A [Fault] stands before an endpoint; the other
// fields change what an answer says.
//
//	idp.Set(func(b *providertest.Behavior) { b.Token = providertest.Respond(503, "text/html", "down") })
//	idp.Set(func(b *providertest.Behavior) { b.Claims = providertest.With("nonce", "another") })
//	idp.Set(func(b *providertest.Behavior) { b.Rotation = providertest.RotateGrace })
//
// What to put there: [Respond], [Fail], [Redirect], [Rewrite], [Pad], [GzipBomb], [Drip], [Delay],
// [Linger], [Hang], [HangBody], [Truncate], [Reset] and [LoseAnswer] are faults or make one, [First]
// and [When] give one only some of the requests. [With], [Without] and [OnRefresh] make functions for
// Fields, Claims and Header. For IDToken there are [Unsigned], [Stripped], [Flipped], [WrongKey],
// [OtherSignature], [HS256Empty], [HS256Public], [HS256Secret], [PS256] and [WithAlgorithm], or a
// function of your own from what a [Draft] can sign. [AnswerError] is for Answer.
//
// [Conformance], [Attacks] and [Quirks] are tables of behaviors, each with the outcome that is right.
//
// # Without sockets
//
// [New] with the client of [Server.Client] needs no listener: requests are answered in the goroutine
// that sends them. That is what testing/synctest wants, where a day of refreshes passes in a
// millisecond.
//
// # As a program
//
// A [Server] is an http.Handler: serve it at its issuer, and people can click through it. What
// it keeps is bounded and expires. Nothing in it is real, there are no passwords, and everybody who
// reaches it is whoever they like: do not let an app in production trust it.
package providertest
