package providertest

import (
	"net/http"
	"strings"
)

// Quirks returns what real providers do that the standards allow, or that everybody has to live with.
// The outcome of each is a sign-in and a refresh, without a special case.
func Quirks() []Case {
	row := func(name string, b Behavior) Case { return Case{ID: "Q", Name: "Q " + name, Behavior: b} }
	return []Case{
		row("token_type in lower case", Behavior{Fields: With("token_type", "bearer")}),
		row("no scope in the answer", Behavior{Fields: Without("scope")}),
		row("no expires_in", Behavior{Fields: Without("expires_in")}),
		row("expires_in of a hundred years", Behavior{Fields: With("expires_in", int64(3_155_760_000))}),
		row("members that nobody knows", Behavior{Fields: With("practice", map[string]any{"deep": []int{1}}), Claims: With("practice", "x")}),
		row("no iss in the answer, and none announced", Behavior{OmitIss: true}),
		row("says nothing of PKCE", Behavior{IgnorePKCE: true}),
		row("aud an array", Behavior{Claims: from("aud", func(d *Draft) any { return []string{d.Client.ID} })}),
		row("azp is us", Behavior{Claims: from("azp", func(d *Draft) any { return d.Client.ID })}),
		row("auth_time 0", Behavior{Claims: With("auth_time", 0)}),
		row("no typ in the ID token", Behavior{Header: Without("typ")}),
		row("no at_hash", Behavior{Claims: Without("at_hash")}),
		row("refresh brings no refresh token", Behavior{Rotation: RotateNone}),
		row("refresh brings no id_token", Behavior{Fields: OnRefresh(Without("id_token"))}),
		row("refreshed ID token keeps its nonce", Behavior{Claims: from("nonce", func(d *Draft) any { return d.Nonce })}),
		row("JSON with a charset", Behavior{Token: Rewrite(func(a *Answer) {
			a.Header.Set("Content-Type", "application/json; charset=UTF-8")
		})}),
		row("discovery behind a redirect to the same host", Behavior{Discovery: When(
			func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/openid-configuration") },
			Redirect(http.StatusMovedPermanently, "/.well-known/oauth-authorization-server"),
		)}),
	}
}
