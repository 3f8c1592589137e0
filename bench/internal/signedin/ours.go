package signedin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Ours returns contenders that share one signed-in session: ten values and one grant.
func Ours() ([]*Contender, error) {
	idp := providertest.New(providertest.Config{})
	auth, err := middleware.New(middleware.Config{
		BaseURL:    visit.Site,
		Providers:  []providers.Provider{idp.OIDC("idp")},
		Logger:     slog.New(slog.DiscardHandler),
		HTTPClient: idp.Client(),
	})
	if err != nil {
		return nil, err
	}
	cookie, err := signIn(auth, idp)
	if err != nil {
		return nil, err
	}
	next := alternate()
	behind := func(name string, h http.HandlerFunc) *Contender {
		return &Contender{Name: "returnleg, " + name, Handler: auth.Handler(h), Cookie: cookie}
	}
	return []*Contender{
		behind("session untouched", noContent),
		behind("User read", func(w http.ResponseWriter, r *http.Request) {
			acc, err := middleware.User(r.Context())
			answer(w, err == nil && acc.Identity.Name == "Ada Lovelace")
		}),
		behind("Token read", func(w http.ResponseWriter, r *http.Request) {
			t, err := middleware.Token(r.Context(), "idp")
			answer(w, err == nil && t.Access != "")
		}),
		behind("one of ten scs keys read", func(w http.ResponseWriter, r *http.Request) {
			answer(w, auth.Sessions().GetString(r.Context(), read) != "")
		}),
		behind("one of ten scs keys written", func(w http.ResponseWriter, r *http.Request) {
			auth.Sessions().Put(r.Context(), written, next())
			answer(w, true)
		}),
	}, nil
}

// signIn signs in, fills the session and returns its cookies.
func signIn(auth *middleware.Auth, idp *providertest.Server) (cookie string, err error) {
	app := auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Fill(1, func(key, value string) { auth.Sessions().Put(r.Context(), key, value) })
		answer(w, true)
	}))
	var b visit.Browser
	start, err := b.Open(app, "/auth/idp/login?return_to=/fill")
	if err != nil {
		return "", err
	}
	callback, err := idp.Approve(context.Background(), idp.Client(), start.Location(), "ada")
	if err != nil {
		return "", err
	}
	back, err := b.Open(app, callback)
	if err != nil {
		return "", err
	}
	if got := back.Location(); got != "/fill" {
		return "", fmt.Errorf("signedin: signed in with status %d to %q, want /fill", back.Status(), got)
	}
	filled, err := b.Open(app, "/fill")
	if err != nil {
		return "", err
	}
	if filled.Status() != http.StatusNoContent {
		return "", fmt.Errorf("signedin: filled with status %d", filled.Status())
	}
	return b.Line(), nil
}
