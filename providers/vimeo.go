package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// Vimeo returns Vimeo as a provider named "vimeo". Scopes are those of
// https://developer.vimeo.com/api/authentication#supported-scopes; Vimeo takes none for "public".
//
// Vimeo's token answer says whose token it is: sign-in takes one request. An identity's Subject is
// the number in the user's URI, and its Claims are the user as the API shows it. Vimeo's tokens do
// not expire, and there is no refresh.
func Vimeo(clientID string, clientSecret Secret, scopes ...string) *OAuth2 {
	o := &OAuth2{
		ID:           "vimeo",
		ClientID:     clientID,
		ClientSecret: clientSecret,
		AuthMethod:   ClientSecretBasic,
		AuthURL:      "https://api.vimeo.com/oauth/authorize",
		TokenURL:     "https://api.vimeo.com/oauth/access_token",
		Scopes:       scopes,
		APIBase:      "https://api.vimeo.com",
		Identify:     identifyVimeo,
	}
	o.revoke = func(ctx context.Context, p *party, t *Token) error { return revokeVimeo(ctx, p, o.APIBase, t) }
	return o
}

// revokeVimeo has the token delete itself: Vimeo has no RFC 7009.
// https://developer.vimeo.com/api/reference/authentication-extras
func revokeVimeo(ctx context.Context, p *party, base string, t *Token) error {
	h := http.Header{"Accept": {"application/json"}, "Authorization": {"Bearer " + t.Access}}
	return p.delete(ctx, strings.TrimSuffix(base, "/")+"/tokens", h, "")
}

func identifyVimeo(answer json.RawMessage) (Identity, error) {
	o, err := strictjson.Parse(string(answer))
	if err != nil {
		return Identity{}, err
	}
	user, err := strictjson.Parse(o["user"])
	if err != nil {
		return Identity{}, errors.New("no user in the token answer")
	}
	uri, _ := user.String("uri")
	number, _ := strings.CutPrefix(uri, "/users/")
	id, ok := grammar.Digits(number)
	if !ok {
		return Identity{}, errors.New("no number in the user's uri")
	}
	i := Identity{Subject: id, Claims: json.RawMessage(o["user"])}
	if name, ok := user.String("name"); ok && grammar.Shown(name) {
		i.Name = name
	}
	return i, nil
}
