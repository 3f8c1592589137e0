package providertest

import (
	"crypto/rand"
	"net/http"
	"slices"
)

// scopeText says what a scope means, for the consent page.
var scopeText = map[string]string{
	"openid":         "Know that it is you",
	"profile":        "See your name",
	"email":          "See your e-mail address",
	"offline_access": "Keep access while you are away",
	"videos":         "See and play your videos",
	"videos.edit":    "Let others watch your videos",
}

// serveConsent is where a person who has picked an account allows or denies. The request travels
// along and is judged again: nothing is kept for who only looks.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	b := s.Behavior()
	in := r.URL.Query()
	q, no := s.readRequest(in.Get("request"), b)
	if no != nil {
		s.decline(w, r, b, q, no)
		return
	}
	a, ok := s.cfg.account(in.Get("account"))
	if !ok {
		s.showSignIn(w, r, q, s.session(r))
		return
	}
	if r.Method != http.MethodPost {
		s.showConsent(w, r, q, a)
		return
	}
	// The pages send their forms to their own origin; anybody else's form is not the person's answer.
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		s.showError(w, r, http.StatusForbidden, "This answer came from another site", "")
		return
	}
	if r.PostForm.Get("decision") != "allow" {
		s.decline(w, r, b, q, &refusal{code: "access_denied", description: "The person said no"})
		return
	}
	g := s.signedIn(r, q, a)
	for _, sc := range q.scopes {
		if sc == "openid" || slices.Contains(r.PostForm["scope"], sc) {
			g.scopes = append(g.scopes, sc)
		}
	}
	g.client = q.client
	if r.PostForm.Get("remember") != "" {
		s.remember(w, g)
	}
	s.grant(w, r, b, q, g)
}

// signedIn is when and how a person signed in: in the session if it is theirs and good enough for
// q, else now, in the way that q asks for.
func (s *Server) signedIn(r *http.Request, q *authRequest, a Account) *grant {
	here := s.session(r)
	if here != nil && here.account.ID == a.ID {
		if !q.asks("login") && q.fresh(here.authTime, here.acr, s.now()) {
			return &grant{account: a, authTime: here.authTime, acr: here.acr, sid: here.sid}
		}
		return &grant{account: a, authTime: s.now(), acr: q.level(), sid: here.sid}
	}
	return &grant{account: a, authTime: s.now(), acr: q.level(), sid: "sid-" + rand.Text()}
}

// level is the first of the levels that the app asks for: everybody here can do everything.
func (q *authRequest) level() string {
	if len(q.acr) == 0 {
		return ""
	}
	return q.acr[0]
}
