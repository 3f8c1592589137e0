package session

import (
	"context"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/guest"
)

// Sessions are the sessions of an app, with what they need: the store and the clock, the app's scs manager, the
// budget of guests and the index of each user's sessions.
type Sessions struct {
	Env           *env.Env
	Manager       *scs.SessionManager
	ManagerKey    any           // the manager looks for its data in a context under this key
	Former        *Former       // nil: no sessions are taken over
	AnonymousIdle time.Duration // a guest's session ends when it was unused for so long
	Guests        *guest.Budget
	Touches       TouchNotes // touches that this process writes, or wrote a moment ago
	Index         Index
	Readable      func(user string) error // returns why a [FieldUser] cannot be read; nil if it can
}

// An Index lists the sessions of each user. The room of accounts implements it.
type Index interface {
	// Extend notes a later deadline of a session. It returns [ErrEnded] if all sessions of the user end meanwhile.
	Extend(ctx context.Context, account, sid string, deadline time.Time) error

	// Remove removes sessions that have ended. An entry that stays does no harm.
	Remove(ctx context.Context, account string, sids ...string)
}

// SettleTries is how often a change of a record is tried while other requests change the same one: sixteen tabs
// may finish a sign-in at once.
const SettleTries = 32
