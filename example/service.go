package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// A service is a provider, and what the app knows about the API behind it.
type service struct {
	Name  string // of the provider
	Label string // as people know it

	provider providers.Provider
	profile  string // URL of who the token is for, relative to the API's base or not; "": its metadata says
	videos   string // URL of the person's videos; "": it has none
	scope    string // that videos needs
	share    string // scope that letting others watch them needs; "": there is no such thing
	pictures string // origin of the videos' pictures; "": they are drawn here
}

func github(id, secret string) service {
	return service{Name: "github", Label: "GitHub", provider: providers.GitHub(id, providers.Secret(secret)), profile: "/user"}
}

func google(id, secret string) service {
	return service{
		Name: "google", Label: "Google", provider: providers.Google(id, providers.Secret(secret)),
		profile: "/oauth2/v3/userinfo",
	}
}

func vimeo(id, secret string) service {
	return service{
		Name: "vimeo", Label: "Vimeo", provider: providers.Vimeo(id, providers.Secret(secret), "public", "private"),
		profile: "/me", videos: "/me/videos", scope: "private", share: "edit", pictures: "https://i.vimeocdn.com",
	}
}

// openID returns a provider that is known by its issuer only. Where its userinfo is stands in its
// metadata, which it reads when it is first used.
func openID(issuer, id, secret string, scopes []string) service {
	return service{
		Name: "oidc", Label: hostOf(issuer),
		provider: &providers.OIDC{
			ID: "oidc", Issuer: issuer, ClientID: id, ClientSecret: providers.Secret(secret), Scopes: scopes,
			// Many providers put the name there only: OpenID Connect Core 1.0, section 5.4.
			UserInfo: true,
		},
	}
}

// An apiError is an answer of a provider's API that is not 200.
type apiError int

func (e apiError) Error() string { return fmt.Sprintf("the API answered %d", int(e)) }

const maxAnswer = 1 << 20

// fetch returns the body of a resource, which is at most 1 MiB. For a resource of a person's, c is
// the client of their request: [middleware.Client].
func fetch(ctx context.Context, c *http.Client, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, apiError(resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, errors.New("the API answered with more than 1 MiB")
	}
	return b, nil
}

// me returns what the provider says about the person of ctx: a JSON object.
func (s *service) me(ctx context.Context) (map[string]any, error) {
	address := s.profile
	if i, ok := s.provider.(providers.Informer); ok && address == "" {
		var err error
		if address, err = i.UserInfoURL(ctx); err != nil {
			return nil, err
		}
	}
	b, err := fetch(ctx, middleware.Client(ctx, s.Name), address)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return nil, errors.New("the userinfo is not a JSON object")
	}
	return m, nil
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return address
	}
	return u.Hostname()
}
