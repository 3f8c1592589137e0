package connection

import (
	"context"
	"net/http"

	"github.com/returnleg/returnleg/internal/account"
	"github.com/returnleg/returnleg/internal/env"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// Connections are what the sessions of an app are connected with.
type Connections struct {
	env       *env.Env
	sessions  *session.Sessions
	accounts  *account.Accounts
	Flights   flights
	breakers  map[string]*breaker // by provider
	OnChange  func(context.Context, *Change)
	Providers map[string]providers.Provider
	Client    *http.Client
}

// New returns the connections with these providers, to which c sends requests.
func New(shared *env.Env, ss *session.Sessions, people *account.Accounts, ps []providers.Provider, c *http.Client) *Connections {
	a := &Connections{
		env: shared, sessions: ss, accounts: people,
		Flights:   flights{under: map[flightKey]*flight{}},
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
