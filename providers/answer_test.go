package providers_test

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Rows of group B: what Check refuses is never sent anywhere, and Finish refuses it too.
func TestCheck(t *testing.T) {
	long := strings.Repeat("c", 64<<10)
	for _, row := range []struct {
		name   string
		change func(url.Values)
		want   error
	}{
		{"good", func(url.Values) {}, nil},
		{"parameters of no meaning", func(q url.Values) { q.Set("session_state", "abc"); q.Set("scope", "openid") }, nil},
		{"16, FA19 state missing", func(q url.Values) { q.Del("state") }, providers.ErrAnswer},
		{"16 state empty", func(q url.Values) { q.Set("state", "") }, providers.ErrAnswer},
		{"16, FA18 state of another flow", func(q url.Values) { q.Set("state", "state-2") }, providers.ErrAnswer},
		{"16 state of 1 MB", func(q url.Values) { q.Set("state", strings.Repeat("s", 1<<20)) }, providers.ErrAnswer},
		{"16 state with NUL", func(q url.Values) { q.Set("state", "state-1\x00") }, providers.ErrAnswer},
		{"16 state with CRLF", func(q url.Values) { q.Set("state", "state-1\r\n") }, providers.ErrAnswer},
		{"16 state not UTF-8", func(q url.Values) { q.Set("state", "state-1\xff") }, providers.ErrAnswer},
		{"17 state twice, good first", func(q url.Values) { q.Add("state", "bad") }, providers.ErrAnswer},
		{"17 state twice, good last", func(q url.Values) { q["state"] = []string{"bad", "state-1"} }, providers.ErrAnswer},
		{"17 state twice, equal", func(q url.Values) { q.Add("state", "state-1") }, providers.ErrAnswer},
		{"17 code twice", func(q url.Values) { q.Add("code", "code-2") }, providers.ErrAnswer},
		{"17 iss twice", func(q url.Values) { q.Add("iss", "https://idp.example") }, providers.ErrAnswer},
		{"17 error twice", func(q url.Values) { q.Del("code"); q["error"] = []string{"access_denied", "login_required"} }, providers.ErrAnswer},
		{"17 anything twice", func(q url.Values) { q["x"] = []string{"1", "2"} }, providers.ErrAnswer},
		{"20 code and error", func(q url.Values) { q.Set("error", "access_denied") }, providers.ErrAnswer},
		{"20 neither", func(q url.Values) { q.Del("code") }, providers.ErrAnswer},
		{"21 empty error", func(q url.Values) { q.Del("code"); q.Set("error", "") }, providers.ErrAnswer},
		{"24, FA17 iss missing", func(q url.Values) { q.Del("iss") }, providers.ErrAnswer},
		{"25, FA16, 107 iss of another", func(q url.Values) { q.Set("iss", "https://other.example") }, providers.ErrAnswer},
		{"25 iss with a slash", func(q url.Values) { q.Set("iss", "https://idp.example/") }, providers.ErrAnswer},
		{"25 iss in another case", func(q url.Values) { q.Set("iss", "https://IDP.example") }, providers.ErrAnswer},
		{"25 iss escaped", func(q url.Values) { q.Set("iss", "https://idp%2eexample") }, providers.ErrAnswer},
		{"25 iss of http", func(q url.Values) { q.Set("iss", "http://idp.example") }, providers.ErrAnswer},
		{"25 iss empty", func(q url.Values) { q.Set("iss", "") }, providers.ErrAnswer},
		{"25 error of another issuer", func(q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("iss", "https://other.example")
		}, providers.ErrAnswer},
		{"26 access_token", func(q url.Values) { q.Set("access_token", "abc") }, providers.ErrAnswer},
		{"26 id_token", func(q url.Values) { q.Set("id_token", "e30.e30.e30") }, providers.ErrAnswer},
		{"26 JARM", func(q url.Values) { q.Set("response", "e30.e30.e30") }, providers.ErrAnswer},
		{"27 code empty", func(q url.Values) { q.Set("code", "") }, providers.ErrAnswer},
		{"27 code of 64 KB", func(q url.Values) { q.Set("code", long) }, providers.ErrAnswer},
		{"27 code with CRLF", func(q url.Values) { q.Set("code", "a\r\nb") }, providers.ErrAnswer},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{})
			a := v.answer()
			row.change(a)
			err := v.p.Check(v.ctx, v.f, a)
			is(t, err, row.want)
			v.requests("token", 0)
			_, _, err = v.p.Finish(v.ctx, v.f, a)
			is(t, err, row.want)
			if row.want == nil {
				return
			}
			v.requests("token", 0)
			v.requests("jwks", 0)
		})
	}
}

// Row 34: what was lost between start and answer is missed before anything is sent.
func TestCheck_lost(t *testing.T) {
	for name, lose := range map[string]func(*providers.Flow){
		"34 state":        func(f *providers.Flow) { f.State = "" },
		"34 nonce":        func(f *providers.Flow) { f.Nonce = "" },
		"34 verifier":     func(f *providers.Flow) { f.Verifier = "" },
		"34 redirect URL": func(f *providers.Flow) { f.RedirectURL = "" },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{})
			a := v.answer()
			lose(v.f)
			if v.f.State == "" {
				a.Set("state", "")
			}
			if err := v.p.Check(v.ctx, v.f, a); err == nil {
				t.Error("Check passes")
			}
			if _, _, err := v.p.Finish(v.ctx, v.f, a); err == nil {
				t.Error("Finish passes")
			}
			v.requests("token", 0)
		})
	}
}

func TestCheck_issuer(t *testing.T) {
	for _, row := range []struct {
		name   string
		issuer string
		answer url.Values
		want   error
	}{
		{"not known, not there", "", good(), nil},
		{"not known, there", "", good("iss", "https://whoever.example"), nil}, // nothing to compare it with
		{"known and there", "https://id.example", good("iss", "https://id.example"), nil},
		{"24 known, not there", "https://id.example", good(), providers.ErrAnswer},
		{"25 another", "https://id.example", good("iss", "https://id.example/"), providers.ErrAnswer},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", "{}"))
			p.Issuer = row.issuer
			is(t, p.Check(with(t.Context(), s), newFlow(), row.answer), row.want)
			if len(s.sent) > 0 {
				t.Error("Check sent something")
			}
		})
	}
}

func TestCheck_refusal(t *testing.T) {
	for _, row := range []struct{ name, code, description, wantCode, wantDescription string }{
		{"21 access_denied", "access_denied", "No, thanks", "access_denied", "No, thanks"},
		{"21 login_required", "login_required", "", "login_required", ""},
		{"21 server_error", "server_error", "", "server_error", ""},
		{"21 one of its own", "too-late", "", "too-late", ""},
		{"description is no page", "access_denied", "a\u202eb\u200b", "access_denied", "ab"},
		{"code is capped", strings.Repeat("e", 100), strings.Repeat("é", 400), strings.Repeat("e", 64), strings.Repeat("é", 256)},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{Answer: providertest.AnswerError(row.code, row.description)})
			e := refused(t, v.p.Check(v.ctx, v.f, v.answer()), row.wantCode, 0)
			if e.Endpoint != "authorization" || e.Provider != "practice" || e.Description != row.wantDescription {
				t.Errorf("error: got %q of %q with %q", e.Endpoint, e.Provider, e.Description)
			}
			if errors.Is(e, providers.ErrUnavailable) || errors.Is(e, providers.ErrAnswer) {
				t.Error("a refusal must not look like something else")
			}
			if row.description != "" && strings.Contains(e.Error(), row.description) {
				t.Error("the error's text has the provider's")
			}
			v.requests("token", 0)
		})
	}
}

func manyScopes(n int) []string {
	scopes := make([]string, n)
	for i := range scopes {
		scopes[i] = "videos.write." + strconv.Itoa(i)
	}
	return scopes
}

func TestBegin(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(*providers.OAuth2, *providers.Flow)
		ok   bool
	}{
		{"good", func(*providers.OAuth2, *providers.Flow) {}, true},
		{"loopback redirect", func(_ *providers.OAuth2, f *providers.Flow) { f.RedirectURL = "http://127.0.0.1:8080/cb" }, true},
		{"no state", func(_ *providers.OAuth2, f *providers.Flow) { f.State = "" }, false},
		{"3 no verifier", func(_ *providers.OAuth2, f *providers.Flow) { f.Verifier = "" }, false},
		{"3 verifier of 42", func(_ *providers.OAuth2, f *providers.Flow) { f.Verifier = verifier[1:] }, false},
		{"3 verifier of 129", func(_ *providers.OAuth2, f *providers.Flow) { f.Verifier = strings.Repeat("v", 129) }, false},
		{"3 verifier with +", func(_ *providers.OAuth2, f *providers.Flow) { f.Verifier = verifier[1:] + "+" }, false},
		{"13 200 scopes", func(_ *providers.OAuth2, f *providers.Flow) { f.Scopes = manyScopes(200) }, false},
		{"scope with a space", func(_ *providers.OAuth2, f *providers.Flow) { f.Scopes = []string{"a b"} }, false},
		{"redirect is relative", func(_ *providers.OAuth2, f *providers.Flow) { f.RedirectURL = "/cb" }, false},
		{"30 redirect is plain http", func(_ *providers.OAuth2, f *providers.Flow) { f.RedirectURL = "http://app.example/cb" }, false},
		{"ACR of a protocol without", func(_ *providers.OAuth2, f *providers.Flow) { f.ACR = []string{"gold"} }, false},
		{"MaxAge of a protocol without", func(_ *providers.OAuth2, f *providers.Flow) { f.MaxAge = time.Hour }, false},
		{"64 endpoint is plain http", func(p *providers.OAuth2, _ *providers.Flow) { p.AuthURL = "http://id.example/authorize" }, false},
		{"endpoint has a fragment", func(p *providers.OAuth2, _ *providers.Flow) { p.AuthURL = "https://id.example/authorize#" }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", "{}"))
			f := newFlow()
			row.set(p, f)
			to, err := p.Begin(with(t.Context(), s), f)
			if (err == nil) != row.ok || (to != "") != row.ok {
				t.Errorf("Begin: got %v and an URL of %d bytes, want success: %v", err, len(to), row.ok)
			}
			if len(s.sent) > 0 {
				t.Error("Begin sent something")
			}
		})
	}
}

func TestBegin_nonce(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	for _, nonce := range []string{"", strings.Repeat("n", 65)} { // 13
		v.f.Nonce = nonce
		if _, err := v.p.Begin(v.ctx, v.f); err == nil {
			t.Errorf("nonce of %d characters is accepted", len(nonce))
		}
	}
}

// Row 4: what the app or the configuration declares never replaces, repeats or adds to the protocol.
func TestBegin_declared(t *testing.T) {
	p, s := tokenServer(always(200, "application/json", "{}"))
	p.AuthURL = "https://id.example/authorize?tenant=1&client_id=evil"
	p.AuthParams = url.Values{"audience": {"a", "b"}, "prompt": {"consent"}}
	p.ResponseMode = "form_post"
	f := newFlow()
	f.Prompt, f.LoginHint = "login", "ada"
	f.Extra = url.Values{
		"state": {"evil"}, "redirect_uri": {"https://evil.example"}, "response_type": {"token"}, "scope": {"admin"},
		"request_uri": {"https://evil.example"}, "request": {"e30"}, "code_challenge_method": {"plain"}, "nonce": {"evil"},
		"response_mode": {"fragment"}, "client_id": {"evil"}, "max_age": {"9"}, "acr_values": {"x"}, "login_hint": {"eve"}, "hd": {"example.com"},
	}
	to, err := p.Begin(with(t.Context(), s), f)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"tenant": {"1"}, "audience": {"a", "b"}, "hd": {"example.com"}, "prompt": {"login"}, "login_hint": {"ada"},
		"response_type": {"code"}, "client_id": {"app"}, "redirect_uri": {callback}, "state": {"state-1"}, "response_mode": {"form_post"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	if got := u.Query(); got.Encode() != want.Encode() {
		t.Errorf("parameters:\n got %s\nwant %s", got.Encode(), want.Encode())
	}
}

func TestValidate(t *testing.T) {
	type fields = providers.OAuth2
	for _, row := range []struct {
		name string
		set  func(*fields)
		want string // in the error; "" is none
	}{
		{"good", func(*fields) {}, ""},
		{"no ID", func(p *fields) { p.ID = "" }, "ID"},
		{"ID in upper case", func(p *fields) { p.ID = "GitHub" }, "ID"},
		{"ID of 33", func(p *fields) { p.ID = strings.Repeat("a", 33) }, "ID"},
		{"ID with a slash", func(p *fields) { p.ID = "a/b" }, "ID"},
		{"no ClientID", func(p *fields) { p.ClientID = "" }, "ClientID"},
		{"no AuthURL", func(p *fields) { p.AuthURL = "" }, "AuthURL"},
		{"64 TokenURL is plain http", func(p *fields) { p.TokenURL = "http://id.example/token" }, "TokenURL"},
		{"loopback", func(p *fields) { p.TokenURL = "http://[::1]:8080/token" }, ""},
		{"a name that looks like loopback", func(p *fields) { p.TokenURL = "http://127.0.0.1.example/token" }, "TokenURL"},
		{"localhost with a dot", func(p *fields) { p.TokenURL = "http://localhost./token" }, "TokenURL"},
		{"password in TokenURL", func(p *fields) { p.TokenURL = "https://a:b@id.example/token" }, "TokenURL"},
		{"another scheme", func(p *fields) { p.RevokeURL = "gopher://id.example/revoke" }, "RevokeURL"},
		{"nobody is identified", func(p *fields) { p.UserInfoURL = "" }, "Identify"},
		{"AuthMethod unknown", func(p *fields) { p.AuthMethod = "guess" }, "AuthMethod"},
		{"AuthMethod without a secret", func(p *fields) { p.AuthMethod, p.ClientSecret = providers.ClientSecretPost, "" }, "ClientSecret"},
		{"secret that is not sent", func(p *fields) { p.AuthMethod = providers.None }, "ClientSecret"},
		{"AuthParams of the protocol", func(p *fields) { p.AuthParams = url.Values{"redirect_uri": {"x"}} }, "redirect_uri"},
		{"TokenParams of the protocol", func(p *fields) { p.TokenParams = url.Values{"code": {"x"}} }, "code"},
		{"ResponseMode fragment", func(p *fields) { p.ResponseMode = "fragment" }, "ResponseMode"},
		{"scope with a space", func(p *fields) { p.Scopes = []string{"a b"} }, "Scopes"},
		{"API is plain http", func(p *fields) { p.APIBase = "http://api.example" }, "APIBase"},
		{"origin with a path", func(p *fields) { p.APIOrigins = []string{"https://api.example/v1"} }, "APIOrigins"},
		{"negative Timeout", func(p *fields) { p.Timeout = -1 }, "Timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", "{}"))
			row.set(p)
			err := p.Validate()
			if row.want == "" {
				is(t, err, nil)
				return
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("Validate: got %v, want a mistake of %s", err, row.want)
			}
			// Nothing is sent by what is not valid.
			ctx := with(t.Context(), s)
			_, beginErr := p.Begin(ctx, newFlow())
			_, _, finishErr := p.Finish(ctx, newFlow(), good())
			_, refreshErr := p.Refresh(ctx, &providers.Token{Refresh: "r"})
			if beginErr == nil || finishErr == nil || refreshErr == nil || p.Check(ctx, newFlow(), good()) == nil || len(s.sent) > 0 {
				t.Error("a provider that is not valid works")
			}
		})
	}
}

func TestValidate_OIDC(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(*providers.OIDC)
		ok   bool
	}{
		{"good", func(*providers.OIDC) {}, true},
		{"64 issuer is plain http", func(p *providers.OIDC) { p.Issuer = "http://idp.example" }, false},
		{"issuer has a query", func(p *providers.OIDC) { p.Issuer = "https://idp.example/?a=b" }, false},
		{"78 none", func(p *providers.OIDC) { p.Algorithms = []string{"none"} }, false},
		{"79 HS256", func(p *providers.OIDC) { p.Algorithms = []string{"RS256", "HS256"} }, false},
		{"86 skew of 300 s", func(p *providers.OIDC) { p.Skew = 300 * time.Second }, true},
		{"86 skew of 301 s", func(p *providers.OIDC) { p.Skew = 301 * time.Second }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{})
			row.set(v.p)
			if err := v.p.Validate(); (err == nil) != row.ok {
				t.Errorf("Validate: got %v, want success: %v", err, row.ok)
			}
			if _, err := v.p.Begin(v.ctx, v.f); (err == nil) != row.ok {
				t.Errorf("Begin: got %v, want success: %v", err, row.ok)
			}
		})
	}
}

func TestAPI(t *testing.T) {
	for _, row := range []struct {
		name    string
		p       providers.API
		base    string
		origins []string
	}{
		{"none", &providers.OIDC{}, "", nil},
		{"of the base", &providers.OIDC{APIBase: "https://API.example:443/v1/"}, "https://API.example:443/v1/", []string{"https://api.example"}},
		{"declared", &providers.OAuth2{APIBase: "https://api.example", APIOrigins: []string{"https://up.example:8443"}}, "https://api.example", []string{"https://up.example:8443"}},
		{"declared as none", &providers.OAuth2{APIBase: "https://api.example", APIOrigins: []string{}}, "https://api.example", []string{}},
		{"github", providers.GitHub("id", "secret"), "https://api.github.com", []string{"https://api.github.com"}},
		{"google", providers.Google("id", "secret"), "https://www.googleapis.com", []string{"https://www.googleapis.com"}},
		{"vimeo", providers.Vimeo("id", "secret"), "https://api.vimeo.com", []string{"https://api.vimeo.com"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			base, origins := row.p.API()
			if base != row.base || !slices.Equal(origins, row.origins) {
				t.Errorf("API: got %q %v, want %q %v", base, origins, row.base, row.origins)
			}
		})
	}
}
