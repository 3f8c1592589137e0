package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/integration/internal/chromium"
	"github.com/returnleg/returnleg/providers/providertest"
)

// A provider that takes seven seconds for the tokens: a page says so meanwhile, and leads on by itself. No address
// has the code in it, and Back shows no error.
func TestPending(t *testing.T) {
	for _, row := range []struct {
		name     string
		sameSite http.SameSite
		mode     string
	}{
		{"Lax, query", http.SameSiteLaxMode, ""},
		{"Strict, query", http.SameSiteStrictMode, ""},
		{"Lax, form_post", http.SameSiteLaxMode, "form_post"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, row.sameSite, row.mode)
			s.provider.Set(func(b *providertest.Behavior) { b.Token = providertest.Linger(7 * time.Second) })
			tab := chromium.New(t).Tab(t)
			tab.Open(s.url + "/")
			tab.Click("#here")
			tab.Click("button[name=account][value=ada]")
			began := time.Now()
			tab.Click("button[name=decision][value=allow]")
			const pending = `(document.querySelector("h1")?.innerText ?? "").startsWith("One moment, please")`
			tab.WaitScript(pending + ` || document.querySelector("#who") !== null`)
			took := time.Since(began)
			if took < 7*time.Second && tab.Script(`"" + (`+pending+`)`) != "true" { // else the machine is too busy to see it
				t.Errorf("after %v: no page that says to wait", took)
			}
			tab.WaitText("#who", signedInThere)
			t.Logf("the page was seen after %v, and was gone after %v", took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
			again := 0
			for len(s.came) > 0 {
				if at := <-s.came; strings.Contains(at, "answer=") {
					again++
				}
			}
			if again == 0 {
				t.Error("the page did not load itself again")
			}
			if got, want := tab.URL(), s.url+"/mine?page=2"; got != want {
				t.Errorf("landed at %s, want %s", got, want)
			}
			if got := s.provider.Ledger().Count("token"); got != 1 {
				t.Errorf("token requests: got %d, want 1", got)
			}
			tab.Back()
			if at := tab.URL(); strings.Contains(at, "/callback") || strings.Contains(tab.Text("body"), "Code:") {
				t.Errorf("Back leads to %s: %s", at, tab.Text("body"))
			}
		})
	}
}
