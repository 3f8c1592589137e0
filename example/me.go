package main

import (
	"encoding/json"
	"net/http"
)

// serveMe answers with what the provider says about the person, fetched with their token by the
// client that the middleware put into the context. Require stands before it: who is signed out gets
// a problem document, and never comes here.
func (a *app) serveMe(w http.ResponseWriter, r *http.Request) {
	s := a.signedInWith(r.Context())
	me, err := s.me(r.Context())
	if err != nil {
		a.log.WarnContext(r.Context(), "userinfo", "provider", s.Name, "error", err)
		writeJSON(w, http.StatusBadGateway, "application/problem+json", map[string]any{
			"type": "about:blank", "title": "Bad Gateway", "status": http.StatusBadGateway,
			"detail": s.Label + " did not say who you are.",
		})
		return
	}
	writeJSON(w, http.StatusOK, "application/json", me)
}

func writeJSON(w http.ResponseWriter, status int, mediaType string, v any) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error is the client's end
}
