package providertest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cookieName has the port in it: cookies ignore ports, and two providers may share a host.
func (s *Server) cookieName() string {
	u, _ := url.Parse(s.cfg.Issuer) // New has parsed it
	return "practice-idp-" + or(u.Port(), u.Scheme)
}

// session finds who is remembered in this browser; nil: nobody.
func (s *Server) session(r *http.Request) *session {
	c, err := r.Cookie(s.cookieName())
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	here, ok := s.sessions.find(s.now(), c.Value)
	if !ok {
		return nil
	}
	found := *here
	return &found
}

// remember makes this browser know an account, and what it allowed.
func (s *Server) remember(w http.ResponseWriter, g *grant) {
	s.mu.Lock()
	next := &session{
		id: rand.Text(), account: g.account, authTime: g.authTime, acr: g.acr, sid: g.sid,
		consent: map[string][]string{g.client.ID: g.scopes},
	}
	for _, r := range s.sessions.rows {
		old := r.value
		if old.sid != g.sid || old.account.ID != g.account.ID {
			continue
		}
		for client, scopes := range old.consent {
			next.consent[client] = append(slices.Clone(next.consent[client]), scopes...)
		}
		s.sessions.drop(old.id)
	}
	s.sessions.put(s.now(), next.id, next, s.cfg.SessionTTL)
	s.mu.Unlock()
	s.setCookie(w, next.id, int(s.cfg.SessionTTL/time.Second))
}

func (s *Server) setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: value, Path: s.base + "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(s.cfg.Issuer, "https:"),
	})
}

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	if here := s.session(r); here != nil {
		s.mu.Lock()
		s.sessions.drop(here.id)
		s.mu.Unlock()
	}
	s.setCookie(w, "", -1)
}
