package providers_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

func TestOIDC(t *testing.T) {
	for _, row := range []struct {
		name   string
		listen bool
		cfg    providertest.Config
		set    func(*providers.OIDC)
		auth   string // how the app authenticated
	}{
		{"B1 oidcc-client-test", false, providertest.Config{}, nil, "client_secret_basic"},
		{"over sockets", true, providertest.Config{}, nil, "client_secret_basic"},
		{"issuer with a path", true, providertest.Config{Issuer: "/tenant"}, nil, "client_secret_basic"},
		{"issuer with a slash at its end", false, providertest.Config{Issuer: "https://idp.example/"}, nil, "client_secret_basic"},
		{"B8 oidcc-client-test-idtoken-sig-rs256", false, providertest.Config{Algorithm: "RS256"}, nil, "client_secret_basic"},
		{"ES256", false, providertest.Config{Algorithm: "ES256"}, nil, "client_secret_basic"},
		{"EdDSA", false, providertest.Config{Algorithm: "EdDSA"}, nil, "client_secret_basic"},
		{"client_secret_post", false, providertest.Config{}, func(p *providers.OIDC) { p.AuthMethod = providers.ClientSecretPost }, "client_secret_post"},
		{"post is all the metadata has", false, providertest.Config{Behavior: providertest.Behavior{Metadata: func(m map[string]any) {
			m["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
		}}}, nil, "client_secret_post"},
		{"public client", false, providertest.Config{Clients: []providertest.Client{{ID: providertest.ClientID}}}, func(p *providers.OIDC) { p.ClientSecret = "" }, "none"},
		{"form_post", false, providertest.Config{}, func(p *providers.OIDC) { p.ResponseMode = "form_post" }, "client_secret_basic"},
		{"no iss in answers, none announced", false, providertest.Config{Behavior: providertest.Behavior{OmitIss: true}}, nil, "client_secret_basic"},
		{"3 metadata without PKCE", false, providertest.Config{Behavior: providertest.Behavior{IgnorePKCE: true}}, nil, "client_secret_basic"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s *providertest.Server
			ctx := t.Context()
			if row.listen {
				s = providertest.NewServer(t, row.cfg)
			} else {
				s = providertest.New(row.cfg)
				ctx = with(ctx, s.Transport())
			}
			v := &visit{t, s, newOIDC(s), newFlow(), ctx}
			if row.set != nil {
				row.set(v.p)
			}
			tok, id := v.mustFinish()
			if id.Issuer != s.Issuer() || id.Subject != "practice-ada" || id.Email != "ada@practice.example" || !id.EmailVerified || id.Name != "Ada Lovelace" || id.Username != "ada" {
				t.Errorf("identity: got %+v", id)
			}
			if tok.Issuer != id.Issuer || tok.Subject != id.Subject || tok.Session == "" || tok.Refresh == "" || tok.ID == "" {
				t.Error("token is not complete")
			}
			if got := slices.Sorted(slices.Values(tok.Scopes)); !slices.Equal(got, []string{"email", "offline_access", "openid", "profile", "videos"}) {
				t.Errorf("scopes: got %v", got)
			}
			if left := time.Until(tok.Expiry); left < 59*time.Minute || left > time.Hour {
				t.Errorf("expires in %v, want an hour", left)
			}
			l := s.Ledger()
			for endpoint, want := range map[string]int{"discovery": 1, "jwks": 1, "token": 1, "userinfo": 0} {
				if got := l.Count(endpoint); got != want {
					t.Errorf("%s requests: got %d, want %d", endpoint, got, want)
				}
			}
			r := l.Redeems()[0]
			if r.Auth != row.auth || r.Form.Get("redirect_uri") != callback || r.Form.Get("code_verifier") != verifier {
				t.Errorf("B14, 63 token request: got auth %q, want %q; form has %s", r.Auth, row.auth, sortedKeys(r.Form))
			}
			a := l.Of("authorize")[0].Query
			for name, want := range map[string]string{
				"response_type": "code", "client_id": providertest.ClientID, "redirect_uri": callback, "state": "state-1",
				"nonce": "nonce-1", "code_challenge_method": "S256", "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
				"scope": "openid profile email offline_access videos",
			} {
				if got := a.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestOIDC_onceForMany(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	for range 3 {
		v.mustFinish()
	}
	v.requests("discovery", 1)
	v.requests("jwks", 1)
	v.requests("token", 3)
}

// Row 40: people who sign in at one instant through one value each get their own identity.
func TestOIDC_together(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	var wg sync.WaitGroup
	for i := range 60 {
		account := []string{"ada", "grace", "emmy"}[i%3]
		wg.Go(func() {
			f := newFlow()
			f.State, f.Nonce = "state-"+strconv.Itoa(i), "nonce-"+strconv.Itoa(i)
			to, err := v.p.Begin(v.ctx, f)
			if err != nil {
				t.Error(err)
				return
			}
			back, err := v.s.Approve(v.ctx, nil, to, account)
			if err != nil {
				t.Error(err)
				return
			}
			u, err := url.Parse(back)
			if err != nil {
				t.Error(err)
				return
			}
			tok, id, err := v.p.Finish(v.ctx, f, u.Query())
			if err != nil {
				t.Error(err)
				return
			}
			next, err := v.p.Refresh(v.ctx, tok)
			if err != nil || id.Subject != "practice-"+account || next.Subject != id.Subject {
				t.Errorf("%s: got %+v, %v", account, id, err)
			}
		})
	}
	wg.Wait()
	v.requests("discovery", 1)
	v.requests("jwks", 1)
}

func TestOIDC_claims(t *testing.T) {
	v := newVisit(t, providertest.Behavior{Claims: providertest.With("hd", "example.com")})
	_, id := v.mustFinish()
	var claims map[string]any
	if err := json.Unmarshal(id.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["hd"] != "example.com" || claims["sub"] != "practice-ada" {
		t.Errorf("claims: got %v", claims)
	}
	if _, has := claims["nonce"]; has {
		t.Error("claims hold the nonce of the flow")
	}
	if id.AuthTime.IsZero() {
		t.Error("no AuthTime")
	}
}

// Twins of the conformance suite's modules: after a rejection no further call is made. The row names
// carry the number of the module, and of the attack where there is one.
func TestConformance_idToken(t *testing.T) {
	now := time.Now()
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		want error
	}{
		{"B2, 84 oidcc-client-test-invalid-iss", providertest.Behavior{Claims: providertest.With("iss", "https://other.example")}, providers.ErrToken},
		{"B3, 87 oidcc-client-test-missing-sub", providertest.Behavior{Claims: providertest.Without("sub")}, providers.ErrToken},
		{"B4, 85 oidcc-client-test-invalid-aud", providertest.Behavior{Claims: providertest.With("aud", "other")}, providers.ErrToken},
		{"B5, 86 oidcc-client-test-missing-iat", providertest.Behavior{Claims: providertest.Without("iat")}, providers.ErrToken},
		{"B6 oidcc-client-test-kid-absent-single-jwks", providertest.Behavior{Header: providertest.Without("kid")}, nil},
		{"B7 oidcc-client-test-kid-absent-multiple-jwks", providertest.Behavior{Header: providertest.Without("kid"), ExtraKeys: 2}, nil},
		{"B9, 78 oidcc-client-test-idtoken-sig-none", providertest.Behavior{IDToken: providertest.Unsigned}, providers.ErrToken},
		{"B10, 81 oidcc-client-test-invalid-sig-rs256", providertest.Behavior{IDToken: providertest.Flipped}, providers.ErrToken},
		{"B12, 88 oidcc-client-test-nonce-invalid", providertest.Behavior{Claims: providertest.With("nonce", "nonce-2")}, providers.ErrToken},
		{"C4 oidcc-client-test-signing-key-rotation-just-before-signing", providertest.Behavior{RotateBeforeSigning: true}, nil},
		{"X oidcc-client-test-missing-aud", providertest.Behavior{Claims: providertest.Without("aud")}, providers.ErrToken},
		{"X oidcc-client-test-invalid-athash", providertest.Behavior{Claims: providertest.With("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")}, providers.ErrToken},
		{"X oidcc-client-test-missing-athash", providertest.Behavior{Claims: providertest.Without("at_hash")}, nil},
		{"X oidcc-client-test-invalid-sig-hs256", providertest.Behavior{IDToken: providertest.HS256Secret}, providers.ErrToken},
		{"X oidcc-client-test-invalid-sig-es256", providertest.Behavior{IDToken: providertest.WithAlgorithm("ES256")}, providers.ErrToken},
		{"X oidcc-client-test-aggregated-claims", providertest.Behavior{Claims: func(_ *providertest.Draft, c map[string]any) {
			c["_claim_names"], c["_claim_sources"] = map[string]string{"address": "a"}, map[string]any{"a": map[string]string{"JWT": "e30.e30.e30"}}
		}}, nil},
		{"X, 110 oidcc-client-test-distributed-claims", providertest.Behavior{Claims: func(_ *providertest.Draft, c map[string]any) {
			c["_claim_names"], c["_claim_sources"] = map[string]string{"address": "a"}, map[string]any{"a": map[string]string{"endpoint": "https://idp.example/claims", "access_token": "x"}}
		}}, nil},
		{"FA6 …-invalid-secondary-aud", providertest.Behavior{Claims: providertest.With("aud", []string{providertest.ClientID, "other"})}, providers.ErrToken},
		{"FA7 …-invalid-null-alg", providertest.Behavior{IDToken: providertest.Unsigned}, providers.ErrToken},
		{"FA8, 80 …-invalid-alternate-alg", providertest.Behavior{IDToken: providertest.WithAlgorithm("EdDSA")}, providers.ErrToken},
		{"FA9 …-invalid-expired-exp", providertest.Behavior{Claims: providertest.With("exp", now.Add(-5*time.Minute).Unix())}, providers.ErrToken},
		{"FA10 …-invalid-missing-exp", providertest.Behavior{Claims: providertest.Without("exp")}, providers.ErrToken},
		{"FA12 …-invalid-missing-iss", providertest.Behavior{Claims: providertest.Without("iss")}, providers.ErrToken},
		{"FA13 …-valid-aud-as-array", providertest.Behavior{Claims: providertest.With("aud", []string{providertest.ClientID})}, nil},
		{"FA15 …-invalid-missing-nonce", providertest.Behavior{Claims: providertest.Without("nonce")}, providers.ErrToken},
		{"FA20 …-token-endpoint-response-without-expires_in", providertest.Behavior{Fields: providertest.Without("expires_in")}, nil},
		{"FA21 …-token-type-case-insensitivity", providertest.Behavior{Fields: providertest.With("token_type", "bEARER")}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			tok, id, err := v.finish()
			is(t, err, row.want)
			if (id == nil) != (row.want != nil) {
				t.Errorf("identity: got %v", id)
			}
			if tok == nil {
				t.Error("no token: what was redeemed must be revocable")
			}
			v.requests("token", 1)
			v.requests("userinfo", 0)
			v.requests("other", 0)
			v.requests("elsewhere", 0)
		})
	}
}

func TestConformance_userinfo(t *testing.T) {
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		want error
	}{
		{"B13 oidcc-client-test-scope-userinfo-claims", providertest.Behavior{}, nil},
		{"B11, 94 oidcc-client-test-userinfo-invalid-sub", providertest.Behavior{Person: func(_ providertest.Account, c map[string]any) { c["sub"] = "practice-grace" }}, providers.ErrToken},
		{"94 sub is missing", providertest.Behavior{Person: func(_ providertest.Account, c map[string]any) { delete(c, "sub") }}, providers.ErrToken},
		{"94 sub differs by case", providertest.Behavior{Person: func(_ providertest.Account, c map[string]any) { c["sub"] = "Practice-ada" }}, providers.ErrToken},
		{"91 a JWT", providertest.Behavior{UserInfo: providertest.Respond(200, "application/jwt", "e30.e30.e30")}, providers.ErrToken},
		{"94 no JSON", providertest.Behavior{UserInfo: providertest.Respond(200, "text/html", `{"sub":"practice-ada"}`)}, providers.ErrToken},
		{"down", providertest.Behavior{UserInfo: providertest.Fail(503, "x")}, providers.ErrUnavailable},
		{"61 redirect", providertest.Behavior{UserInfo: providertest.Redirect(307, "https://idp.example/elsewhere")}, providers.ErrToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.b.Claims = providertest.Without("email", "email_verified") // only userinfo has them
			v := newVisit(t, row.b)
			v.p.UserInfo = true
			tok, id, err := v.finish()
			is(t, err, row.want)
			if row.want == nil && (id.Email != "ada@practice.example" || !id.EmailVerified) {
				t.Errorf("identity: got %+v", id)
			}
			v.requests("userinfo", 1)
			v.requests("elsewhere", 0)
			// B1, X oidcc-client-test-userinfo-bearer-header, 96.
			r := v.s.Ledger().Of("userinfo")[0]
			if r.Header.Get("Authorization") != "Bearer "+tok.Access || strings.Contains(r.URL, tok.Access) || len(r.Form) > 0 {
				t.Error("96: the token is not in the header, or not only there")
			}
		})
	}
}

func TestConformance_discovery(t *testing.T) {
	t.Run("C5 oidcc-client-test-signing-key-rotation", func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{})
		v.mustFinish()
		v.s.DropKeys()
		v.mustFinish()
		v.requests("jwks", 2)
	})
	t.Run("C2 oidcc-client-test-discovery-jwks-uri-keys", func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{Metadata: func(m map[string]any) { m["jwks_uri"] = m["jwks_uri"].(string) + "?run=2" }})
		v.mustFinish()
		if got := v.s.Ledger().Of("jwks")[0].Query.Get("run"); got != "2" {
			t.Errorf("jwks_uri: got run %q", got)
		}
	})
	t.Run("C3, FA3, 97 oidcc-client-test-discovery-issuer-mismatch", func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{Metadata: func(m map[string]any) { m["issuer"] = "https://other.example" }})
		_, err := v.p.Begin(v.ctx, v.f)
		is(t, err, providers.ErrUnavailable)
		v.requests("jwks", 0)
	})
}

func TestOIDC_stepUp(t *testing.T) {
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		set  func(*providers.Flow)
		want error
	}{
		{"ACR met", providertest.Behavior{}, func(f *providers.Flow) { f.ACR = []string{"gold"} }, nil},
		{"ACR not met", providertest.Behavior{Claims: providertest.With("acr", "bronze")}, func(f *providers.Flow) { f.ACR = []string{"gold", "silver"} }, providers.ErrUnmet},
		{"ACR missing", providertest.Behavior{Claims: providertest.Without("acr")}, func(f *providers.Flow) { f.ACR = []string{"gold"} }, providers.ErrUnmet},
		{"MaxAge met", providertest.Behavior{}, func(f *providers.Flow) { f.MaxAge = time.Minute }, nil},
		{"MaxAge not met", providertest.Behavior{Claims: providertest.With("auth_time", time.Now().Add(-5*time.Minute).Unix())}, func(f *providers.Flow) { f.MaxAge = time.Minute }, providers.ErrUnmet},
		{"MaxAge, auth_time missing", providertest.Behavior{Claims: providertest.Without("auth_time")}, func(f *providers.Flow) { f.MaxAge = time.Minute }, providers.ErrUnmet},
		{"MaxAge, auth_time 0", providertest.Behavior{Claims: providertest.With("auth_time", 0)}, func(f *providers.Flow) { f.MaxAge = time.Minute }, providers.ErrUnmet},
		{"auth_time 0", providertest.Behavior{Claims: providertest.With("auth_time", 0)}, func(*providers.Flow) {}, nil},
		{"the expected person", providertest.Behavior{}, func(f *providers.Flow) { f.Subject = "practice-ada" }, nil},
		{"57 somebody else", providertest.Behavior{}, func(f *providers.Flow) { f.Subject = "practice-grace" }, providers.ErrSubject},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			row.set(v.f)
			tok, _, err := v.finish()
			is(t, err, row.want)
			if row.want != nil {
				is(t, err, providers.ErrToken)
			}
			if tok == nil {
				t.Error("no token to revoke")
			}
		})
	}
}

func TestOIDC_Authorize(t *testing.T) {
	errAnything := errors.New("any")
	for _, row := range []struct {
		name, url, access string
		want              error
	}{
		{"https", "https://api.example/me", "abc", nil},
		{"loopback", "http://127.0.0.1:8080/me", "abc", nil},
		{"14 plain http", "http://api.example/me", "abc", providers.ErrInsecure},
		{"168 user information", "https://x:y@api.example/me", "abc", errAnything},
		{"69 CRLF", "https://api.example/me", "a\r\nX: y", providers.ErrToken},
		{"69 space", "https://api.example/me", "a b", providers.ErrToken},
		{"empty", "https://api.example/me", "", providers.ErrToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodGet, row.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // once for each attempt
				err := (&providers.OIDC{ID: "practice"}).Authorize(r, &providers.Token{Access: row.access})
				if row.want != errAnything {
					is(t, err, row.want)
				} else if err == nil {
					t.Error("no error")
				}
			}
			want := []string(nil)
			if row.want == nil {
				want = []string{"Bearer " + row.access}
			}
			if got := r.Header.Values("Authorization"); !slices.Equal(got, want) {
				t.Errorf("Authorization: got %d values, want %d", len(got), len(want))
			}
		})
	}
}

func TestOIDC_Revoke(t *testing.T) {
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		want error
		sent int
	}{
		{"refresh token first", providertest.Behavior{}, nil, 2},
		{"no endpoint", providertest.Behavior{Metadata: func(m map[string]any) { delete(m, "revocation_endpoint") }}, nil, 0},
		{"146 unavailable", providertest.Behavior{Revoke: providertest.Fail(503, "x")}, providers.ErrUnavailable, 2},
		{"61, 146 redirect", providertest.Behavior{Revoke: providertest.Redirect(307, "https://idp.example/elsewhere")}, providers.ErrToken, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			tok, _ := v.mustFinish()
			is(t, v.p.Revoke(v.ctx, tok), row.want)
			sent := v.s.Ledger().Of("revoke")
			if len(sent) != row.sent {
				t.Fatalf("requests: got %d, want %d", len(sent), row.sent)
			}
			if row.sent > 0 && (sent[0].Form.Get("token") != tok.Refresh || sent[0].Auth != "client_secret_basic" || len(sent[0].Query) > 0) {
				t.Errorf("first request: got %s", url.Values(sent[0].Form).Get("token_type_hint"))
			}
			v.requests("elsewhere", 0)
		})
	}
}
