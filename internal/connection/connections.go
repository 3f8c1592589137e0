package connection

import (
	"context"
	"net/http"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// Connections are the connections of all sessions of an app.
type Connections struct {
	Providers map[string]providers.Provider // by name
	Client    *http.Client                  // by which requests to providers are sent

	// OnChange is told of each renewal, and of each grant that a provider ends; nil: nobody is.
	OnChange func(context.Context, *Change)

	// Flights are the renewals under way.
	Flights flights

	env      *env.Env
	sessions *session.Sessions
	accounts *account.Accounts
	breakers map[string]*breaker // by provider
}

// New returns the connections with the providers ps, to which c sends requests.
func New(shared *env.Env, ss *session.Sessions, people *account.Accounts, ps []providers.Provider, c *http.Client) *Connections {
	a := &Connections{
		env: shared, sessions: ss, accounts: people,
		Flights:   flights{under: map[grantKey]*flight{}},
		breakers:  map[string]*breaker{},
		Providers: map[string]providers.Provider{},
		Client:    c,
	}
	for _, p := range ps {
		a.Providers[p.Name()] = p
		a.breakers[p.Name()] = newBreaker(p.Name())
	}
	return a
}
