package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/bench/internal/visit"
	"github.com/returnleg/returnleg/providers/providertest"
)

// party is what an app of one's own is written with: x/oauth2 and go-oidc.
type party struct {
	oauth    *oauth2.Config
	verifier *oidc.IDTokenVerifier
}

func newParty(issuer string) (*party, error) {
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		return nil, err
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // or the first code is sent twice
	return &party{
		oauth: &oauth2.Config{
			ClientID: providertest.ClientID, ClientSecret: providertest.ClientSecret, Endpoint: endpoint,
			RedirectURL: visit.Site + "/callback", Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
		},
		verifier: provider.Verifier(&oidc.Config{ClientID: providertest.ClientID}),
	}, nil
}

// attempt is what is to be remembered of a sign-in until the person comes back.
type attempt struct{ state, nonce, verifier string }

func newAttempt() attempt {
	return attempt{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
}

func (p *party) authURL(a attempt) string {
	return p.oauth.AuthCodeURL(a.state, oidc.Nonce(a.nonce), oauth2.S256ChallengeOption(a.verifier))
}

// person is who came back.
type person struct {
	Subject string `json:"sub"`
	Name    string `json:"name"`
	Email   string `json:"email"`
}

// finish does all that the standards ask of the callback.
func (p *party) finish(r *http.Request, a attempt) (*oauth2.Token, string, *person, error) {
	q := r.URL.Query()
	if a.state == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(a.state)) != 1 {
		return nil, "", nil, errors.New("login: state")
	}
	token, err := p.oauth.Exchange(r.Context(), q.Get("code"), oauth2.VerifierOption(a.verifier))
	if err != nil {
		return nil, "", nil, err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, "", nil, errors.New("login: no ID token")
	}
	id, err := p.verifier.Verify(r.Context(), raw)
	if err != nil {
		return nil, "", nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.nonce)) != 1 {
		return nil, "", nil, errors.New("login: nonce")
	}
	who := &person{}
	if err := id.Claims(who); err != nil {
		return nil, "", nil, err
	}
	return token, raw, who, nil
}

const attemptCookie = "attempt"

// HandWritten returns an app with PKCE, nonce and verification, which remembers the attempt in a
// cookie and has no session: when it has seen who came back, it forgets them.
func HandWritten(p *Provider) (*Contender, error) {
	party, err := newParty(p.Issuer)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		a := newAttempt()
		http.SetCookie(w, &http.Cookie{
			Name: attemptCookie, Value: a.state + "." + a.nonce + "." + a.verifier, Path: "/",
			MaxAge: int((10 * time.Minute).Seconds()), HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode,
		})
		http.Redirect(w, r, party.authURL(a), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie(attemptCookie)
		if err != nil {
			http.Error(w, "start again", http.StatusBadRequest)
			return
		}
		parts := strings.Split(c.Value, ".")
		if len(parts) != 3 {
			http.Error(w, "start again", http.StatusBadRequest)
			return
		}
		if _, _, _, err := party.finish(r, attempt{parts[0], parts[1], parts[2]}); err != nil {
			http.Error(w, "sign-in failed", http.StatusBadRequest)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: attemptCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true})
		http.Redirect(w, r, Landing, http.StatusSeeOther)
	})
	return &Contender{Name: "hand-written, no session", Handler: mux, Start: "/login", provider: p}, nil
}
