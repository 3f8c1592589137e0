package session

import (
	"context"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/guest"
)

// Sessions are those of an app.
type Sessions struct {
	Env           *env.Env
	Manager       *scs.SessionManager
	ManagerKey    any // under which the manager looks for its data in a context
	Former        *Former
	AnonymousIdle time.Duration
	Guests        *guest.Budget
	Touches       touchNotes
	Index         Index
	Readable      func(user string) error // why the user's record in a session cannot be read
}

// An Index lists the sessions of each person.
type Index interface {
	// extendEntry notes a later deadline of a session. It returns errEnded if all sessions of the person end meanwhile.
	Extend(ctx context.Context, account, sid string, deadline time.Time) error

	// removeEntries removes sessions that have ended. An entry that stays does no harm.
	Remove(ctx context.Context, account string, sids ...string)
}

const SettleTries = 32 // sixteen tabs may end at once
