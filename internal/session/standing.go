package session

// A Standing says what the cookie of a request is worth to the session that it names.
type Standing uint8

// The standings.
const (
	Absent     Standing = iota // there is no cookie, or its session is gone
	Unstored                   // the cookie was given out at the start of a sign-in; nothing is stored yet
	Current                    // the session's current secret
	Previous                   // the secret before it, of the same user at the same level: it opens the session for a while
	Superseded                 // the secret before it, replaced by a sign-in, a step-up or RenewToken: it does not open the session
	Stale                      // any other secret of a session that exists: it does not open the session
	Withheld                   // the path is free of sessions: the cookie was not looked at
)
