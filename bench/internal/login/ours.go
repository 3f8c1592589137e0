package login

import (
	"log/slog"
	"net/http"

	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Ours returns an app behind returnleg, with sessions in memory.
func Ours(p *Provider) (*Contender, error) { return ours(p, "returnleg", nil, nil) }

func ours(p *Provider, name string, store sessionstore.Store, keys sessionstore.Keyring) (*Contender, error) {
	auth, err := middleware.New(middleware.Config{
		BaseURL: visit.Site,
		Providers: []providers.Provider{&providers.OIDC{
			ID: "idp", Issuer: p.Issuer, ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret,
		}},
		Store:  store,
		Keys:   keys,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return &Contender{
		Name: name, Handler: auth.Handler(http.NotFoundHandler()),
		Start: "/auth/idp/login?return_to=" + Landing, provider: p,
	}, nil
}
