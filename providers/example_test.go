package providers_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/returnleg/returnleg/providers"
)

// Any provider of OpenID Connect needs a name, its issuer and what it registered the app as.
func Example() {
	corp := &providers.OIDC{
		ID:           "corp",
		Issuer:       "https://id.example.com",
		ClientID:     "app",
		ClientSecret: "from the environment",
	}
	fmt.Println(corp.Name(), corp.Validate(), corp.ClientSecret)
	// Output: corp <nil> [redacted]
}

func ExampleGitHub() {
	github := providers.GitHub("Iv1.1234", "from the environment", "read:user")
	to, err := github.Begin(context.Background(), &providers.Flow{
		RedirectURL: "https://app.example.com/auth/github/callback",
		State:       "of the caller",
		Verifier:    "43-characters-or-more-of-which-nobody-knows",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	u, _ := url.Parse(to)
	fmt.Println(u.Host+u.Path, u.Query().Get("scope"), u.Query().Get("code_challenge_method"))
	base, origins := github.API()
	fmt.Println(base, origins)
	// Output:
	// github.com/login/oauth/authorize read:user S256
	// https://api.github.com [https://api.github.com]
}

// A service without OpenID Connect is data, and a function that finds in its answer who it is. Take
// the identifier that never changes: here a name would let the next owner of it in.
func ExampleOAuth2() {
	forge := &providers.OAuth2{
		ID:           "forge",
		ClientID:     "app",
		ClientSecret: "from the environment",
		AuthURL:      "https://forge.example.com/oauth/authorize",
		TokenURL:     "https://forge.example.com/oauth/token",
		UserInfoURL:  "https://forge.example.com/api/user",
		APIBase:      "https://forge.example.com/api/",
		Identify: func(claims json.RawMessage) (providers.Identity, error) {
			var user struct {
				ID       int64  `json:"id"`
				Username string `json:"username"`
			}
			if err := json.Unmarshal(claims, &user); err != nil || user.ID == 0 {
				return providers.Identity{}, errors.New("no user")
			}
			return providers.Identity{Subject: strconv.FormatInt(user.ID, 10), Username: user.Username}, nil
		},
	}
	fmt.Println(forge.Validate())
	forge.TokenURL = "http://forge.example.com/oauth/token"
	fmt.Println(forge.Validate())
	// Output:
	// <nil>
	// providers: forge: TokenURL: providers: insecure URL: want https for a host that is not loopback
}

func ExampleParseChallenge() {
	h := http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope", scope="videos videos.write"`}}
	if c, ok := providers.ParseChallenge(h); ok {
		fmt.Println(c.Error, c.Scopes)
	}
	// Output: insufficient_scope [videos videos.write]
}
