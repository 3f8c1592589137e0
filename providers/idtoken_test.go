package providers_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

type draft = providertest.Draft

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// claim returns a behavior with a claim changed.
func claim(name string, v any) providertest.Behavior {
	return providertest.Behavior{Claims: providertest.With(name, v)}
}

func headed(name string, v any) providertest.Behavior {
	return providertest.Behavior{Header: providertest.With(name, v)}
}

func raw(f func(*draft) string) providertest.Behavior { return providertest.Behavior{IDToken: f} }

// Rows of group G. What is refused makes no request behind it.
func TestFinish_idToken(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	us := providertest.ClientID
	refused, accepted := providers.ErrToken, error(nil)
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		want error
	}{
		{"77 no id_token", providertest.Behavior{Fields: providertest.Without("id_token")}, refused},
		{"77 id_token empty", raw(func(*draft) string { return "" }), refused},
		{"78 alg none", raw(providertest.Unsigned), refused},
		{"78 alg None", raw(func(d *draft) string { d.Header["alg"] = "None"; return d.Input() + "." }), refused},
		{"78 alg missing", raw(func(d *draft) string { delete(d.Header, "alg"); return d.JWS() }), refused},
		{"78 alg a number", raw(func(d *draft) string { d.Header["alg"] = 1; return d.JWS() }), refused},
		{"79 HS256 with the public key as PEM", raw(providertest.HS256Public), refused},
		{"79 HS256 with the public key as DER", raw(func(d *draft) string { return d.HS256(d.PublicKey()) }), refused},
		{"79 HS256 with the client secret", raw(providertest.HS256Secret), refused},
		{"79 HS256 with nothing", raw(providertest.HS256Empty), refused},
		{"80 ES256, published but not announced", raw(providertest.WithAlgorithm("ES256")), refused},
		{"80 PS256 in the header", raw(func(d *draft) string { d.Header["alg"] = "PS256"; return d.JWS() }), refused},
		{"80 ES256K in the header", raw(func(d *draft) string { d.Header["alg"] = "ES256K"; return d.JWS() }), refused},
		{"80 RS384 in the header", raw(func(d *draft) string { d.Header["alg"] = "RS384"; return d.JWS() }), refused},
		{"81 a bit of the signature", raw(providertest.Flipped), refused},
		{"81 no signature", raw(providertest.Stripped), refused},
		{"81 another key under the same kid", raw(providertest.WrongKey), refused},
		{"81 the signature of another token", raw(providertest.OtherSignature), refused},
		{"82 jwk", headed("jwk", map[string]string{"kty": "oct", "k": "AAAA"}), refused},
		{"82 jku, ignored", headed("jku", "https://idp.example/elsewhere"), accepted},
		{"82 x5u, ignored", headed("x5u", "https://idp.example/elsewhere"), accepted},
		{"82 crit", headed("crit", []string{"exp"}), refused},
		{"82 crit null", headed("crit", nil), refused},
		{"82 kid is a path", headed("kid", "../../x"), refused},
		{"82 kid of 1 MB", headed("kid", strings.Repeat("k", 700<<10)), refused},
		{"82 kid of 2 KB", headed("kid", strings.Repeat("k", 2<<10)), refused},
		{"82 kid a number", headed("kid", 1), refused},
		{"84 iss with a slash", claim("iss", "https://idp.example/"), refused},
		{"84 iss of http", claim("iss", "http://idp.example"), refused},
		{"84 iss without scheme", claim("iss", "idp.example"), refused},
		{"84 iss an array", claim("iss", []string{"https://idp.example"}), refused},
		{"85 aud [us]", claim("aud", []string{us}), accepted},
		{"85 aud [us, other]", claim("aud", []string{us, "other"}), refused},
		{"85 aud []", claim("aud", []string{}), refused},
		{"85 aud an object", claim("aud", map[string]string{us: us}), refused},
		{"85 aud [us, null]", claim("aud", []any{us, nil}), refused},
		{"85 aud differs by case", claim("aud", strings.ToUpper(us)), refused},
		{"85 azp us", claim("azp", us), accepted},
		{"85 azp other", claim("azp", "other"), refused},
		{"85 azp a number", claim("azp", 1), refused},
		{"86, 167 exp 50 s ago", claim("exp", at(-50*time.Second)), accepted},
		{"86, 167 exp 70 s ago", claim("exp", at(-70*time.Second)), refused},
		{"86 exp a string", claim("exp", "9999999999"), refused},
		{"86 exp 1e300", claim("exp", 1e300), refused},
		{"86 exp negative", claim("exp", -1), refused},
		{"86 exp a fraction", claim("exp", float64(at(time.Minute))+0.5), accepted},
		{"167 exp in 2100", claim("exp", int64(4102444800)), accepted},
		{"86, 167 iat in 50 s", claim("iat", at(50*time.Second)), accepted},
		{"86, 167 iat in 70 s", claim("iat", at(70*time.Second)), refused},
		{"86 iat a string", claim("iat", "1"), refused},
		{"86 nbf in 70 s", claim("nbf", at(70*time.Second)), refused},
		{"86 nbf in 50 s", claim("nbf", at(50*time.Second)), accepted},
		{"86 nbf a string", claim("nbf", "1"), refused},
		{"87 sub empty", claim("sub", ""), refused},
		{"87 sub of 255", claim("sub", strings.Repeat("s", 255)), accepted},
		{"87 sub of 256", claim("sub", strings.Repeat("s", 256)), refused},
		{"87 sub a number", claim("sub", 7), refused},
		{"87 sub with NUL", claim("sub", "a\x00b"), refused},
		{"87 no claims", raw(func(d *draft) string { clear(d.Claims); return d.JWS() }), refused},
		{"88 nonce empty", claim("nonce", ""), refused},
		{"88 nonce a number", claim("nonce", 1), refused},
		{"88 nonce in another case", claim("nonce", "NONCE-1"), refused},
		{"88 nonce twice", raw(func(d *draft) string { return twice(d, `"nonce":"nonce-1"`) }), refused},
		{"72 sub twice", raw(func(d *draft) string { return twice(d, `"sub":"practice-grace"`) }), refused},
		{"72 SUB besides sub", claim("SUB", "practice-grace"), accepted}, // a name like any other
		{"89 at_hash of another token", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), refused},
		{"89 at_hash empty", claim("at_hash", ""), refused},
		{"91 an access token", headed("typ", "at+jwt"), refused},
		{"91 a logout token by typ", headed("typ", "logout+jwt"), refused},
		{"91 a logout token by events", claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), refused},
		{"91 typ a number", headed("typ", 1), refused},
		{"91 no typ", providertest.Behavior{Header: providertest.Without("typ")}, accepted},
		{"91 typ jwt", headed("typ", "jwt"), accepted},
		{"92 two segments", raw(func(d *draft) string { return d.Input() }), refused},
		{"92 four segments", raw(func(d *draft) string { return d.JWS() + ".e30" }), refused},
		{"92 five segments", raw(func(d *draft) string { return d.JWS() + ".e30.e30" }), refused},
		{"92 a million dots", raw(func(*draft) string { return strings.Repeat(".", 1e6) }), refused},
		{"92 padding", raw(func(d *draft) string { return d.JWS() + "=" }), refused},
		{"92 a line break", raw(func(d *draft) string { return d.JWS() + "\n" }), refused},
		{"92 a carriage return", raw(func(d *draft) string { s := d.JWS(); return s[:20] + "\r" + s[20:] }), refused},
		{"92 a space in front", raw(func(d *draft) string { return " " + d.JWS() }), refused},
		{"92 JSON serialization", raw(func(d *draft) string {
			s := strings.Split(d.JWS(), ".")
			return `{"payload":"` + s[1] + `","protected":"` + s[0] + `","signature":"` + s[2] + `"}`
		}), refused},
		{"92 JWE", raw(func(*draft) string { return b64(`{"alg":"dir","enc":"A128GCM"}`) + "..a.b.c" }), refused},
		{"92 PBES2", raw(func(*draft) string { return b64(`{"alg":"PBES2-HS256+A128KW","p2c":1000000000}`) + ".e30.e30" }), refused},
		{"92 more than 64 KB", claim("x", strings.Repeat("x", 64<<10)), refused},
		{"92 payload no object", raw(func(d *draft) string { return d.Sign(b64(`{"alg":"RS256"}`) + "." + b64(`[]`)) }), refused},
		{"92 header twice alg", raw(func(d *draft) string { return d.Sign(b64(`{"alg":"RS256","alg":"RS256"}`) + "." + b64(`{}`)) }), refused},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			tok, id, err := v.finish()
			is(t, err, row.want)
			if (id != nil) != (row.want == nil) || tok == nil {
				t.Fatalf("got identity %v and token %v", id != nil, tok != nil)
			}
			v.requests("token", 1)
			v.requests("userinfo", 0)
			v.requests("elsewhere", 0)
			if row.want != nil && tok.Subject != "" {
				t.Error("claims of a refused token are applied")
			}
		})
	}
}

// twice returns an ID token with a member in front of a payload that has it already.
func twice(d *draft, member string) string {
	head, payload, _ := strings.Cut(d.Input(), ".")
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return ""
	}
	return d.Sign(head + "." + b64("{"+member+","+string(b[1:])))
}

func TestFinish_trustedAudience(t *testing.T) {
	us := providertest.ClientID
	for _, row := range []struct {
		name string
		aud  []string
		azp  any
		want error
	}{
		{"85 trusted, azp us", []string{us, "api"}, us, nil},
		{"85 trusted, azp missing", []string{us, "api"}, nil, providers.ErrToken},
		{"85 trusted, azp the other", []string{us, "api"}, "api", providers.ErrToken},
		{"85 without us", []string{"api"}, us, providers.ErrToken},
		{"85 one not trusted", []string{us, "api", "other"}, us, providers.ErrToken},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{Claims: func(_ *draft, c map[string]any) {
				c["aud"] = row.aud
				if row.azp != nil {
					c["azp"] = row.azp
				}
			}})
			v.p.TrustedAudiences = []string{"api"}
			_, _, err := v.finish()
			is(t, err, row.want)
		})
	}
}

func TestFinish_skew(t *testing.T) {
	for _, row := range []struct {
		name string
		skew time.Duration
		exp  time.Duration
		want error
	}{
		{"86 300 s", 300 * time.Second, -290 * time.Second, nil},
		{"86 beyond 300 s", 300 * time.Second, -310 * time.Second, providers.ErrToken},
		{"86 none", -1, -5 * time.Second, providers.ErrToken},
		{"86 none, in time", -1, 5 * time.Minute, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, claim("exp", time.Now().Add(row.exp).Unix()))
			v.p.Skew = row.skew
			_, _, err := v.finish()
			is(t, err, row.want)
		})
	}
}

// Row 93: two providers that claim one address are two people.
func TestIdentity_email(t *testing.T) {
	var ids [2]*providers.Identity
	for i, issuer := range []string{"https://one.example", "https://two.example"} {
		s := providertest.New(providertest.Config{Issuer: issuer})
		v := &visit{t, s, newOIDC(s), newFlow(), with(t.Context(), s.Transport())}
		_, ids[i] = v.mustFinish()
	}
	if ids[0].Email != ids[1].Email || ids[0].Issuer == ids[1].Issuer {
		t.Errorf("got %q of %q and %q of %q", ids[0].Email, ids[0].Issuer, ids[1].Email, ids[1].Issuer)
	}
}

// Row 110: what a claim points to is never fetched.
func TestFinish_claimURLs(t *testing.T) {
	v := newVisit(t, providertest.Behavior{Claims: func(_ *draft, c map[string]any) {
		for _, name := range []string{"picture", "profile", "website", "jku"} {
			c[name] = "https://idp.example/elsewhere"
		}
	}})
	_, id := v.mustFinish()
	if id.Picture != "https://idp.example/elsewhere" {
		t.Errorf("picture: got %q", id.Picture)
	}
	v.requests("elsewhere", 0)
}
