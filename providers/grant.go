package providers

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
)

// redeem trades code for tokens, with exactly one request: no answer, whatever it is, makes it send
// the code again. (It does not use the exchange of x/oauth2, which follows redirects, reads names in
// any case and guesses at what is missing.)
func (p *party) redeem(ctx context.Context, endpoint string, f *Flow, code string, asked []string) (*Token, strictjson.Object, error) {
	form := p.form("authorization_code")
	form.Set("code", code)
	form.Set("redirect_uri", f.RedirectURL)
	form.Set("code_verifier", f.Verifier)
	return p.grant(ctx, endpoint, form, asked)
}

// refresh trades the refresh token of t for tokens. The result is complete but for what an ID token adds.
func (p *party) refresh(ctx context.Context, endpoint string, t *Token) (*Token, error) {
	if t.Refresh == "" {
		return nil, ErrNoRefresh
	}
	form := p.form("refresh_token")
	form.Set("refresh_token", t.Refresh)
	next, _, err := p.grant(ctx, endpoint, form, t.Scopes)
	if err != nil {
		return nil, err
	}
	if next.Refresh == "" {
		next.Refresh = t.Refresh
	}
	// "The requested scope MUST NOT include any scope not originally granted." RFC 6749, section
	// 6: what an answer adds was never consented to.
	next.Scopes = slices.DeleteFunc(next.Scopes, func(s string) bool { return !slices.Contains(t.Scopes, s) })
	next.Issuer, next.Subject, next.Session = t.Issuer, t.Subject, t.Session
	return next, nil
}

// form returns the parameters that were declared, and the grant type.
func (p *party) form(grant string) url.Values {
	form := url.Values{}
	for name, values := range p.tokenParams {
		if !reservedToken[name] {
			form[name] = values
		}
	}
	form.Set("grant_type", grant)
	return form
}

var reservedToken = map[string]bool{
	"grant_type": true, "code": true, "redirect_uri": true, "code_verifier": true, "client_id": true,
	"client_secret": true, "refresh_token": true, "client_assertion": true, "client_assertion_type": true,
}

// grant posts form to the token endpoint and reads the tokens that come back.
func (p *party) grant(ctx context.Context, endpoint string, form url.Values, asked []string) (*Token, strictjson.Object, error) {
	r, err := p.Post(ctx, "token", endpoint, form)
	if err != nil {
		return nil, nil, err
	}
	if r.Status != 200 {
		return nil, nil, p.refusal("token", r, p.secrets(form)...)
	}
	o, err := p.rules.Members(r)
	if err != nil {
		return nil, nil, r.Explain(fmt.Errorf("providers: %s: token: answer: %w: %w", p.Name, ErrToken, err))
	}
	// Some providers say no with 200. Whatever else such an answer holds is not used.
	if denied, ok := p.rules.Denied(o); ok {
		return nil, nil, r.Explain(refused(denied, p.secrets(form)))
	}
	t, err := p.rules.Tokens(o, asked, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("providers: %s: token: %w", p.Name, err)
	}
	return (*Token)(t), o, nil
}

// secrets returns what of form nobody may see.
func (p *party) secrets(form url.Values) []string {
	return append(p.Auth.Secrets(), form.Get("code"), form.Get("refresh_token"), form.Get("code_verifier"), form.Get("token"))
}
