package providertest

import (
	"maps"
	"net/http"
)

// serveUserInfo is the userinfo endpoint: OpenID Connect Core 1.0, section 5.3.
func (s *Server) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	a, ok := s.bearer(w, r, "openid")
	if !ok {
		return
	}
	m := map[string]any{"sub": a.account.Subject}
	maps.Copy(m, person(a.account, a.scopes))
	if f := s.Behavior().Person; f != nil {
		f(a.account, m)
	}
	writeJSON(w, http.StatusOK, m)
}
