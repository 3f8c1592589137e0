package session

import "github.com/returnleg/returnleg/internal/keys"

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

// standing returns what a cookie with that secret is worth to s, as [Sessions.view] has returned it.
func (a *Sessions) standing(s *View, secret string) Standing {
	if s.Standing == Absent {
		for i := range a.Env.Ring {
			if keys.Same(secret, a.Env.Ring[i].First(s.ID)) {
				return Unstored
			}
		}
		return Absent
	}
	h := keys.Hash(secret)
	switch {
	case keys.Same(h, s.Meta.Current):
		return Current
	case !keys.Same(h, s.Meta.Previous) || !a.Env.Clock().Before(s.Meta.previousUntil):
		return Stale
	case s.Meta.previousSame:
		return Previous
	}
	return Superseded
}
