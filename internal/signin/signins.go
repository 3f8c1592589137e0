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

// SignIns are the sign-ins of an app.
type SignIns struct {
	env         *env.Env
	app         *web.App
	sessions    *session.Sessions
	accounts    *account.Accounts
	connections *connection.Connections
	OnLogin     func(context.Context, *Admission) error
	Tell        func(q *session.Request, f *Flow, err error) Told
	Knows       func(code string) bool
	queues      map[string]queue // likewise
	namespaces  namespaces
}

// New returns the sign-ins with these providers.
func New(shared *env.Env, at *web.App, ss *session.Sessions, people *account.Accounts, cs *connection.Connections, ps []providers.Provider) *SignIns {
	a := &SignIns{
		env: shared, app: at, sessions: ss, accounts: people, connections: cs,
		queues:     map[string]queue{},
		namespaces: newNamespaces(ps),
	}
	for _, p := range ps {
		a.queues[p.Name()] = newQueue()
	}
	return a
}
