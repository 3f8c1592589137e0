package providertest

import (
	"net/url"
	"strings"
)

const (
	core  = "oidcc-client-test"
	fapi2 = "fapi2-security-profile-final-client-test"
)

// Conformance returns twins of the OpenID Foundation's relying-party modules, under their names:
// those for the code flow, discovery, key rotation and refresh, and those of the FAPI 2.0 profile
// that need no sender-constrained tokens. To pass them is not to be certified.
func Conformance() []Case {
	return append(basic(), profile()...)
}

// ConformanceCase returns the case of a module, such as "oidcc-client-test-nonce-invalid".
func ConformanceCase(module string) (Case, bool) {
	for _, c := range Conformance() {
		if c.Name == module {
			return c, true
		}
	}
	return Case{}, false
}

func basic() []Case {
	other := "https://other.example/"
	return []Case{
		{ID: "B1", Name: core},
		{ID: "B2", Name: core + "-invalid-iss", Outcome: Refused, Behavior: Behavior{Claims: With("iss", other)}},
		{ID: "B3", Name: core + "-missing-sub", Outcome: Refused, Behavior: Behavior{Claims: Without("sub")}},
		{ID: "B4", Name: core + "-invalid-aud", Outcome: Refused, Behavior: Behavior{Claims: With("aud", "somebody-else")}},
		{ID: "B5", Name: core + "-missing-iat", Outcome: Refused, Behavior: Behavior{Claims: Without("iat")}},
		{ID: "B6", Name: core + "-kid-absent-single-jwks", Behavior: Behavior{Header: Without("kid")}},
		{ID: "B7", Name: core + "-kid-absent-multiple-jwks", Outcome: Either, Behavior: Behavior{Header: Without("kid"), ExtraKeys: 2}},
		{ID: "B8", Name: core + "-idtoken-sig-rs256"},
		// The suite lets a party accept this over TLS. A party that pins its algorithms does not.
		{ID: "B9", Name: core + "-idtoken-sig-none", Outcome: Refused, Behavior: Behavior{IDToken: Unsigned}},
		{ID: "B10", Name: core + "-invalid-sig-rs256", Outcome: Refused, Behavior: Behavior{IDToken: Flipped}},
		{ID: "B11", Name: core + "-userinfo-invalid-sub", Outcome: Refused, UserInfo: true, Behavior: Behavior{
			Person: func(_ Account, c map[string]any) { c["sub"] = "somebody-else" },
		}},
		{ID: "B12", Name: core + "-nonce-invalid", Outcome: Refused, Behavior: Behavior{Claims: With("nonce", "another-nonce")}},
		{ID: "B13", Name: core + "-scope-userinfo-claims", UserInfo: true},
		{ID: "B14", Name: core + "-client-secret-basic"},
		{ID: "C1", Name: core + "-discovery-openid-config"},
		{ID: "C2", Name: core + "-discovery-jwks-uri-keys"},
		{ID: "C3", Name: core + "-discovery-issuer-mismatch", Outcome: Refused, Behavior: Behavior{
			Metadata: func(m map[string]any) { m["issuer"] = other },
		}},
		{ID: "C4", Name: core + "-signing-key-rotation-just-before-signing", Behavior: Behavior{RotateBeforeSigning: true}},
		{ID: "C5", Name: core + "-signing-key-rotation", Rotate: true},
		{ID: "R1", Name: core + "-refresh-token", UserInfo: true},
		{ID: "R2", Name: core + "-refresh-token-invalid-issuer", Outcome: RefreshForeign, Behavior: Behavior{Claims: OnRefresh(With("iss", other))}},
		{ID: "R3", Name: core + "-refresh-token-invalid-sub", Outcome: RefreshForeign, Behavior: Behavior{Claims: OnRefresh(With("sub", "somebody-else"))}},
		{ID: "X", Name: core + "-missing-aud", Outcome: Refused, Behavior: Behavior{Claims: Without("aud")}},
		{ID: "X", Name: core + "-userinfo-bearer-header", UserInfo: true},
		{ID: "X", Name: core + "-nonce-unless-code-flow"},
		{ID: "X", Name: core + "-invalid-athash", Outcome: Refused, Behavior: Behavior{Claims: With("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")}},
		{ID: "X", Name: core + "-missing-athash", Behavior: Behavior{Claims: Without("at_hash")}},
		{ID: "X", Name: core + "-form-post-error", Outcome: Declined, Behavior: Behavior{Answer: AnswerError("access_denied", "The person said no")}},
		{ID: "X", Name: core + "-invalid-sig-hs256", Outcome: Refused, Behavior: Behavior{IDToken: func(d *Draft) string { return d.HS256([]byte("another secret")) }}},
		{ID: "X", Name: core + "-invalid-sig-es256", Outcome: Refused, Algorithm: "ES256", Behavior: Behavior{IDToken: Flipped}},
		{ID: "X", Name: core + "-aggregated-claims", Behavior: Behavior{Claims: sources(map[string]any{"JWT": "e30.e30."})}},
		{ID: "X", Name: core + "-distributed-claims", Behavior: Behavior{Claims: sources(map[string]any{"endpoint": "http://127.0.0.1:1/claims", "access_token": "x"})}},
	}
}

// sources adds claims that are somewhere else: OpenID Connect Core 1.0, section 5.6.2. Nobody has to
// fetch them.
func sources(source map[string]any) func(*Draft, map[string]any) {
	return join(
		With("_claim_names", map[string]any{"credit_score": "src1"}),
		With("_claim_sources", map[string]any{"src1": source}),
	)
}

func profile() []Case {
	second := func(d *Draft) any { return []string{d.Client.ID, "somebody-else"} }
	return []Case{
		{ID: "FA3", Name: fapi2 + "-discovery-issuer-mismatch", Outcome: Refused, Behavior: Behavior{
			Metadata: func(m map[string]any) { m["issuer"] = "https://other.example" },
		}},
		{ID: "FA4", Name: fapi2 + "-invalid-iss", Outcome: Refused, Behavior: Behavior{Claims: With("iss", "https://other.example")}},
		{ID: "FA5", Name: fapi2 + "-invalid-aud", Outcome: Refused, Behavior: Behavior{Claims: With("aud", "somebody-else")}},
		{ID: "FA6", Name: fapi2 + "-invalid-secondary-aud", Outcome: Refused, Behavior: Behavior{Claims: from("aud", second)}},
		{ID: "FA7", Name: fapi2 + "-invalid-null-alg", Outcome: Refused, Behavior: Behavior{IDToken: Unsigned}},
		{ID: "FA8", Name: fapi2 + "-invalid-alternate-alg", Outcome: Refused, Behavior: Behavior{IDToken: WithAlgorithm("ES256")}},
		{ID: "FA9", Name: fapi2 + "-invalid-expired-exp", Outcome: Refused, Behavior: Behavior{Claims: shift("exp", -301)}},
		{ID: "FA10", Name: fapi2 + "-invalid-missing-exp", Outcome: Refused, Behavior: Behavior{Claims: Without("exp")}},
		{ID: "FA11", Name: fapi2 + "-invalid-missing-aud", Outcome: Refused, Behavior: Behavior{Claims: Without("aud")}},
		{ID: "FA12", Name: fapi2 + "-invalid-missing-iss", Outcome: Refused, Behavior: Behavior{Claims: Without("iss")}},
		{ID: "FA13", Name: fapi2 + "-valid-aud-as-array", Behavior: Behavior{
			Claims: from("aud", func(d *Draft) any { return []string{d.Client.ID} }),
		}},
		{ID: "FA14", Name: fapi2 + "-invalid-nonce", Outcome: Refused, Behavior: Behavior{Claims: With("nonce", "another-nonce")}},
		{ID: "FA15", Name: fapi2 + "-invalid-missing-nonce", Outcome: Refused, Behavior: Behavior{Claims: Without("nonce")}},
		{ID: "FA16", Name: fapi2 + "-invalid-authorization-response-iss", Outcome: Unredeemed, Behavior: Behavior{
			Answer: func(q url.Values) { q.Set("iss", "https://other.example") },
		}},
		{ID: "FA17", Name: fapi2 + "-remove-authorization-response-iss", Outcome: Unredeemed, Behavior: Behavior{
			Answer: func(q url.Values) { q.Del("iss") },
		}},
		{ID: "FA18", Name: fapi2 + "-ensure-authorization-response-with-invalid-state-fails", Outcome: Unredeemed, Behavior: Behavior{
			Answer: func(q url.Values) { q.Set("state", "another-state") },
		}},
		{ID: "FA19", Name: fapi2 + "-ensure-authorization-response-with-invalid-missing-state-fails", Outcome: Unredeemed, Behavior: Behavior{
			Answer: func(q url.Values) { q.Del("state") },
		}},
		{ID: "FA20", Name: fapi2 + "-token-endpoint-response-without-expires_in", Behavior: Behavior{Fields: Without("expires_in")}},
		{ID: "FA21", Name: fapi2 + "-token-type-case-insensitivity", Behavior: Behavior{
			Fields: With("token_type", swapCase("Bearer")),
		}},
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r - 'A' + 'a'
	}, s)
}
