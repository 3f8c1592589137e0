package providers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// revoke asks the endpoint to forget t: the refresh token first, for "the authorization server
// SHOULD also invalidate all access tokens based on the same authorization grant". RFC 7009, section 2.1.
func (p *party) revoke(ctx context.Context, endpoint string, t *Token) error {
	var errs []error
	for _, one := range []struct{ hint, token string }{{"refresh_token", t.Refresh}, {"access_token", t.Access}} {
		if one.token == "" {
			continue
		}
		form := url.Values{"token": {one.token}, "token_type_hint": {one.hint}}
		r, err := p.post(ctx, "revocation", endpoint, form)
		if err == nil && r.status/100 != 2 {
			err = hushed(p.refusal("revocation", r), p.secrets(form)...)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// delete is how services revoke a token that have an interface of their own for it. One that is gone
// already is no error.
func (p *party) delete(ctx context.Context, endpoint string, h http.Header, body string) error {
	r, err := p.send(ctx, "revocation", http.MethodDelete, endpoint, h, body, noRedirect)
	if err != nil {
		return err
	}
	if r.status/100 == 2 || r.status == 404 || r.status == 422 {
		return nil
	}
	return p.refusal("revocation", r)
}
