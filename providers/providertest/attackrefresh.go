package providertest

// refreshAttacks are about what comes with a refreshed token. Each sign-in is good.
func refreshAttacks() []Case {
	claim := func(name string, o Outcome, f func(*Draft, map[string]any)) Case {
		return Case{ID: "118", Name: "118 refreshed ID token: " + name, Outcome: o, OIDC: true, Behavior: Behavior{Claims: OnRefresh(f)}}
	}
	token := func(name string, o Outcome, f func(*Draft) string) Case {
		b := Behavior{IDToken: func(d *Draft) string {
			if d.GrantType != "refresh_token" {
				return d.JWS()
			}
			return f(d)
		}}
		return Case{ID: "118", Name: "118 refreshed ID token: " + name, Outcome: o, OIDC: true, Behavior: b}
	}
	answer := func(id, name string, o Outcome, f Fault) Case {
		return Case{ID: id, Name: id + " refresh: " + name, Outcome: o, Behavior: Behavior{Token: When(Grant("refresh_token"), f)}}
	}
	return []Case{
		answer("115", "invalid_grant", RefreshRefused, Fail(400, "invalid_grant")),
		answer("115", "invalid_client", RefreshFailed, Fail(401, "invalid_client")),
		answer("116", "503 with a page that says invalid_grant", RefreshFailed, Respond(503, "text/html", "invalid_grant")),
		answer("116", "200 with a page that says invalid_grant", RefreshFailed, Respond(200, "text/html", "invalid_grant")),
		claim("iss of another issuer", RefreshForeign, With("iss", "https://other.example")),
		claim("iss missing", RefreshRefused, Without("iss")),
		claim("sub of somebody else", RefreshForeign, With("sub", "somebody-else")),
		claim("sub missing", RefreshRefused, Without("sub")),
		claim("aud of another client", RefreshRefused, With("aud", "somebody-else")),
		claim("iat before the first one", RefreshRefused, With("iat", 1)),
		claim("nonce of another sign-in", RefreshRefused, With("nonce", "other")),
		token("signature bit flipped", RefreshRefused, Flipped),
		// What nobody has signed says nothing about who it is for, so nobody is signed out by it.
		token("sub of somebody else, signed by an unknown key", RefreshRefused, func(d *Draft) string {
			d.Claims["sub"] = "somebody-else"
			return WrongKey(d)
		}),
	}
}
