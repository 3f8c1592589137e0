package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// GitHub returns github.com as a provider named "github", for an OAuth app or a GitHub App. Scopes
// are those of https://docs.github.com/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps;
// none is needed to learn who somebody is. Fields may be changed, for example the URLs for an
// Enterprise Server.
//
// An identity's Subject is the numeric id of the account; a login name may change and be given to
// somebody else, and is the Username. Email is the public one and mostly empty. Sign-in takes two
// requests: GitHub does not say with the token whose it is.
func GitHub(clientID string, clientSecret Secret, scopes ...string) *OAuth2 {
	o := &OAuth2{
		ID:           "github",
		ClientID:     clientID,
		ClientSecret: clientSecret,
		// The documentation shows the secret in the form and nothing else.
		AuthMethod:  ClientSecretPost,
		AuthURL:     "https://github.com/login/oauth/authorize",
		TokenURL:    "https://github.com/login/oauth/access_token",
		UserInfoURL: "https://api.github.com/user",
		Scopes:      scopes,
		APIBase:     "https://api.github.com",
		CommaScopes: true,
		SpentCodes:  []string{"bad_refresh_token"},
		Identify:    identifyGitHub,
	}
	o.revoke = func(ctx context.Context, p *party, t *Token) error { return revokeGitHub(ctx, p, o.APIBase, t) }
	return o
}

// revokeGitHub forgets the token, not the consent: GitHub has no RFC 7009.
// https://docs.github.com/rest/apps/oauth-applications#delete-an-app-token
func revokeGitHub(ctx context.Context, p *party, base string, t *Token) error {
	body, err := json.Marshal(map[string]string{"access_token": t.Access})
	if err != nil {
		return err
	}
	h := http.Header{"Accept": {"application/vnd.github+json"}, "Content-Type": {"application/json"}}
	ClientSecretBasic.apply(h, nil, p.id, p.secret)
	return p.delete(ctx, strings.TrimSuffix(base, "/")+"/applications/"+url.PathEscape(p.id)+"/token", h, string(body))
}

func identifyGitHub(claims json.RawMessage) (Identity, error) {
	o, err := strictjson.Parse(string(claims))
	if err != nil {
		return Identity{}, err
	}
	id, ok := grammar.Digits(o["id"])
	if !ok {
		return Identity{}, errors.New("no numeric id")
	}
	i := Identity{Subject: id}
	for name, field := range map[string]*string{
		"login": &i.Username, "name": &i.Name, "email": &i.Email, "avatar_url": &i.Picture,
	} {
		if s, ok := o.String(name); ok && grammar.Shown(s) {
			*field = s
		}
	}
	return i, nil
}
