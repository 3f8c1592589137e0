package providers_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/returnleg/returnleg/providers"
)

// unsigned returns an ID token with these claims. Refresh has verified what Reidentify reads.
func unsigned(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".e30"
}

// Reidentify says who somebody is by an ID token of the issuer, of the same person, that is a new one.
func TestOIDC_Reidentify(t *testing.T) {
	const issuer, first = "https://idp.example", `{"sub":"1","group":"admin"}`
	rows := []struct {
		name           string
		ofID, ofToken  string // issuers
		was, now       string // ID tokens
		claims         string // before
		want, wantName string // claims and name; "" and "": nothing new
	}{
		{"changed", issuer, issuer, unsigned(first), unsigned(`{"sub":"1","group":"staff"}`), first, `{"group":"staff","sub":"1"}`, ""},
		{"gone", issuer, issuer, unsigned(first), unsigned(`{"sub":"1"}`), first, `{"sub":"1"}`, ""},
		{"a name that userinfo told", issuer, issuer, unsigned(first), unsigned(`{"sub":"1"}`), `{"sub":"1","group":"admin","name":"Ada"}`, `{"name":"Ada","sub":"1"}`, "Ada"},
		{"the ID token tells another", issuer, issuer, unsigned(first), unsigned(`{"sub":"1","name":"Ada King"}`), `{"sub":"1","name":"Ada"}`, `{"name":"Ada King","sub":"1"}`, "Ada King"},
		{"the first one was not kept", issuer, issuer, "", unsigned(`{"sub":"1","group":"staff"}`), first, `{"group":"staff","sub":"1"}`, ""},

		{"the same token", issuer, issuer, unsigned(first), unsigned(first), `{"sub":"1","group":"admin","more":1}`, "", ""},
		{"none", issuer, issuer, unsigned(first), "", first, "", ""},
		{"no token", issuer, issuer, unsigned(first), "e30.e30", first, "", ""},
		{"another person", issuer, issuer, unsigned(first), unsigned(`{"sub":"2"}`), first, "", ""},
		{"an identity of another issuer", "https://other.example", issuer, unsigned(first), unsigned(`{"sub":"1"}`), first, "", ""},
		{"a token of another issuer", issuer, "https://other.example", unsigned(first), unsigned(`{"sub":"1"}`), first, "", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			o := &providers.OIDC{ID: "idp", Issuer: issuer}
			id := providers.Identity{Issuer: row.ofID, Subject: "1", Claims: json.RawMessage(row.claims)}
			got, ok := o.Reidentify(id, &providers.Token{Issuer: row.ofToken, ID: row.was}, &providers.Token{Issuer: row.ofToken, ID: row.now})
			if ok != (row.want != "") {
				t.Fatalf("got %v, want %v", ok, row.want != "")
			}
			if ok && (string(got.Claims) != row.want || got.Name != row.wantName) {
				t.Errorf("got %s and name %q, want %s and %q", got.Claims, got.Name, row.want, row.wantName)
			}
		})
	}
}
