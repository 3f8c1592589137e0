package providers_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
)

const fine = `{"access_token":"a","token_type":"Bearer"}`

// Rows of group F.
func TestFinish_answer(t *testing.T) {
	const js = "application/json"
	big := strings.Repeat("a", 64<<10)
	plus := func(member string) string { return `{"access_token":"a","token_type":"Bearer",` + member + `}` }
	for _, row := range []struct {
		name        string
		status      int
		contentType string
		body        string
		ok          bool
	}{
		{"good", 200, js, fine, true},
		{"good, with a charset", 200, "Application/JSON; charset=utf-8", fine, true},
		{"good, a vendor's JSON", 200, "application/vnd.example+json", fine, true},
		{"good, unknown members", 200, js, plus(`"x":[{"y":null}],"ACCESS_TOKEN":"b"`), true},
		{"68 error with 200", 200, js, plus(`"error":"invalid_grant"`), false},
		{"68 error that is no string with 200", 200, js, plus(`"error":{"code":1}`), false},
		{"68 tokens with 400", 400, js, fine, false},
		{"68 tokens with 201", 201, js, fine, false},
		{"68 204", 204, js, "", false},
		{"68 200, empty", 200, js, "", false},
		{"69 access_token missing", 200, js, `{"token_type":"Bearer"}`, false},
		{"69 access_token empty", 200, js, `{"access_token":"","token_type":"Bearer"}`, false},
		{"69 access_token null", 200, js, `{"access_token":null,"token_type":"Bearer"}`, false},
		{"69 access_token a number", 200, js, `{"access_token":1,"token_type":"Bearer"}`, false},
		{"69 access_token an array", 200, js, `{"access_token":["a"],"token_type":"Bearer"}`, false},
		{"69 access_token of 64 KB", 200, js, `{"access_token":"` + big + `","token_type":"Bearer"}`, true},
		{"69 access_token of more", 200, js, `{"access_token":"a` + big + `","token_type":"Bearer"}`, false},
		{"69 access_token with a space", 200, js, `{"access_token":"a b","token_type":"Bearer"}`, false},
		{"69 access_token with CRLF", 200, js, `{"access_token":"a\r\nb","token_type":"Bearer"}`, false},
		{"69 access_token with NUL", 200, js, `{"access_token":"a\u0000","token_type":"Bearer"}`, false},
		{"69 access_token with é", 200, js, `{"access_token":"é","token_type":"Bearer"}`, false},
		{"70 token_type missing", 200, js, `{"access_token":"a"}`, false},
		{"70, 67 token_type mac", 200, js, `{"access_token":"a","token_type":"mac"}`, false},
		{"70, 67 token_type DPoP", 200, js, `{"access_token":"a","token_type":"DPoP"}`, false},
		{"70 token_type bEaReR", 200, js, `{"access_token":"a","token_type":"bEaReR"}`, true},
		{"70 token_type with the Kelvin sign's cousin", 200, js, `{"access_token":"a","token_type":"Bearer\u017f"}`, false},
		{"72 name twice", 200, js, plus(`"access_token":"b"`), false},
		{"72 name twice, escaped", 200, js, plus(`"\u0061ccess_token":"b"`), false},
		{"72 name twice, deep", 200, js, plus(`"x":[{"y":1,"y":1}]`), false},
		{"72 ACCESS_TOKEN", 200, js, `{"ACCESS_TOKEN":"a","token_type":"Bearer"}`, false},
		{"72 acceſs_token", 200, js, `{"acceſs_token":"a","token_type":"Bearer"}`, false},
		{"72 an array", 200, js, "[" + fine + "]", false},
		{"72 null", 200, js, "null", false},
		{"72 a string", 200, js, `"access_token"`, false},
		{"72 trailing garbage", 200, js, fine + "x", false},
		{"72 two objects", 200, js, fine + fine, false},
		{"72 trailing space", 200, js, fine + " \r\n", true},
		{"72 BOM", 200, js, "\ufeff" + fine, false},
		{"72 UTF-16", 200, js, "\xff\xfe{\x00}\x00", false},
		{"72 not UTF-8", 200, js, plus(`"x":"` + "\xff" + `"`), false},
		{"72 half a surrogate pair", 200, js, plus(`"x":"\ud800"`), false},
		{"72 10,000 deep", 200, js, plus(`"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), false},
		{"74 text/plain", 200, "text/plain", fine, false},
		{"74 no content type", 200, "", fine, false},
		{"74 form", 200, "application/x-www-form-urlencoded", "access_token=a&token_type=bearer", false},
		{"refresh_token null", 200, js, plus(`"refresh_token":null`), true},
		{"refresh_token a number", 200, js, plus(`"refresh_token":7`), false},
		{"refresh_token with CRLF", 200, js, plus(`"refresh_token":"a\r\n"`), false},
		{"id_token a number", 200, js, plus(`"id_token":7`), false},
		{"scope an array", 200, js, plus(`"scope":["a"]`), false},
		{"scope with CRLF", 200, js, plus(`"scope":"a\r\nb"`), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(row.status, row.contentType, row.body))
			tok, id, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok || (tok != nil) != row.ok || (id != nil) != row.ok {
				t.Fatalf("Finish: got %v, want success: %v", err, row.ok)
			}
			want := 1
			if row.ok {
				want = 2 // and who it is
			}
			if got := len(s.sent); got != want {
				t.Errorf("requests: got %d, want %d", got, want)
			}
		})
	}
}

func TestFinish_form(t *testing.T) {
	for _, row := range []struct {
		name, contentType, body string
		ok                      bool
	}{
		{"74 form of a profile that declares it", "application/x-www-form-urlencoded", "access_token=a&token_type=bearer&expires_in=60&scope=x+y", true},
		{"74 text/plain of a profile that declares it", "text/plain; charset=utf-8", "access_token=a&token_type=bearer&expires_in=60&scope=x+y", true},
		{"JSON", "application/json", `{"access_token":"a","token_type":"bearer","expires_in":"60","scope":"x y"}`, true},
		{"72 name twice", "text/plain", "access_token=a&access_token=b&token_type=bearer", false},
		{"HTML", "text/html", "access_token=a&token_type=bearer", false},
		{"JSON as text", "text/plain", fine, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, row.contentType, row.body))
			p.TokenForm = true
			tok, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok {
				t.Fatalf("Finish: got %v, want success: %v", err, row.ok)
			}
			if row.ok && (tok.Access != "a" || !slices.Equal(tok.Scopes, []string{"x", "y"}) || time.Until(tok.Expiry) > time.Minute) {
				t.Errorf("token: got scopes %v, expiry %v", tok.Scopes, tok.Expiry)
			}
		})
	}
}

// Row 71: no value overflows, and none makes a token that has always just expired.
func TestFinish_expiresIn(t *testing.T) {
	const unknown = 0
	for _, row := range []struct {
		value string
		ok    bool
		want  time.Duration
	}{
		{`3600`, true, time.Hour},
		{`"3600"`, true, time.Hour},
		{`3600.5`, true, time.Hour},
		{`0`, true, unknown},
		{`-1`, true, unknown},
		{`"0"`, true, unknown},
		{`null`, true, unknown},
		{`9223372036854775808`, true, 3650 * 24 * time.Hour},
		{`1e300`, true, 3650 * 24 * time.Hour},
		{`-1e300`, true, unknown},
		{`"soon"`, false, 0},
		{`""`, false, 0},
		{`"NaN"`, false, 0},
		{`[3600]`, false, 0},
		{`true`, false, 0},
	} {
		t.Run("71 expires_in "+row.value, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fmt.Sprintf(`{"access_token":"a","token_type":"Bearer","expires_in":%s}`, row.value)))
			before := time.Now()
			tok, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok {
				t.Fatalf("Finish: got %v, want success: %v", err, row.ok)
			}
			if !row.ok {
				return
			}
			if row.want == unknown {
				if !tok.Expiry.IsZero() {
					t.Errorf("expiry: got %v, want unknown", tok.Expiry)
				}
				return
			}
			if got := tok.Expiry.Sub(before); got < row.want || got > row.want+time.Minute {
				t.Errorf("expires in: got %v, want %v", got, row.want)
			}
		})
	}
}

// Row 75: what is recorded is what was granted.
func TestFinish_scope(t *testing.T) {
	for _, row := range []struct {
		name, member string
		comma        bool
		want         []string
	}{
		{"75 absent", ``, false, []string{"a", "b"}},
		{"75 null", `,"scope":null`, false, []string{"a", "b"}},
		{"75 empty", `,"scope":""`, false, nil},
		{"75 narrower", `,"scope":"b"`, false, []string{"b"}},
		{"75 wider", `,"scope":"b c  a b"`, false, []string{"b", "c", "a"}},
		{"commas of a provider that uses them", `,"scope":"a,c"`, true, []string{"a", "c"}},
		{"commas of a provider that does not", `,"scope":"a,c"`, false, []string{"a,c"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", `{"access_token":"a","token_type":"Bearer"`+row.member+`}`))
			p.CommaScopes = row.comma
			f := newFlow()
			f.Scopes = []string{"a", "b"}
			tok, _, err := p.Finish(with(t.Context(), s), f, good())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(tok.Scopes, row.want) {
				t.Errorf("scopes: got %v, want %v", tok.Scopes, row.want)
			}
		})
	}
}

func TestFinish_identify(t *testing.T) {
	for _, row := range []struct {
		name, info string
		ok         bool
	}{
		{"good", `{"sub":"ada","email":"ada@example.com","email_verified":true}`, true},
		{"87 no sub", `{}`, false},
		{"87 sub empty", `{"sub":""}`, false},
		{"87 sub a number", `{"sub":7}`, false},
		{"87 sub of 4 KB", `{"sub":"` + strings.Repeat("s", 4096) + `"}`, false},
		{"87 sub with NUL", `{"sub":"a\u0000"}`, false},
		{"87 sub of spaces", `{"sub":"  "}`, false},
		{"72 sub twice", `{"sub":"ada","sub":"eve"}`, false},
		{"72 SUB", `{"SUB":"ada"}`, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			s.answers["GET id.example/me"] = always(200, "application/json", row.info)
			tok, id, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if (err == nil) != row.ok {
				t.Fatalf("Finish: got %v, want success: %v", err, row.ok)
			}
			if tok == nil {
				t.Fatal("no token to revoke")
			}
			if row.ok && (id.Issuer != "https://id.example" || id.Subject != "ada" || id.Email != "ada@example.com" || !id.EmailVerified || string(id.Claims) != row.info) {
				t.Errorf("identity: got %+v", id)
			}
			if !row.ok {
				is(t, err, providers.ErrToken)
			}
		})
	}
}

func TestFinish_subject(t *testing.T) {
	for _, row := range []struct {
		name, subject string
		want          error
	}{
		{"anybody", "", nil},
		{"the expected person", "ada", nil},
		{"57 somebody else", "grace", providers.ErrSubject},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			f := newFlow()
			f.Subject = row.subject
			tok, id, err := p.Finish(with(t.Context(), s), f, good())
			is(t, err, row.want)
			if tok == nil || (id == nil) != (row.want != nil) {
				t.Errorf("got token %v and identity %v", tok != nil, id != nil)
			}
		})
	}
}

// Row 160: what identifies a person from a token answer never sees the tokens, nor do the claims keep them.
func TestFinish_tokenAnswerIdentity(t *testing.T) {
	p, s := tokenServer(always(200, "application/json", `{"access_token":"CANARY1","refresh_token":"CANARY2","id_token":"CANARY3","token_type":"bearer","sub":"ada"}`))
	p.UserInfoURL = ""
	var seen string
	p.Identify = func(claims json.RawMessage) (providers.Identity, error) {
		seen = string(claims)
		return providers.Identity{Subject: "ada"}, nil
	}
	_, id, err := p.Finish(with(t.Context(), s), newFlow(), good())
	if err != nil {
		t.Fatal(err)
	}
	if leaks(seen) || leaks(string(id.Claims)) || !strings.Contains(seen, `"sub":"ada"`) {
		t.Errorf("claims: got %s and %s", seen, id.Claims)
	}
	if len(s.sent) != 1 {
		t.Errorf("requests: got %d, want 1", len(s.sent))
	}
}

// Row 93: nothing is coerced, and nothing but issuer and subject says who it is.
func TestFinish_email(t *testing.T) {
	for _, row := range []struct {
		member   string
		email    string
		verified bool
	}{
		{`"email":"a@b.example","email_verified":true`, "a@b.example", true},
		{`"email":"a@b.example","email_verified":"true"`, "a@b.example", false},
		{`"email":"a@b.example","email_verified":"false"`, "a@b.example", false},
		{`"email":"a@b.example","email_verified":1`, "a@b.example", false},
		{`"email":"a@b.example"`, "a@b.example", false},
		{`"email":["a@b.example"],"email_verified":true`, "", false},
		{`"email":"a@b.example\r\nBcc: x","email_verified":true`, "", false},
		{`"email_verified":true`, "", false},
	} {
		t.Run("93 "+row.member, func(t *testing.T) {
			p, s := tokenServer(always(200, "application/json", fine))
			s.answers["GET id.example/me"] = always(200, "application/json", `{"sub":"ada",`+row.member+`}`)
			_, id, err := p.Finish(with(t.Context(), s), newFlow(), good())
			if err != nil {
				t.Fatal(err)
			}
			if id.Email != row.email || id.EmailVerified != row.verified {
				t.Errorf("email: got %q %v, want %q %v", id.Email, id.EmailVerified, row.email, row.verified)
			}
		})
	}
}
