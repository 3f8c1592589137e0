package providers_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
)

func TestParseChallenge(t *testing.T) {
	const none = "none"
	for _, row := range []struct {
		name   string
		header []string
		want   providers.Challenge // Scheme none: not ok
	}{
		{"no header", nil, providers.Challenge{Scheme: none}},
		{"token missing", []string{`Bearer`}, providers.Challenge{Scheme: "bearer"}},
		{"token missing, realm", []string{`Bearer realm="example"`}, providers.Challenge{Scheme: "bearer"}},
		{"RFC 6750, 3.1", []string{`Bearer realm="example", error="invalid_token", error_description="The access token expired"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"wider scopes", []string{`Bearer error="insufficient_scope", scope="videos.write  videos"`}, providers.Challenge{Scheme: "bearer", Error: "insufficient_scope", Scopes: []string{"videos.write", "videos"}}},
		{"170 RFC 9470, acr", []string{`Bearer error="insufficient_user_authentication", acr_values="gold silver"`}, providers.Challenge{Scheme: "bearer", Error: "insufficient_user_authentication", ACR: []string{"gold", "silver"}}},
		{"170 RFC 9470, age", []string{`Bearer error="insufficient_user_authentication", max_age="5"`}, providers.Challenge{Scheme: "bearer", Error: "insufficient_user_authentication", MaxAge: 5 * time.Second}},
		{"170 max_age without quotes", []string{`Bearer max_age=5`}, providers.Challenge{Scheme: "bearer", MaxAge: 5 * time.Second}},
		{"170 max_age 0 asks for a sign-in now", []string{`Bearer max_age=0`}, providers.Challenge{Scheme: "bearer", MaxAge: time.Second}},
		{"max_age of nonsense", []string{`Bearer max_age="-5"`}, providers.Challenge{Scheme: "bearer"}},
		{"FA22 another case", []string{`bEARER Error="invalid_token"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"FA22 DPoP", []string{`dPoP algs="ES256", error="use_dpop_nonce"`}, providers.Challenge{Scheme: "dpop", Error: "use_dpop_nonce"}},
		{"several in one", []string{`Basic realm="a, b", Bearer error="invalid_token"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"several in several", []string{`Basic realm="a"`, `Bearer error="invalid_token"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"the one with an error", []string{`DPoP algs="ES256"`, `Bearer error="invalid_token"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"token68 beside", []string{`Negotiate YWJj==, Bearer error="invalid_token"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"token68 alone", []string{`NTLM YWJj`}, providers.Challenge{Scheme: none}},
		{"only others", []string{`Basic realm="Bearer error=invalid_token"`}, providers.Challenge{Scheme: none}},
		{"spaces around =", []string{`Bearer error = "invalid_token" , scope= a`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token", Scopes: []string{"a"}}},
		{"no comma", []string{`Bearer error="invalid_token" scope="a"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token", Scopes: []string{"a"}}},
		{"empty elements", []string{`,, Bearer error="invalid_token",, ,scope="a",`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token", Scopes: []string{"a"}}},
		{"escaped quotes", []string{`Bearer realm="\"x\\", error="invalid_token"`}, providers.Challenge{Scheme: "bearer", Error: "invalid_token"}},
		{"error twice", []string{`Bearer error="a", error="b"`}, providers.Challenge{Scheme: "bearer"}},
		{"string without end", []string{`Bearer error="invalid_token`}, providers.Challenge{Scheme: "bearer"}},
		{"error that is no token", []string{"Bearer error=\"a b\""}, providers.Challenge{Scheme: "bearer"}},
		{"parameters without scheme", []string{`error="invalid_token"`}, providers.Challenge{Scheme: none}},
		{"garbage", []string{"\x00\xff", "=", `"`, ",", " "}, providers.Challenge{Scheme: none}},
		{"too long", []string{`Bearer scope="` + strings.Repeat("a", 9<<10) + `"`}, providers.Challenge{Scheme: none}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := providers.ParseChallenge(http.Header{"Www-Authenticate": row.header})
			if ok != (row.want.Scheme != none) {
				t.Fatalf("ok: got %v with %+v", ok, got)
			}
			if !ok {
				return
			}
			if got.Scheme != row.want.Scheme || got.Error != row.want.Error || got.MaxAge != row.want.MaxAge ||
				!slices.Equal(got.Scopes, row.want.Scopes) || !slices.Equal(got.ACR, row.want.ACR) {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}
