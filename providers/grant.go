package providers

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/strictjson"
	"github.com/returnleg/returnleg/providers/internal/grammar"
)

// maxLifetime is what an absurd expires_in is cut to.
const maxLifetime = 10 * 365 * 24 * time.Hour

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
	r, err := p.post(ctx, "token", endpoint, form)
	if err != nil {
		return nil, nil, err
	}
	if r.status != 200 {
		return nil, nil, hushed(p.refusal("token", r), p.secrets(form)...)
	}
	o, err := p.object(r)
	if err != nil {
		return nil, nil, r.explain(p.malformed("answer", err))
	}
	// Some providers say no with 200. Whatever else such an answer holds is not used.
	if !o.Absent("error") {
		e := &Error{Provider: p.name, Endpoint: "token", Status: r.status}
		code, _ := o.String("error")
		e.fill(p, code, o)
		return nil, nil, hushed(r.explain(e), p.secrets(form)...)
	}
	t, err := p.read(o, asked, time.Now())
	if err != nil {
		return nil, nil, err
	}
	return t, o, nil
}

// secrets returns what of form nobody may see.
func (p *party) secrets(form url.Values) []string {
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(p.id) + ":" + url.QueryEscape(string(p.secret))))
	return []string{string(p.secret), basic, form.Get("code"), form.Get("refresh_token"), form.Get("code_verifier"), form.Get("token")}
}

// object returns the members of an answer in one of the formats that this provider answers in.
func (p *party) object(r *reply) (strictjson.Object, error) {
	if isJSON(r.header) {
		return strictjson.Parse(string(r.body))
	}
	if !p.tokenForm || !isForm(r.header) {
		return nil, fmt.Errorf("content type is not JSON")
	}
	form, err := url.ParseQuery(string(r.body))
	if err != nil {
		return nil, fmt.Errorf("not a form")
	}
	o := make(strictjson.Object, len(form))
	for name, values := range form {
		if len(values) != 1 {
			return nil, strictjson.ErrDuplicate
		}
		b, err := json.Marshal(values[0])
		if err != nil {
			return nil, err
		}
		o[name] = string(b)
	}
	return o, nil
}

// read judges the members of a token answer: RFC 6749, section 5.1.
func (p *party) read(o strictjson.Object, asked []string, now time.Time) (*Token, error) {
	t := &Token{}
	var ok bool
	if t.Access, ok = o.String("access_token"); !ok || !grammar.Token(t.Access, '!') {
		return nil, p.malformed("access_token", nil)
	}
	// "The client MUST NOT use an access token if it does not understand the token type." RFC
	// 6749, section 7.1. The value is case insensitive.
	if t.Type, ok = o.String("token_type"); !ok || !strings.EqualFold(t.Type, "bearer") {
		return nil, p.malformed("token_type", nil)
	}
	if !o.Absent("refresh_token") {
		if t.Refresh, ok = o.String("refresh_token"); !ok || t.Refresh != "" && !grammar.Token(t.Refresh, ' ') {
			return nil, p.malformed("refresh_token", nil)
		}
	}
	if !o.Absent("id_token") {
		if t.ID, ok = o.String("id_token"); !ok {
			return nil, p.malformed("id_token", nil)
		}
	}
	lifetime, ok := expiresIn(o)
	if !ok {
		return nil, p.malformed("expires_in", nil)
	}
	if lifetime > 0 {
		t.Expiry = now.Add(lifetime)
	}
	// "OPTIONAL, if identical to the scope requested by the client; otherwise, REQUIRED."
	t.Scopes = slices.Clone(asked)
	if !o.Absent("scope") {
		scope, ok := o.String("scope")
		if !ok {
			return nil, p.malformed("scope", nil)
		}
		if t.Scopes, ok = p.scopes(scope); !ok {
			return nil, p.malformed("scope", nil)
		}
	}
	return t, nil
}

func (p *party) malformed(what string, err error) error {
	if err != nil {
		return fmt.Errorf("providers: %s: token: %s: %w: %w", p.name, what, ErrToken, err)
	}
	return fmt.Errorf("providers: %s: token: %s: %w", p.name, what, ErrToken)
}

// scopes splits what was granted.
func (p *party) scopes(s string) (list []string, ok bool) {
	if p.commaScopes {
		s = strings.ReplaceAll(s, ",", " ")
	}
	for scope := range strings.SplitSeq(s, " ") {
		if scope == "" || slices.Contains(list, scope) {
			continue
		}
		if !grammar.Scope(scope) {
			return nil, false
		}
		list = append(list, scope)
	}
	return list, true
}

// expiresIn returns the lifetime of an access token, 0 if it is unknown. Providers write it as a
// number or a string, with fractions, or as 0 or less for "does not say": none of these may become
// a token that has always just expired.
func expiresIn(o strictjson.Object) (time.Duration, bool) {
	if o.Absent("expires_in") {
		return 0, true
	}
	n, ok := o.Number("expires_in")
	if s, isString := o.String("expires_in"); isString {
		var err error
		n, err = strconv.ParseFloat(s, 64)
		ok = err == nil && !math.IsNaN(n)
	}
	if !ok {
		return 0, false
	}
	if n < 1 {
		return 0, true
	}
	if n > maxLifetime.Seconds() {
		return maxLifetime, true
	}
	return time.Duration(math.Floor(n)) * time.Second, true
}
