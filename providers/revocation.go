package providers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/returnleg/returnleg/providers/internal/clientauth"
	"github.com/returnleg/returnleg/providers/internal/service"
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
		r, err := p.Post(ctx, "revocation", endpoint, form)
		if err == nil && r.Status/100 != 2 {
			err = p.refusal("revocation", r, p.secrets(form)...)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// revokeBy revokes t as a service does that has an interface of its own for it, below base. A token that is gone
// already is no error.
func (p *party) revokeBy(ctx context.Context, v *service.Revocation, base string, t *Token) error {
	h := http.Header{"Accept": {v.Accept}}
	if v.Bearer {
		h.Set("Authorization", "Bearer "+t.Access)
	} else {
		p.Auth.By(clientauth.Basic).Prove(h, nil)
	}
	body := ""
	if v.Member != "" {
		b, err := json.Marshal(map[string]string{v.Member: t.Access})
		if err != nil {
			return err
		}
		body = string(b)
		h.Set("Content-Type", "application/json")
	}
	path := strings.ReplaceAll(v.Path, "{client_id}", url.PathEscape(p.Auth.ID()))
	r, err := p.Delete(ctx, "revocation", strings.TrimSuffix(base, "/")+path, h, body)
	if err != nil {
		return err
	}
	if r.Status/100 == 2 || r.Status == 404 || r.Status == 422 {
		return nil
	}
	return p.refusal("revocation", r, append(p.Auth.Secrets(), t.Access)...)
}
