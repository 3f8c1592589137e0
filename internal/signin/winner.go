package signin

import "github.com/returnleg/returnleg/internal/session"

// A Winner is the session that a sign-in ends in.
type Winner struct {
	Session session.View
	How     How
	Present string        // what its next secret follows from
	Ends    *session.View // another person's session, which ends; nil: none

	remember bool // OnLogin called RememberMe
}

// How is how a sign-in comes to its session.
type How uint8

// Ways to a session.
const (
	Attach How = iota // the session is this person's already
	Rebind            // it has a record, and is anonymous
	Create            // its cookie was given out, and nothing is stored yet
	Renew             // a new id
)

// Choose returns the session that wins. F is the one in which the flow started, P the one that the callback
// shows, and user the account that came back:
//
//	P is signed in as user           P
//	P shows the cookie from before
//	user signed in to it             P: sign-ins of one person that ended together
//	P is signed in as another        a new one; nothing is carried over, and P ends
//	F is there, anonymous            F: this is the rebind
//	P is anonymous                   P
//	otherwise                        a new one
//
// It looks at nothing else: a table of tests covers it.
func Choose(p, f *session.View, user string) Winner {
	switch {
	case p.SignedIn() && p.Meta.User == user:
		return Winner{Session: *p, Present: p.Secret}
	case p.Standing == session.Superseded && p.Meta.User == user:
		return Winner{Session: *p, Present: p.Secret}
	case p.SignedIn():
		return Winner{How: Renew, Ends: p}
	case f.Born != 0 && f.Meta.User == "":
		if p.ID == f.ID && p.Opens() {
			return Winner{How: Rebind, Session: *f, Present: p.Secret}
		}
		return Winner{How: Rebind, Session: *f, Present: hashed + f.Meta.Current}
	case p.Standing == session.Unstored:
		return Winner{How: Create, Session: *p, Present: p.Secret}
	case p.Anonymous():
		return Winner{How: Rebind, Session: *p, Present: p.Secret}
	}
	return Winner{How: Renew}
}

// These stand for the secret before if the browser did not show it. No secret has this form.
const (
	hashed = "hash " // followed by the hash of the secret before
	fresh  = "fresh" // there was no secret before
)
