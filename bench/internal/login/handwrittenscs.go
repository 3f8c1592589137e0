package login

import (
	"net/http"

	"github.com/alexedwards/scs/v2"
)

// HandWrittenSCS returns the same app with a session, as scs.New makes it: the attempt is in it
// first, then the person and their tokens.
func HandWrittenSCS(p *Provider) (*Contender, error) {
	return handWrittenSCS(p, "hand-written, scs + memstore", scs.New())
}

func handWrittenSCS(p *Provider, name string, sessions *scs.SessionManager) (*Contender, error) {
	party, err := newParty(p.Issuer)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		ctx, a := r.Context(), newAttempt()
		sessions.Put(ctx, "state", a.state)
		sessions.Put(ctx, "nonce", a.nonce)
		sessions.Put(ctx, "verifier", a.verifier)
		http.Redirect(w, r, party.authURL(a), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		a := attempt{sessions.PopString(ctx, "state"), sessions.PopString(ctx, "nonce"), sessions.PopString(ctx, "verifier")}
		token, raw, who, err := party.finish(r, a)
		if err != nil {
			http.Error(w, "sign-in failed", http.StatusBadRequest)
			return
		}
		if err := sessions.RenewToken(ctx); err != nil {
			http.Error(w, "sign-in failed", http.StatusInternalServerError)
			return
		}
		sessions.Put(ctx, "subject", who.Subject)
		sessions.Put(ctx, "name", who.Name)
		sessions.Put(ctx, "email", who.Email)
		sessions.Put(ctx, "access_token", token.AccessToken)
		sessions.Put(ctx, "refresh_token", token.RefreshToken)
		sessions.Put(ctx, "id_token", raw)
		sessions.Put(ctx, "expiry", token.Expiry.Unix())
		http.Redirect(w, r, Landing, http.StatusSeeOther)
	})
	return &Contender{Name: name, Handler: sessions.LoadAndSave(mux), Start: "/login", provider: p}, nil
}
