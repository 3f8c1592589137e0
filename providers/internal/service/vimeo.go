package service

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/clientauth"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// Vimeo is vimeo.com.
func Vimeo() OAuth2 {
	return OAuth2{
		ID:         "vimeo",
		AuthMethod: clientauth.Basic,
		AuthURL:    "https://api.vimeo.com/oauth/authorize",
		TokenURL:   "https://api.vimeo.com/oauth/access_token",
		APIBase:    "https://api.vimeo.com",
		Identify:   vimeo,
		// The token deletes itself: Vimeo has no RFC 7009.
		// https://developer.vimeo.com/api/reference/authentication-extras
		Revocation: &Revocation{Path: "/tokens", Accept: "application/json", Bearer: true},
	}
}

func vimeo(answer json.RawMessage) (Person, error) {
	o, err := strictjson.Parse(string(answer))
	if err != nil {
		return Person{}, err
	}
	user, err := strictjson.Parse(o["user"])
	if err != nil {
		return Person{}, errors.New("no user in the token answer")
	}
	uri, _ := user.String("uri")
	number, _ := strings.CutPrefix(uri, "/users/")
	id, ok := grammar.Digits(number)
	if !ok {
		return Person{}, errors.New("no number in the user's uri")
	}
	i := Person{Subject: id, Claims: json.RawMessage(o["user"])}
	if name, ok := user.String("name"); ok && grammar.Shown(name) {
		i.Name = name
	}
	return i, nil
}
