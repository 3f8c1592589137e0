package providers

import (
	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/idtoken"
)

// A Reidentifier is a Provider whose refreshed tokens may say anew who somebody is.
type Reidentifier interface {
	// Reidentify returns id as now has it, which [Provider.Refresh] made of was; ok is false if now says
	// nothing new. It sends nothing.
	Reidentify(id Identity, was, now *Token) (next Identity, ok bool)
}

var _ Reidentifier = (*OIDC)(nil)

// ofSignIn are claims about the sign-in, which a refresh is not: "if the ID Token contains an auth_time
// Claim, its value MUST represent the time of the original authentication". OpenID Connect Core 1.0,
// section 12.2.
var ofSignIn = []string{"auth_time", "acr", "amr"}

// Reidentify returns id with the claims of the ID token that came with now. A claim that the ID token
// before it had, and this one has not, is gone; one that only the userinfo endpoint told stays. When and how the
// person signed in does not change.
func (o *OIDC) Reidentify(id Identity, was, now *Token) (Identity, bool) {
	if now.ID == "" || now.ID == was.ID {
		return id, false
	}
	// Refresh has verified it.
	signed, err := idtoken.Unverified(now.ID)
	if sub, _ := signed.String("sub"); err != nil || id.Issuer != o.Issuer || now.Issuer != o.Issuer || sub != id.Subject {
		return id, false
	}
	claims, err := strictjson.Parse(string(id.Claims))
	if err != nil {
		claims = strictjson.Object{}
	}
	before, _ := idtoken.Unverified(was.ID) // none, if the sign-in's has no ID token any more
	for name := range before {
		delete(claims, name)
	}
	told := Identity{Issuer: id.Issuer, Subject: id.Subject, AuthTime: id.AuthTime, ACR: id.ACR}
	told.profile(signed)
	told.profile(claims)
	kept, _ := strictjson.Parse(string(id.Claims))
	claims = merged(claims, signed)
	for _, name := range ofSignIn {
		delete(claims, name)
		if v, ok := kept[name]; ok {
			claims[name] = v
		}
	}
	told.Claims = idtoken.Encode(claims)
	return told, told.Claims != nil
}
