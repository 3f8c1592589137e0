package signin

import (
	"time"

	"github.com/returnleg/returnleg/internal/connection"
	"github.com/returnleg/returnleg/internal/keys"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/internal/reason"
	"github.com/returnleg/returnleg/internal/session"
	"github.com/returnleg/returnleg/providers"
)

// A Purpose is why a person is sent to a provider.
type Purpose uint8

// Purposes of a flow.
const (
	SignIn Purpose = 1 + iota
	StepUp         // the same person, with more scopes or a stronger sign-in
	Link           // another provider, for the person who is signed in
)

// A Flow is one visit to a provider. It is stored nowhere: the state parameter is the flow, sealed,
// with the browser's binding secret in the associated data. A start costs the server nothing, and a
// callback in another browser does not open.
type Flow struct {
	Provider string
	Label    string // of the connection; "" for a sign-in
	Purpose  Purpose
	session  string // id of the one it started in
	user     string // key of the account that was signed in there; "" for a sign-in
	started  int64  // see [env.Env.Stamp]
	expires  time.Time
	Page     string // id of the page state that was saved before leaving
	returnTo string
	Need     connection.Need // scopes, ACR, MaxAge
	takes    string          // link: key of the account that may be transferred

	seed     [16]byte
	secrets  *keys.Secrets
	back     bool   // it was opened from a state; else it is about to leave
	aside    bool   // returnTo was too long for the state, and is elsewhere
	redeemed string // id of the redemption; "" until it was asked for
	home     bool   // the browser knows the session in which it started
	retired  bool   // its binding was retired since it started
}

// flowLife is how long a sign-in may take: time to find the password, or to make an account at the provider.
const flowLife = time.Hour

// decode reads the content of a state, and reports whether this version knows it.
func (f *Flow) decode(s string) bool {
	r := packed.Read(s)
	f.Provider = r.String()
	f.Purpose = Purpose(r.Uint())
	f.session = keys.Text([]byte(r.String()))
	f.user = keys.Text([]byte(r.String()))
	f.started = int64(r.Uint())
	f.expires = time.UnixMicro(f.started).Add(flowLife)
	f.Page = keys.Text([]byte(r.String()))
	f.Need.Scopes = r.Alike()
	f.Need.ACR = r.Alike()
	f.Need.MaxAge = time.Duration(r.Uint()) * time.Second
	f.Label = r.String()
	f.takes = keys.Text([]byte(r.String()))
	f.Need.Provider, f.Need.Label = f.Provider, f.Label
	if f.aside = r.Bool(); !f.aside {
		f.returnTo = r.String()
	}
	// A purpose of a later version cannot be judged by this one.
	return r.Err() == nil && f.Purpose >= SignIn && f.Purpose <= Link
}

// visit returns what the provider is told about f. Verifier and nonce are derived from the seed, under our
// key: nothing has to be stored to know them again, and the state alone does not give them away.
func (a *SignIns) visit(f *Flow, state string, s *session.View) *providers.Flow {
	seed := string(f.seed[:])
	verifier, nonce := f.secrets.Flow.Derive("verifier", seed), f.secrets.Flow.Derive("nonce", seed)
	v := &providers.Flow{
		RedirectURL: a.app.RedirectURI(f.Provider),
		State:       state,
		Verifier:    keys.Text(verifier[:]),
		Nonce:       keys.Text(nonce[:]),
		Scopes:      f.Need.Scopes,
		MaxAge:      f.Need.MaxAge,
		ACR:         f.Need.ACR,
	}
	if f.Purpose == Link {
		for g := range connection.GrantsOf(s) {
			if g.Provider == f.Provider && g.Label != f.Label {
				v.Prompt = "select_account" // without it the provider takes the account that is signed in there
			}
		}
	}
	if f.Purpose != StepUp {
		return v
	}
	if g, ok := connection.GrantOf(s, connection.ID(f.Provider, f.Label)); ok {
		// The new token takes the place of the old one, and has to carry its scopes. At the return, the scopes
		// must be those that were asked for, because a provider that does not say what it grants grants those:
		// a grant that came after f had left does not count. Its time is known to the second. At the start,
		// every grant counts, also one that was noted by a clock ahead of ours.
		if began := time.UnixMicro(f.started).Truncate(time.Second).Add(time.Second); !f.back || !g.Obtained.After(began) {
			v.Scopes = append(append([]string(nil), g.Token.Scopes...), connection.Missing(f.Need.Scopes, g.Token.Scopes)...)
		}
		v.Subject = g.Subject
	}
	return v
}

// ending returns how f ended, as the other tabs of the session are told.
func (f *Flow) ending(result string) session.Ending {
	m := f.secrets.Flow.Derive("public", string(f.seed[:]))
	return session.Ending{ID: keys.Text(m[:9]), Provider: f.Provider, Result: result}
}

// checkRoom refuses a link that would be one connection too many.
func (f *Flow) checkRoom(s *session.View) error {
	if f.Purpose != Link || connection.HasRoom(s, f.Provider, f.Label) {
		return nil
	}
	return reason.New(reason.Connections, nil)
}
