package session

// Standing is what the cookie of a request says about the session that it names.
type Standing uint8

const (
	Absent     Standing = iota // no cookie, or of a session that is gone
	Unstored                   // given out at a start; nothing is stored yet
	Current                    // its present secret
	Previous                   // the secret before, of the same user at the same level: as good, for a while
	Superseded                 // the secret before, from before a sign-in, a step-up or RenewToken: opens nothing
	Stale                      // a live session, another secret: opens nothing
	Withheld                   // the path is free of sessions: nothing was looked up
)
