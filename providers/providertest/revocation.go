package providertest

import (
	"net/http"
	"strings"
)

// serveRevoke is the revocation endpoint: RFC 7009. A refresh token takes its grant with it.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	client, ok := s.tokenCaller(w, r)
	if !ok {
		return
	}
	token := r.PostForm.Get("token")
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.access.find(s.now(), token); ok && a.client.ID == client.ID {
		s.access.drop(token)
		s.ledger.Revoked++
	}
	if t, ok := s.refresh.find(s.now(), token); ok && t.client.ID == client.ID && !t.ended {
		t.ended = true
		s.ledger.Revoked++
	}
	// "The authorization server responds with HTTP status code 200 if the token has been revoked
	// successfully or if the client submitted an invalid token": section 2.2.
	w.WriteHeader(http.StatusOK)
}

// serveIntrospect is the introspection endpoint: RFC 7662.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	client, ok := s.tokenCaller(w, r)
	if !ok {
		return
	}
	token := r.PostForm.Get("token")
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.access.find(s.now(), token)
	if !ok || a.ended || a.client.ID != client.ID {
		writeJSON(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"active": true, "scope": strings.Join(a.scopes, " "), "client_id": client.ID, "sub": a.account.Subject,
		"iss": s.cfg.Issuer, "token_type": "Bearer", "exp": s.access.rows[token].expires.Unix(),
		"auth_time": a.authTime.Unix(), "acr": a.acr,
	})
}

func (s *Server) tokenCaller(w http.ResponseWriter, r *http.Request) (Client, bool) {
	if !allow(w, r, http.MethodPost) {
		return Client{}, false
	}
	if name, twice := repeated(r.PostForm); twice {
		refuse(w, r, http.StatusBadRequest, "invalid_request", name+" is there twice")
		return Client{}, false
	}
	return s.authenticate(w, r)
}
