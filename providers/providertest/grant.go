package providertest

import (
	"crypto/rand"
	"slices"
	"time"
)

// A grant is what a person allowed an app: every code and token that comes of one Allow shares it.
type grant struct {
	client   Client
	account  Account
	scopes   []string
	nonce    string
	authTime time.Time
	acr      string
	sid      string
	ended    bool // nothing of it is good any more
}

// A code stays until it expires, used or not: the second use must be noticed.
type code struct {
	*grant
	redirect  string
	challenge string // PKCE; "": none
	used      bool
}

type access struct {
	*grant
	scopes []string // at most the grant's
	token  string
}

type refresh struct {
	*grant
	used   bool
	usedAt time.Time
}

// A session is a person whom this browser is remembered for.
type session struct {
	id       string
	account  Account
	authTime time.Time
	acr      string
	sid      string
	consent  map[string][]string // client to scopes
}

func (s *session) name() string {
	if s == nil {
		return ""
	}
	return s.account.Name
}

func (s *session) allows(client string, scopes []string) bool {
	for _, want := range scopes {
		if !slices.Contains(s.consent[client], want) {
			return false
		}
	}
	return true
}

// issueCode makes a code for what was allowed. The caller has locked s.
func (s *Server) issueCode(g *grant, q *authRequest) string {
	c := "code-" + rand.Text()
	s.codes.put(s.now(), c, &code{grant: g, redirect: q.redirect, challenge: q.challenge}, s.cfg.CodeTTL)
	s.ledger.addCode(Code{Code: c, Client: g.client.ID, Account: g.account.ID, Issued: s.now()})
	return c
}

// issueAccess makes an access token. The caller has locked s.
func (s *Server) issueAccess(g *grant, scopes []string, ttl time.Duration) *access {
	a := &access{grant: g, scopes: scopes, token: "access-" + rand.Text()}
	s.access.put(s.now(), a.token, a, ttl)
	s.ledger.Issued++
	return a
}

// issueRefresh makes a refresh token. The caller has locked s.
func (s *Server) issueRefresh(g *grant) string {
	t := "refresh-" + rand.Text()
	s.refresh.put(s.now(), t, &refresh{grant: g}, s.cfg.RefreshTTL)
	s.ledger.addRefresh(Refresh{Token: t, Client: g.client.ID, Account: g.account.ID, Issued: s.now()})
	return t
}

// end ends a grant for misuse. The caller has locked s.
func (s *Server) end(g *grant) {
	if !g.ended {
		g.ended = true
		s.ledger.FamiliesRevoked++
	}
}

// EndGrants revokes everything that was granted to an account, as a person does on a provider's
// "connected apps" page; of every account for "". The next refresh is answered with invalid_grant.
func (s *Server) EndGrants(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*grant
	for _, r := range s.codes.rows {
		all = append(all, r.value.grant)
	}
	for _, r := range s.refresh.rows {
		all = append(all, r.value.grant)
	}
	for _, r := range s.access.rows {
		all = append(all, r.value.grant)
	}
	for _, g := range all {
		if account == "" || g.account.ID == account {
			g.ended = true
		}
	}
}

// ExpireAccess makes every access token that was issued so far invalid, before its time.
func (s *Server) ExpireAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access = table[*access]{max: s.cfg.Limit}
}
