package providertest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// bearer finds the access token of a request and what it is good for, or answers with the
// challenge of RFC 6750, section 3. A token in the query or in a form is not looked at.
func (s *Server) bearer(w http.ResponseWriter, r *http.Request, scope string) (*access, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		// "If the request lacks any authentication information […], the resource server SHOULD
		// NOT include an error code": RFC 6750, section 3.1.
		challenge(w, r, http.StatusUnauthorized, "")
		return nil, false
	}
	s.mu.Lock()
	a, ok := s.access.find(s.now(), token)
	ok = ok && !a.ended
	s.mu.Unlock()
	if !ok {
		challenge(w, r, http.StatusUnauthorized, "invalid_token")
		return nil, false
	}
	if scope != "" && !slices.Contains(a.scopes, scope) {
		challenge(w, r, http.StatusForbidden, "insufficient_scope", "scope", scope)
		return nil, false
	}
	return a, true
}

// satisfied asks for a step-up if the sign-in behind a token is too weak or too old: RFC 9470, section 3.
func (s *Server) satisfied(w http.ResponseWriter, r *http.Request, a *access) bool {
	b := s.Behavior()
	var more []string
	if b.ACR != "" && a.acr != b.ACR {
		more = append(more, "acr_values", b.ACR)
	}
	if b.MaxAge > 0 && s.now().Sub(a.authTime) > b.MaxAge {
		more = append(more, "max_age", strconv.Itoa(int(b.MaxAge.Seconds())))
	}
	if more == nil {
		return true
	}
	challenge(w, r, http.StatusUnauthorized, "insufficient_user_authentication", more...)
	return false
}

// challenge refuses a request for its token, with pairs of further parameters.
func challenge(w http.ResponseWriter, r *http.Request, status int, code string, more ...string) {
	note(r, code)
	c := `Bearer realm="practice"`
	if code != "" {
		c += `, error="` + code + `"`
	}
	for i := 0; i+1 < len(more); i += 2 {
		c += `, ` + more[i] + `="` + more[i+1] + `"`
	}
	w.Header().Set("WWW-Authenticate", c)
	m := map[string]any{}
	if code != "" {
		m["error"] = code
	}
	writeJSON(w, status, m)
}
