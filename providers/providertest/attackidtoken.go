package providertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"strings"
)

// idTokenAttacks are about the ID token.
func idTokenAttacks() []Case {
	row := func(id, name string, o Outcome, b Behavior) Case {
		return Case{ID: id, Name: id + " " + name, Outcome: o, OIDC: true, Behavior: b}
	}
	claim := func(id, name string, o Outcome, member string, v any) Case {
		return row(id, name, o, Behavior{Claims: With(member, v)})
	}
	no := func(id, member string) Case {
		return row(id, member+" missing", Refused, Behavior{Claims: Without(member)})
	}
	header := func(id, name string, f func(*Draft, map[string]any)) Case {
		return row(id, name, Refused, Behavior{Header: f})
	}
	last := func(id, name string, f func(*Draft) string) Case {
		return row(id, name, Refused, Behavior{IDToken: f})
	}
	moved := func(id, name string, o Outcome, member string, seconds int64) Case {
		return row(id, name, o, Behavior{Claims: shift(member, seconds)})
	}
	jws := func(f func(string) string) func(*Draft) string {
		return func(d *Draft) string { return f(d.JWS()) }
	}
	aud := func(f func(us string) any) Behavior {
		return Behavior{Claims: from("aud", func(d *Draft) any { return f(d.Client.ID) })}
	}
	iss := func(f func(string) string) Behavior {
		return Behavior{Claims: func(_ *Draft, c map[string]any) { c["iss"] = f(c["iss"].(string)) }}
	}
	return []Case{
		last("78", "alg none", Unsigned),
		last("78", "alg None", func(d *Draft) string { d.Header["alg"] = "None"; return d.Input() + "." }),
		last("78", "alg none with a signature", func(d *Draft) string { d.Header["alg"] = "none"; return d.JWS() }),
		header("78", "alg missing", Without("alg")),
		last("79", "HS256 with the public key as PEM", HS256Public),
		last("79", "HS256 with the public key as DER", func(d *Draft) string { return d.HS256(d.PublicKey()) }),
		last("79", "HS256 with the client secret", HS256Secret),
		last("79", "HS256 with an empty key", HS256Empty),
		last("80", "ES256 where RS256 is pinned", WithAlgorithm("ES256")),
		last("80", "EdDSA where RS256 is pinned", WithAlgorithm("EdDSA")),
		last("80", "PS256 with the same key", PS256),
		last("81", "signature bit flipped", Flipped),
		last("81", "signature stripped", Stripped),
		last("81", "signed by an unknown key", WrongKey),
		last("81", "signature of another token", OtherSignature),
		last("82", "header brings its own jwk", foreign(func(h, jwk map[string]any) { h["jwk"] = jwk })),
		last("82", "header names a jku", foreign(func(h, _ map[string]any) { h["jku"] = "http://127.0.0.1:1/jwks" })),
		last("82", "header names an x5u", foreign(func(h, _ map[string]any) { h["x5u"] = "file:///etc/passwd" })),
		last("82", "header brings an x5c", foreign(func(h, _ map[string]any) { h["x5c"] = []string{"AAAA"} })),
		header("82", "unknown crit", join(With("crit", []string{"practice"}), With("practice", true))),
		header("82", "kid is a path", With("kid", "../../etc/passwd")),
		header("82", "kid of 64 KB", With("kid", strings.Repeat("k", 64<<10))),
		header("82", "kid a number", With("kid", 7)),
		no("84", "iss"),
		claim("84", "iss of another issuer", Refused, "iss", "https://other.example"),
		row("84", "iss with a slash more", Refused, iss(func(s string) string { return s + "/" })),
		row("84", "iss of another scheme", Refused, iss(otherScheme)),
		no("85", "aud"),
		claim("85", "aud of another client", Refused, "aud", "somebody-else"),
		row("85", "aud an array of us", SignedIn, aud(func(us string) any { return []string{us} })),
		row("85", "aud us and another, no azp", Refused, aud(func(us string) any { return []string{us, "other"} })),
		row("85", "aud us and another, azp another", Refused, Behavior{Claims: join(
			from("aud", func(d *Draft) any { return []string{d.Client.ID, "other"} }), With("azp", "other"))}),
		claim("85", "azp of another client", Refused, "azp", "somebody-else"),
		claim("85", "aud empty array", Refused, "aud", []string{}),
		row("85", "aud an object", Refused, aud(func(us string) any { return map[string]any{us: true} })),
		no("86", "exp"),
		moved("86", "exp past by 10 minutes", Refused, "exp", -600),
		claim("86", "exp a string", Refused, "exp", "4102444800"),
		claim("86", "exp 1e300", Refused, "exp", json.Number("1e300")),
		claim("86", "exp negative", Refused, "exp", -1),
		no("86", "iat"),
		moved("86", "iat 10 minutes ahead", Refused, "iat", 600),
		moved("86", "nbf 10 minutes ahead", Refused, "nbf", 600),
		moved("86", "iat ahead by 20 seconds", SignedIn, "iat", 20),
		no("87", "sub"),
		claim("87", "sub empty", Refused, "sub", ""),
		claim("87", "sub of 4 KB", Refused, "sub", strings.Repeat("s", 4<<10)),
		claim("87", "sub a number", Refused, "sub", 17),
		claim("87", "sub with NUL", Refused, "sub", "ada\x00grace"),
		row("87", "no claims at all", Refused, Behavior{Claims: func(_ *Draft, c map[string]any) { clear(c) }}),
		no("88", "nonce"),
		claim("88", "nonce of another sign-in", Refused, "nonce", "another-nonce"),
		claim("88", "nonce empty", Refused, "nonce", ""),
		last("88", "nonce twice", payload(func(s string) string { return `{"nonce":"another-nonce",` + s[1:] })),
		claim("89", "at_hash wrong", Refused, "at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
		header("91", "typ at+jwt", With("typ", "at+jwt")),
		header("91", "typ logout+jwt", With("typ", "logout+jwt")),
		row("91", "a logout token", Refused, Behavior{
			Header: With("typ", "logout+jwt"),
			Claims: join(Without("nonce", "at_hash", "auth_time"), With("jti", "1"),
				With("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}})),
		}),
		last("92", "2 segments", func(d *Draft) string { return d.Input() }),
		last("92", "4 segments", jws(func(s string) string { return s + ".AAAA" })),
		last("92", "5 segments", jws(func(s string) string { return s + ".AAAA.AAAA" })),
		last("92", "half a million dots", func(*Draft) string { return strings.Repeat(".", 500_000) }),
		last("92", "padding", jws(func(s string) string { return s + "==" })),
		last("92", "white space", jws(func(s string) string { return s[:20] + "\n" + s[20:] })),
		last("92", "JSON serialization", jws(func(s string) string {
			p := strings.SplitN(s, ".", 3)
			return `{"protected":"` + p[0] + `","payload":"` + p[1] + `","signature":"` + p[2] + `"}`
		})),
		last("92", "JWE with PBES2", func(*Draft) string {
			return b64([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"p2s":"AAAA"}`)) + ".AAAA.AAAA.AAAA.AAAA"
		}),
		last("92", "JWE that inflates", func(*Draft) string {
			return b64([]byte(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`)) + "..AAAA.AAAA.AAAA"
		}),
		last("92", "payload not JSON", payload(func(string) string { return "practice" })),
		last("92", "payload null", payload(func(string) string { return "null" })),
		claim("93", "email_verified the string true is not true", Either, "email_verified", "true"),
		claim("93", "email_verified 1 is not true", Either, "email_verified", 1),
		claim("93", "email with two ats", Either, "email", "ada@evil.example@practice.example"),
	}
}

// payload signs a payload that no map can express.
func payload(f func(string) string) func(*Draft) string {
	return func(d *Draft) string {
		return d.Sign(b64(mustJSON(d.Header)) + "." + b64([]byte(f(string(mustJSON(d.Claims))))))
	}
}

// foreign signs with a key of nobody's, which the header then recommends: RFC 8725, section 3.10.
func foreign(f func(h, jwk map[string]any)) func(*Draft) string {
	return func(d *Draft) string {
		k := d.server.stranger(d.server.cfg.Algorithm)
		d.Header["kid"] = k.id
		f(d.Header, k.jwk())
		input := d.Input()
		return input + "." + b64(k.sign(input))
	}
}

// PS256 signs with the provider's RSA key by another padding; without an RSA key it signs as always.
func PS256(d *Draft) string {
	k, ok := d.key.private.(*rsa.PrivateKey)
	if !ok {
		return d.JWS()
	}
	d.Header["alg"] = "PS256"
	input := d.Input()
	sum := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		panic("providertest: sign: " + err.Error())
	}
	return input + "." + b64(sig)
}
