package providertest

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/returnleg/returnleg/providers"
)

// OIDC returns a provider that signs in here by OpenID Connect, as the first client of the [Config].
// Its fields may be changed until it is first used.
func (s *Server) OIDC(id string) *providers.OIDC {
	c := s.firstClient()
	return &providers.OIDC{
		ID: id, Issuer: s.cfg.Issuer, ClientID: c.ID, ClientSecret: providers.Secret(c.Secret),
		AuthMethod: providers.AuthMethod(c.Auth), Scopes: []string{"openid", "profile", "email", "videos"},
		APIBase: s.URL("/"),
	}
}

// OAuth2 returns a provider that signs in here by OAuth 2.0 alone, as the first client of the
// [Config], and learns who came from the API's /me. It expects an iss in the answer unless the
// behavior of this moment omits it. Its fields may be changed until it is first used.
func (s *Server) OAuth2(id string) *providers.OAuth2 {
	c := s.firstClient()
	p := &providers.OAuth2{
		ID: id, ClientID: c.ID, ClientSecret: providers.Secret(c.Secret), AuthMethod: providers.AuthMethod(c.Auth),
		AuthURL: s.URL("/authorize"), TokenURL: s.URL("/token"), UserInfoURL: s.URL("/me"), RevokeURL: s.URL("/revoke"),
		Scopes: []string{"videos"}, Identify: identify, APIBase: s.URL("/"),
	}
	if !s.Behavior().OmitIss {
		p.Issuer = s.cfg.Issuer
	}
	return p
}

func (s *Server) firstClient() Client {
	if len(s.cfg.Clients) == 0 {
		return Client{}
	}
	return s.cfg.Clients[0]
}

// identify reads the answer of /me.
func identify(claims json.RawMessage) (providers.Identity, error) {
	var me struct{ URI, Name string }
	if err := json.Unmarshal(claims, &me); err != nil {
		return providers.Identity{}, errors.New("providertest: /me: malformed")
	}
	user, ok := strings.CutPrefix(me.URI, "/users/")
	if !ok || user == "" {
		return providers.Identity{}, errors.New("providertest: /me: no user")
	}
	return providers.Identity{Subject: user, Username: user, Name: me.Name}, nil
}
