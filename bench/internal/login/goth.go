package login

import (
	"net/http"

	"github.com/gorilla/sessions"
	"github.com/markbates/goth"
	"github.com/markbates/goth/gothic"
	"github.com/markbates/goth/providers/openidConnect"

	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Goth returns an app with goth's OpenID Connect provider and gothic's cookie. It has no session
// of its own either. goth knows neither PKCE nor nonce and does not check the signature.
func Goth(p *Provider) (*Contender, error) {
	provider, err := openidConnect.New(providertest.ClientID, providertest.ClientSecret, visit.Site+"/callback",
		p.Lax+"/.well-known/openid-configuration", "profile", "email")
	if err != nil {
		return nil, err
	}
	goth.UseProviders(provider)
	gothic.Store = sessions.NewCookieStore([]byte("a key of the benchmarks, 32 bytes"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		gothic.BeginAuthHandler(w, gothic.GetContextWithProvider(r, provider.Name()))
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		user, err := gothic.CompleteUserAuth(w, gothic.GetContextWithProvider(r, provider.Name()))
		if err != nil || user.UserID == "" {
			http.Error(w, "sign-in failed", http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, Landing, http.StatusSeeOther)
	})
	return &Contender{Name: "goth OIDC (no session, no signature check, no PKCE)", Handler: mux, Start: "/login", provider: p}, nil
}
