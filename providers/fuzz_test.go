package providers_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// A token answer is refused, or all of it can be used as it is: sent in a header, stored, compared.
func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		fine, `{}`, `[]`, `null`, `{"error":"invalid_grant"}`, `{"access_token":"a","access_token":"b","token_type":"bearer"}`,
		`{"access_token":"a","token_type":"bearer","expires_in":3600,"refresh_token":"r","scope":"a b","id_token":"e30.e30.e30"}`,
		`{"access_token":"a","token_type":"bearer","expires_in":1e300}`, `{"access_token":"a\r\nb","token_type":"bearer"}`,
		`{"access_token":"a","token_type":"bearer","scope":null,"expires_in":"7","refresh_token":null}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, refresh bool) {
		p, s := tokenServer(always(200, "application/json", string(body)))
		ctx := with(t.Context(), s)
		var tok *providers.Token
		var err error
		before := time.Now()
		if refresh {
			tok, err = p.Refresh(ctx, &providers.Token{Access: "old", Refresh: "old", Scopes: []string{"a"}})
		} else {
			tok, _, err = p.Finish(ctx, newFlow(), good())
		}
		if s.sent[0].Method != http.MethodPost || len(s.sent) > 2 {
			t.Fatalf("requests: got %d", len(s.sent))
		}
		if err != nil {
			if tok != nil {
				t.Error("a token and an error")
			}
			return
		}
		r, err := http.NewRequest(http.MethodGet, "https://api.example/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Authorize(r, tok); err != nil {
			t.Fatalf("Authorize: %v", err)
		}
		if strings.ContainsFunc(r.Header.Get("Authorization"), func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Error("header has odd characters")
		}
		if !tok.Expiry.IsZero() && tok.Expiry.Before(before) {
			t.Errorf("expiry: got %v", tok.Expiry)
		}
		if refresh && (tok.Refresh == "" || slices.ContainsFunc(tok.Scopes, func(s string) bool { return s != "a" })) {
			t.Errorf("refreshed: got scopes %q", tok.Scopes)
		}
		if slices.ContainsFunc(tok.Scopes, func(s string) bool { return s == "" || strings.ContainsAny(s, " \"\\\r\n") }) {
			t.Errorf("scopes: got %q", tok.Scopes)
		}
		again, err := providers.Unpack(tok.Pack())
		if err != nil || again.Access != tok.Access || again.Refresh != tok.Refresh {
			t.Errorf("Unpack: %v", err)
		}
	})
}

// No ID token but the one that was signed is accepted.
func FuzzIDToken(f *testing.F) {
	s := providertest.New(providertest.Config{Algorithm: "ES256"})
	p := newOIDC(s)
	ctx := with(f.Context(), s.Transport())
	begin := func(tb testing.TB) url.Values {
		to, err := p.Begin(ctx, newFlow())
		if err != nil {
			tb.Fatal(err)
		}
		back, err := s.Approve(ctx, nil, to, "ada")
		if err != nil {
			tb.Fatal(err)
		}
		u, err := url.Parse(back)
		if err != nil {
			tb.Fatal(err)
		}
		return u.Query()
	}
	var signed string
	s.Set(func(b *providertest.Behavior) {
		b.Claims = providertest.Without("at_hash")
		b.IDToken = func(d *draft) string {
			signed = d.JWS()
			return signed
		}
	})
	if _, _, err := p.Finish(ctx, newFlow(), begin(f)); err != nil {
		f.Fatal(err)
	}
	segments := strings.Split(signed, ".")
	for _, seed := range []string{
		signed, segments[0] + "." + segments[1] + ".", "..", "", signed + ".", signed + "=", " " + signed, strings.ToUpper(signed),
		b64(`{"alg":"none"}`) + "." + segments[1] + ".", b64(`{"alg":"HS256"}`) + "." + segments[1] + "." + segments[2],
		b64(`{"alg":"ES256","crit":["x"],"x":1}`) + "." + segments[1] + "." + segments[2], `{"payload":"","signatures":[]}`,
		b64(`{"alg":"ES256","jwk":{"kty":"EC"},"x5c":["AAAA"]}`) + ".e30.AAAA",
	} {
		f.Add(seed)
	}
	// One answer is enough: what differs is the ID token.
	answer := begin(f)
	f.Fuzz(func(t *testing.T, raw string) {
		body, err := json.Marshal(map[string]string{"access_token": "a", "token_type": "bearer", "id_token": raw})
		if err != nil {
			t.Fatal(err)
		}
		s.Set(func(b *providertest.Behavior) { b.Token = providertest.Respond(200, "application/json", string(body)) })
		tok, id, err := p.Finish(with(t.Context(), s.Transport()), newFlow(), answer)
		if err == nil && raw != signed {
			t.Fatalf("accepted %q as %s", raw, id.Subject)
		}
		if err != nil && (raw == signed || id != nil || tok != nil && tok.Subject != "") {
			t.Errorf("got %v", err)
		}
	})
}

// Metadata is refused, or sends nobody anywhere but to https, at hosts that are names.
func FuzzDiscovery(f *testing.F) {
	document := func(name, value string) []byte {
		m := map[string]any{
			"issuer": "https://idp.example", "authorization_endpoint": "https://idp.example/authorize",
			"token_endpoint": "https://idp.example/token", "jwks_uri": "https://idp.example/jwks",
		}
		if name != "" {
			m[name] = value
		}
		b, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(document("", ""))
	for _, u := range []string{
		"http://idp.example/a", "https://169.254.169.254/", "https://[::1]/", "https://0x7f000001/", "https://localhost./", "file:///x", "//x", "https://a@b/",
		"https://idp.example:6379/", "https://idp.example/#", "https://idp.example\\@evil", "HTTPS://IDP.EXAMPLE/", "https://xn--nxa/",
	} {
		f.Add(document("authorization_endpoint", u))
		f.Add(document("token_endpoint", u))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := &script{answers: map[string]func(*http.Request) *http.Response{
			"GET idp.example/.well-known/openid-configuration": always(200, "application/json", string(body)),
		}}
		p := &providers.OIDC{ID: "x", Issuer: "https://idp.example", ClientID: "app"}
		ctx := with(t.Context(), s)
		to, err := p.Begin(ctx, newFlow())
		if err != nil {
			if !errors.Is(err, providers.ErrUnavailable) && !strings.Contains(err.Error(), "flow") {
				t.Errorf("error: %v", err)
			}
			return
		}
		_, _, _ = p.Finish(ctx, newFlow(), good("iss", "https://idp.example"))
		_ = p.Revoke(ctx, &providers.Token{Access: "a"})
		urls := []string{to}
		for _, r := range s.sent {
			urls = append(urls, r.URL.String())
		}
		for _, raw := range urls {
			u, err := url.Parse(raw)
			if err != nil || u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Port() != "" && u.Port() != "443" {
				t.Fatalf("went to %q", raw)
			}
			host := strings.TrimSuffix(u.Hostname(), ".")
			if last := host[strings.LastIndexByte(host, '.')+1:]; last == "" || last[0] >= '0' && last[0] <= '9' || strings.Contains(host, ":") || strings.EqualFold(last, "localhost") {
				t.Fatalf("went to host %q", host)
			}
		}
		if q, err := url.Parse(to); err != nil || q.Query().Get("client_id") != "app" || len(q.Query()["state"]) != 1 {
			t.Errorf("authorization URL: got %q", to)
		}
	})
}

// An answer that passes has the state, the issuer and one code; nothing is sent to judge it.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"state=state-1&code=c&iss=https://id.example", "state=state-1&code=c", "state=state-1&state=x&code=c", "code=c&code=d&state=state-1",
		"error=access_denied&state=state-1&iss=https://id.example", "error=x&code=c&state=state-1", "state=state-1&code=%00", "state=state-1&code=%ff",
		"", "&&&", "state=state-1;code=c", "state=state-1&code=c&iss=https://id.example&access_token=x", "state=STATE-1&code=c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p, s := tokenServer(always(400, "application/json", "{}"))
		p.Issuer = "https://id.example"
		err = p.Check(with(t.Context(), s), newFlow(), q)
		if len(s.sent) > 0 {
			t.Fatal("something was sent")
		}
		one := func(name, want string) bool { return len(q[name]) == 1 && (want == "" || q[name][0] == want) }
		if err == nil && (!one("state", "state-1") || !one("iss", p.Issuer) || !one("code", "") || q.Get("code") == "" || q.Has("error") || q.Has("access_token")) {
			t.Errorf("accepted %q", query)
		}
		var e *providers.Error
		if errors.As(err, &e) && (!one("state", "state-1") || !one("iss", p.Issuer) || !one("error", "") || q.Has("code")) {
			t.Errorf("refusal of somebody else: %q", query)
		}
		if err != nil && e == nil && !errors.Is(err, providers.ErrAnswer) {
			t.Errorf("error: %v", err)
		}
	})
}

// A header of any content gives a challenge whose values can be asked for, or none.
func FuzzParseChallenge(f *testing.F) {
	for _, seed := range []string{
		`Bearer`, `Bearer realm="x", error="insufficient_scope", scope="a b"`, `Basic realm="a, b", Bearer error="invalid_token"`,
		`Negotiate YWJj==, DPoP algs="ES256"`, `Bearer error="insufficient_user_authentication", acr_values="a", max_age=0`, `Bearer error="\"`, `,,=,"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := providers.ParseChallenge(http.Header{"Www-Authenticate": {line}})
		if !ok {
			if c.Scheme != "" || c.Error != "" || len(c.Scopes)+len(c.ACR) > 0 {
				t.Errorf("not ok, but %+v", c)
			}
			return
		}
		if c.Scheme != "bearer" && c.Scheme != "dpop" || c.MaxAge < 0 {
			t.Errorf("got %+v", c)
		}
		for _, v := range slices.Concat(c.Scopes, c.ACR, []string{c.Error}) {
			if strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
				t.Errorf("value %q", v)
			}
		}
	})
}
