package providertest

import "strings"

// publishedAttacks are about userinfo, the discovery document and the keys.
func publishedAttacks() []Case {
	row := func(id, name string, o Outcome, b Behavior) Case {
		return Case{ID: id, Name: id + " " + name, Outcome: o, OIDC: true, Behavior: b}
	}
	info := func(name string, o Outcome, b Behavior) Case {
		c := row("94", name, o, b)
		c.UserInfo = true
		return c
	}
	person := func(f func(c map[string]any)) Behavior {
		return Behavior{Person: func(_ Account, c map[string]any) { f(c) }}
	}
	meta := func(id, name string, o Outcome, member string, v any) Case {
		return row(id, name, o, Behavior{Metadata: func(m map[string]any) { m[member] = v }})
	}
	issuer := func(name string, f func(string) string) Case {
		return row("97", name, Refused, Behavior{Metadata: func(m map[string]any) { m["issuer"] = f(m["issuer"].(string)) }})
	}
	keys := func(name string, o Outcome, f func(set []map[string]any) any) Case {
		return row("102", name, o, Behavior{Keys: f})
	}
	plus := func(more ...any) func([]map[string]any) any {
		return func(set []map[string]any) any {
			all := more
			for _, k := range set {
				all = append(all[:len(all):len(all)], k)
			}
			return all
		}
	}
	cases := []Case{
		info("userinfo sub of somebody else", Refused, person(func(c map[string]any) { c["sub"] = "somebody-else" })),
		info("userinfo sub missing", Refused, person(func(c map[string]any) { delete(c, "sub") })),
		info("userinfo sub empty", Refused, person(func(c map[string]any) { c["sub"] = "" })),
		info("userinfo 500", Refused, Behavior{UserInfo: Respond(500, "application/json", `{}`)}),
		info("userinfo redirects", Refused, Behavior{UserInfo: Redirect(307, "")}),
		info("userinfo not JSON", Refused, Behavior{UserInfo: Respond(200, "application/json", "practice")}),
		info("userinfo of 200 MB", Refused, Behavior{UserInfo: Pad(200 << 20)}),

		issuer("issuer of another host", func(string) string { return "https://other.example" }),
		issuer("issuer with a slash more", func(s string) string { return s + "/" }),
		issuer("issuer in upper case", strings.ToUpper),
		row("97", "issuer missing", Refused, Behavior{Metadata: func(m map[string]any) { delete(m, "issuer") }}),

		row("98", "discovery redirects to another host", Refused, Behavior{Discovery: Redirect(302, "")}),
		row("98", "keys redirect to another host", Refused, Behavior{JWKS: Redirect(302, "")}),

		row("101", "discovery of 200 MB", Refused, Behavior{Discovery: Pad(200 << 20)}),
		row("101", "discovery gzip bomb", Refused, Behavior{Discovery: GzipBomb(4 << 20)}),
		row("101", "discovery a page", Refused, Behavior{Discovery: Respond(200, "text/html", "<h1>It works</h1>")}),
		row("101", "discovery 404", Refused, Behavior{Discovery: Respond(404, "application/json", "{}")}),
		row("101", "keys of 200 MB", Refused, Behavior{JWKS: Pad(200 << 20)}),
		row("101", "keys gzip bomb", Refused, Behavior{JWKS: GzipBomb(4 << 20)}),
		row("105", "keys 503", Refused, Behavior{JWKS: Respond(503, "text/plain", "")}),

		keys("no keys", Refused, func([]map[string]any) any { return []any{} }),
		keys("keys null", Refused, func([]map[string]any) any { return nil }),
		keys("keys an object", Refused, func([]map[string]any) any { return map[string]any{} }),
		row("102", "key set without keys", Refused, Behavior{JWKS: Respond(200, "application/json", "{}")}),
		keys("only keys for encryption", Refused, func(set []map[string]any) any {
			for _, k := range set {
				k["use"] = "enc"
			}
			return set
		}),
		keys("a broken key beside ours", SignedIn, plus(map[string]any{"kty": "RSA", "kid": "broken"})),
		keys("a key of unknown kind beside ours", SignedIn, plus(map[string]any{"kty": "PRACTICE", "kid": "new"})),
		keys("a symmetric key beside ours", SignedIn, plus(map[string]any{"kty": "oct", "kid": "oct", "k": b64([]byte("practice"))})),
		keys("a point off the curve beside ours", SignedIn, plus(map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "off", "x": strings.Repeat("A", 43), "y": strings.Repeat("B", 42) + "A",
		})),
		keys("RSA-512 beside ours", SignedIn, plus(map[string]any{"kty": "RSA", "kid": "weak", "e": "AQAB", "n": strings.Repeat("-", 85) + "w"})),
		keys("every key twice", Either, func(set []map[string]any) any { return append(set, set...) }),
		{ID: "102", Name: "102 HS256 with a published symmetric key", Outcome: Refused, OIDC: true, Behavior: Behavior{
			Keys:    plus(map[string]any{"kty": "oct", "kid": "oct", "alg": "HS256", "use": "sig", "k": b64([]byte("practice"))}),
			IDToken: func(d *Draft) string { d.Header["kid"] = "oct"; return d.HS256([]byte("practice")) },
		}},
		meta("106", "metadata offers none and HS256", SignedIn, "id_token_signing_alg_values_supported", []string{"RS256", "HS256", "none"}),
		{ID: "106", Name: "106 metadata offers HS256, which signs", Outcome: Refused, OIDC: true, Behavior: Behavior{
			Metadata: func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"HS256"} }, IDToken: HS256Secret,
		}},
		row("106", "metadata drops PKCE", SignedIn, Behavior{Metadata: func(m map[string]any) { delete(m, "code_challenge_methods_supported") }}),
		meta("106", "metadata offers plain PKCE", SignedIn, "code_challenge_methods_supported", []string{"plain"}),
	}
	for _, target := range []string{
		"http://198.51.100.7/token", "file:///etc/passwd", "gopher://127.0.0.1:6379/_", "http://169.254.169.254/latest",
		"https://169.254.169.254/latest", "javascript:alert(1)", "//other.example/token", "", "https://",
	} {
		name := target
		if name == "" {
			name = "nothing"
		}
		cases = append(cases,
			meta("99", "token_endpoint is "+name, Refused, "token_endpoint", target),
			meta("99", "jwks_uri is "+name, Refused, "jwks_uri", target),
		)
	}
	return cases
}
