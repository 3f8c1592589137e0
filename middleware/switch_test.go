package middleware_test

import (
	"net/http"
	"strings"
	"testing"
)

// A link on another site does not replace who is signed in, however fast the other provider answers:
// the person goes on from a page of ours, or not.
func TestSwitch(t *testing.T) {
	k := newKit(t)
	k.plain.SignInAs("grace")
	b := k.browser()
	b.signIn("idp", "ada", "/")
	fromElsewhere := func(target string) *http.Response {
		r := b.request(http.MethodGet, target, nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		return b.do(r)
	}
	resp := fromElsewhere("/auth/plain/login?return_to=/x")
	page := text(resp)
	k.rejected(resp, "switch")
	if b.whoami() != "Ada Lovelace" || !strings.Contains(page, `href="/auth/plain/login?return_to=%2Fx"`) {
		t.Errorf("signed in as %s, page: %s", b.whoami(), page)
	}
	k.location(fromElsewhere("/auth/idp/login")) // her own provider
	k.location(b.open("/auth/plain/login?return_to=/x"))

	// Nobody is signed in: nothing to replace.
	b = k.browser()
	k.location(fromElsewhere("/auth/plain/login"))
}
