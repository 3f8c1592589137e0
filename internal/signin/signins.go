package signin

import (
	"context"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/internal/web"
	"github.com/returnleg/returnleg/providers"
)

// SignIns are the sign-ins of an app. Set the functions before the first one starts.
type SignIns struct {
	// OnLogin asks the app whether somebody may sign in; nil: everybody may. An error refuses the sign-in.
	OnLogin func(context.Context, *Admission) error

	// Tell returns what the person is told about a sign-in that failed. It is kept for a reload.
	Tell func(q *session.Request, f *Flow, err error) Told

	// Knows reports whether this version can tell the person about the reason of that code.
	Knows func(code string) bool

	env         *env.Env
	app         *web.App
	sessions    *session.Sessions
	accounts    *account.Accounts
	connections *connection.Connections
	queues      map[string]queue // by provider
	issuers     issuers
}

// New returns the sign-ins of the app at, with the providers ps. The caller sets the functions.
func New(shared *env.Env, at *web.App, ss *session.Sessions, people *account.Accounts, cs *connection.Connections, ps []providers.Provider) *SignIns {
	a := &SignIns{
		env: shared, app: at, sessions: ss, accounts: people, connections: cs,
		queues:  map[string]queue{},
		issuers: newIssuers(ps),
	}
	for _, p := range ps {
		a.queues[p.Name()] = newQueue()
	}
	return a
}
