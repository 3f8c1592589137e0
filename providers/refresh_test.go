package providers_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// onRefresh returns a function that changes members of the answer to a refresh.
func onRefresh(name string, v any) func(*draft, map[string]any) {
	return providertest.OnRefresh(providertest.With(name, v))
}

func TestRefresh(t *testing.T) {
	for _, row := range []struct {
		name    string
		b       providertest.Behavior
		rotated bool
		scopes  []string
	}{
		{"R1, 113 with a new refresh token", providertest.Behavior{}, true, []string{"openid", "profile", "email", "offline_access", "videos"}},
		{"113 without a refresh token", providertest.Behavior{Rotation: providertest.RotateNone}, false, []string{"openid", "profile", "email", "offline_access", "videos"}},
		{"113 refresh token empty", providertest.Behavior{Fields: onRefresh("refresh_token", "")}, false, []string{"openid", "profile", "email", "offline_access", "videos"}},
		{"113 narrower", providertest.Behavior{Fields: onRefresh("scope", "openid videos")}, true, []string{"openid", "videos"}},
		{"113 wider", providertest.Behavior{Fields: onRefresh("scope", "openid videos admin")}, true, []string{"openid", "videos"}},
		{"113 scope absent", providertest.Behavior{Fields: providertest.OnRefresh(providertest.Without("scope"))}, true, []string{"openid", "profile", "email", "offline_access", "videos"}},
		{"no ID token", providertest.Behavior{Fields: providertest.OnRefresh(providertest.Without("id_token"))}, true, []string{"openid", "profile", "email", "offline_access", "videos"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			first, _ := v.mustFinish()
			before := *first
			next, err := v.p.Refresh(v.ctx, first)
			if err != nil {
				t.Fatal(err)
			}
			if next.Access == first.Access || (next.Refresh != first.Refresh) != row.rotated || next.Refresh == "" {
				t.Errorf("rotated: got %v, want %v", next.Refresh != first.Refresh, row.rotated)
			}
			if slices.Sort(next.Scopes); !slices.Equal(next.Scopes, slices.Sorted(slices.Values(row.scopes))) {
				t.Errorf("scopes: got %v, want %v", next.Scopes, row.scopes)
			}
			if next.ID == "" || next.Issuer != first.Issuer || next.Subject != first.Subject || next.Session != first.Session || next.Expiry.IsZero() {
				t.Error("result is not complete")
			}
			if first.Pack() != before.Pack() {
				t.Error("the token that was refreshed is changed")
			}
			r := v.s.Ledger().Refreshes()
			if len(r) != 1 || r[0].Auth != "client_secret_basic" || r[0].Form.Get("refresh_token") != first.Refresh {
				t.Errorf("refreshes: got %d", len(r))
			}
			v.requests("userinfo", 0)
		})
	}
}

// earlier moves the time at which an ID token was issued.
func earlier(seconds int64) func(*draft, map[string]any) {
	return func(_ *draft, c map[string]any) { c["iat"] = c["iat"].(int64) - seconds }
}

// Row 118: an ID token that comes with a refresh must continue the first one.
func TestRefresh_idToken(t *testing.T) {
	now := time.Now()
	for _, row := range []struct {
		name   string
		change func(*draft, map[string]any)
		form   func(*draft) string
		want   error
		whose  bool // somebody else's
	}{
		{"the same", nil, nil, nil, false},
		{"the same nonce again", providertest.With("nonce", "nonce-1"), nil, nil, false},
		{"118, R2 oidcc-client-test-refresh-token-invalid-issuer", providertest.With("iss", "https://other.example"), nil, providers.ErrToken, true},
		{"118 iss missing", providertest.Without("iss"), nil, providers.ErrToken, false},
		{"118, R3 oidcc-client-test-refresh-token-invalid-sub", providertest.With("sub", "practice-grace"), nil, providers.ErrToken, true},
		{"118 aud of another app", providertest.With("aud", "other"), nil, providers.ErrToken, false},
		{"118 another nonce", providertest.With("nonce", "nonce-2"), nil, providers.ErrToken, false},
		{"118 a nonce that is no string", providertest.With("nonce", 1), nil, providers.ErrToken, false},
		{"118 iat before the first", providertest.With("iat", now.Add(-time.Hour).Unix()), nil, providers.ErrToken, false},
		{"118 iat 30 s before the first, by the clock of another machine", earlier(30), nil, nil, false},
		{"118 iat 90 s before the first", earlier(90), nil, providers.ErrToken, false},
		{"118 expired", providertest.With("exp", now.Add(-time.Hour).Unix()), nil, providers.ErrToken, false},
		{"118 bad signature", nil, providertest.Flipped, providers.ErrToken, false},
		{"118 iss of another, which nobody has signed", nil, func(d *draft) string {
			d.Claims["iss"] = "https://other.example"
			return providertest.WrongKey(d)
		}, providers.ErrToken, false},
		{"118 no signature", nil, providertest.Unsigned, providers.ErrToken, false},
		{"118 at_hash of another token", providertest.With("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), nil, providers.ErrToken, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := providertest.Behavior{}
			if row.change != nil {
				b.Claims = providertest.OnRefresh(row.change)
			}
			if row.form != nil {
				b.IDToken = func(d *draft) string {
					if d.GrantType == "refresh_token" {
						return row.form(d)
					}
					return d.JWS()
				}
			}
			v := newVisit(t, b)
			first, _ := v.mustFinish()
			next, err := v.p.Refresh(v.ctx, first)
			is(t, err, row.want)
			if (next != nil) != (row.want == nil) || errors.Is(err, providers.ErrSubject) != row.whose {
				t.Errorf("Refresh: got %v", err)
			}
			v.requests("userinfo", 0)
		})
	}
}

// A refresh token goes to nobody but the issuer that it is from.
func TestRefresh_otherIssuer(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	tok, _ := v.mustFinish()
	tok.Issuer = "https://former.example"
	before := v.s.Ledger().Count("token")
	_, err := v.p.Refresh(v.ctx, tok)
	is(t, err, providers.ErrNoRefresh)
	v.requests("token", before)
}

// What ends a grant, and what does not.
func TestRefresh_refused(t *testing.T) {
	for _, row := range []struct {
		name   string
		fault  providertest.Fault
		code   string
		status int
		want   error
	}{
		{"115 invalid_grant", providertest.Fail(400, "invalid_grant"), "invalid_grant", 400, nil},
		{"115 invalid_grant with 401", providertest.Fail(401, "invalid_grant"), "invalid_grant", 401, nil},
		{"115 invalid_grant with 403", providertest.Fail(403, "invalid_grant"), "invalid_grant", 403, nil},
		{"115 invalid_client", providertest.Fail(401, "invalid_client"), "invalid_client", 401, nil},
		{"a used one is an invalid_request", providertest.Fail(400, "invalid_request"), "invalid_request", 400, nil},
		{"116 invalid_grant with 503", providertest.Fail(503, "invalid_grant"), "", 503, providers.ErrUnavailable},
		{"116 invalid_grant with 500", providertest.Fail(500, "invalid_grant"), "", 500, providers.ErrUnavailable},
		{"116 invalid_grant with 404", providertest.Fail(404, "invalid_grant"), "", 404, nil},
		{"116 invalid_grant with 200", providertest.Fail(200, "invalid_grant"), "", 200, nil},
		{"116 invalid_grant in HTML", providertest.Respond(400, "text/html", `{"error":"invalid_grant"}`), "", 400, nil},
		{"116 invalid_grant in a description", providertest.Respond(400, "application/json", `{"error":"x","error_description":"invalid_grant"}`), "x", 400, nil},
		{"116 invalid_grant twice", providertest.Respond(400, "application/json", `{"error":"invalid_grant","error":"invalid_grant"}`), "", 400, nil},
		{"116 ERROR", providertest.Respond(400, "application/json", `{"ERROR":"invalid_grant"}`), "", 400, nil},
		{"temporarily_unavailable with 400", providertest.Fail(400, "temporarily_unavailable"), "temporarily_unavailable", 400, providers.ErrUnavailable},
		{"429", providertest.Fail(429, "x"), "", 429, providers.ErrUnavailable},
		{"reset", providertest.Reset, "", 0, providers.ErrUnavailable},
		{"answer lost", providertest.LoseAnswer, "", 0, providers.ErrUnavailable},
		{"redirect", providertest.Redirect(307, "/elsewhere"), "", 0, providers.ErrToken},
		{"no JSON", providertest.Respond(200, "text/html", "<p>hello"), "", 0, providers.ErrToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{})
			first, _ := v.mustFinish()
			v.s.ResetLedger()
			v.s.Set(func(b *providertest.Behavior) { b.Token = row.fault })
			next, err := v.p.Refresh(v.ctx, first)
			if next != nil || err == nil {
				t.Fatalf("Refresh: got %v", err)
			}
			if row.want != nil {
				is(t, err, row.want)
			}
			if row.want != providers.ErrUnavailable && errors.Is(err, providers.ErrUnavailable) {
				t.Errorf("error: %v passes for a fault of the moment", err)
			}
			if row.status > 0 {
				refused(t, err, row.code, row.status)
			}
			v.requests("token", 1)
			v.requests("elsewhere", 0)
		})
	}
}

func TestRefresh_none(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	_, err := v.p.Refresh(v.ctx, &providers.Token{Access: "a"})
	is(t, err, providers.ErrNoRefresh)
	v.requests("discovery", 0)
	p, s := tokenServer(always(200, "application/json", fine))
	_, err = p.Refresh(with(t.Context(), s), &providers.Token{Access: "a"})
	is(t, err, providers.ErrNoRefresh)
	if len(s.sent) > 0 {
		t.Error("something was sent")
	}
}

func TestRefresh_OAuth2(t *testing.T) {
	p, s := tokenServer(always(200, "application/json", `{"access_token":"b","token_type":"bearer","expires_in":60,"scope":"y z"}`))
	next, err := p.Refresh(with(t.Context(), s), &providers.Token{Access: "a", Refresh: "r", Scopes: []string{"x", "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if next.Access != "b" || next.Refresh != "r" || strings.Join(next.Scopes, " ") != "y" {
		t.Errorf("got scopes %v", next.Scopes)
	}
	if got := s.forms[0].Encode(); got != "grant_type=refresh_token&refresh_token=r" {
		t.Errorf("form: got %s", got)
	}
}

// A provider's own word for a spent refresh token, at a status of success, counts where it is declared.
func TestRefresh_spentCodes(t *testing.T) {
	for _, row := range []struct {
		name  string
		spent []string
		code  string
	}{
		{"declared", []string{"bad_refresh_token"}, "invalid_grant"},
		{"not declared", nil, "bad_refresh_token"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", `{"error":"bad_refresh_token"}`))
			p.SpentCodes = row.spent
			_, err := p.Refresh(with(t.Context(), s), &providers.Token{Refresh: "r"})
			refused(t, err, row.code, 200)
		})
	}
}

// F23: the provider rotates its keys while nobody can fetch them. The refreshed ID token cannot be
// judged, and is not taken; the rotated tokens are not lost.
func TestRefresh_keysDown(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	first, _ := v.mustFinish()
	v.s.RotateKey()
	v.s.Set(func(b *providertest.Behavior) { b.JWKS = providertest.Respond(503, "text/plain", "down") })
	was := first
	for range 3 { // the keys were asked for a moment ago
		next, err := v.p.Refresh(v.ctx, was)
		if err != nil {
			t.Fatal(err)
		}
		if next.ID != first.ID || next.Access == was.Access || next.Refresh == was.Refresh || next.Subject != first.Subject {
			t.Error("want the new tokens and the old ID token")
		}
		was = next
	}
}
