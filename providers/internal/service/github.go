package service

import (
	"encoding/json"
	"errors"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/clientauth"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// GitHub is github.com.
func GitHub() OAuth2 {
	return OAuth2{
		ID: "github",
		// The documentation shows the secret in the form and nothing else.
		AuthMethod:  clientauth.Post,
		AuthURL:     "https://github.com/login/oauth/authorize",
		TokenURL:    "https://github.com/login/oauth/access_token",
		UserInfoURL: "https://api.github.com/user",
		APIBase:     "https://api.github.com",
		CommaScopes: true,
		SpentCodes:  []string{"bad_refresh_token"},
		Identify:    github,
		// It forgets the token, not the consent: GitHub has no RFC 7009.
		// https://docs.github.com/rest/apps/oauth-applications#delete-an-app-token
		Revocation: &Revocation{
			Path:   "/applications/{client_id}/token",
			Accept: "application/vnd.github+json",
			Member: "access_token",
		},
	}
}

func github(claims json.RawMessage) (Person, error) {
	o, err := strictjson.Parse(string(claims))
	if err != nil {
		return Person{}, err
	}
	id, ok := grammar.Digits(o["id"])
	if !ok {
		return Person{}, errors.New("no numeric id")
	}
	i := Person{Subject: id}
	for name, field := range map[string]*string{
		"login": &i.Username, "name": &i.Name, "email": &i.Email, "avatar_url": &i.Picture,
	} {
		if s, ok := o.String(name); ok && grammar.Shown(s) {
			*field = s
		}
	}
	return i, nil
}
