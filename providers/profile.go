package providers

import (
	"context"
	"fmt"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// userinfo reads the userinfo endpoint.
func (p *party) userinfo(ctx context.Context, endpoint, access string) (strictjson.Object, []byte, error) {
	r, err := p.Get(ctx, "userinfo", endpoint, access)
	if err != nil {
		return nil, nil, err
	}
	if r.Status != 200 {
		return nil, nil, p.refusal("userinfo", r, access)
	}
	if !r.JSON() {
		return nil, nil, r.Explain(p.badProfile("content type is not JSON"))
	}
	o, err := strictjson.Parse(string(r.Body))
	if err != nil {
		return nil, nil, fmt.Errorf("providers: %s: userinfo: %w: %w", p.Name, ErrToken, err)
	}
	return o, r.Body, nil
}

func (p *party) badProfile(why string) error {
	return fmt.Errorf("providers: %s: userinfo: %s: %w", p.Name, why, ErrToken)
}

// profile takes the standard claims over: OpenID Connect Core 1.0, section 5.1. One that is not what
// it should be is left out, and never coerced: the string "false" is not a truth value.
func (i *Identity) profile(o strictjson.Object) {
	for _, claim := range [...]struct {
		name  string
		field *string
	}{
		{"email", &i.Email}, {"name", &i.Name}, {"preferred_username", &i.Username}, {"picture", &i.Picture},
	} {
		if s, ok := o.String(claim.name); ok && *claim.field == "" && grammar.Shown(s) {
			*claim.field = s
			if claim.name == "email" {
				i.EmailVerified = o.True("email_verified")
			}
		}
	}
}
