package integration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
	"github.com/returnleg/returnleg/integration/internal/idp"
)

// A story is the example with one provider, and what a person does at that provider.
type story struct {
	app    *app.App
	refuse func(*chromium.Tab) // Ada says who she is, and no
	retry  func(*chromium.Tab) // she tries once more, and says yes
	again  func(*chromium.Tab) // she comes back another time
	after  func(t *testing.T)  // what the provider saw; nil if it cannot tell
}

// The provider that comes with the example. It was not asked to remember anybody.
func practiceStory(t *testing.T) *story {
	decide := func(tab *chromium.Tab, decision string) {
		tab.Click("button[name=account][value=ada]")
		tab.Click("button[name=decision][value=" + decision + "]")
	}
	allow := func(tab *chromium.Tab) { decide(tab, "allow") }
	return &story{
		app:    app.Start(t, "..", app.Address(t)),
		refuse: func(tab *chromium.Tab) { decide(tab, "deny") },
		retry:  allow,
		again:  allow,
	}
}

// A provider that nobody here wrote. It remembers who signed in, and what they allowed.
func foreignStory(t *testing.T) *story {
	address := app.Address(t)
	server := idp.Start(t, "idp", idp.Settings{Redirects: []string{"http://" + address + "/auth/oidc/callback"}})
	client := server.Client(t, "basic")
	return &story{
		app: app.Start(t, "..", address, "OIDC_ISSUER="+server.Issuer, "OIDC_CLIENT_ID="+client.ID,
			"OIDC_CLIENT_SECRET="+client.Secret, "OIDC_SCOPES=openid profile email"),
		refuse: func(tab *chromium.Tab) {
			tab.Type("#idp-login #name", "ada")
			tab.Click("#sign-in")
			tab.Click("#idp-consent #deny")
		},
		retry: func(tab *chromium.Tab) { tab.Click("#idp-consent #allow") },
		again: func(*chromium.Tab) {},
		after: func(t *testing.T) { checkLedger(t, server) },
	}
}

// checkLedger wants one code redeemed for each of the three sign-ins, and none for the refusal.
func checkLedger(t *testing.T, server *idp.Server) {
	t.Helper()
	codes := 0
	for _, e := range server.Ledger(t, "token") {
		if e.Values["grant_type"] != "authorization_code" {
			continue
		}
		codes++
		if e.Status != 200 || e.Authentication != "basic" {
			t.Errorf("token request: got status %d and authentication %q, want 200 and basic", e.Status, e.Authentication)
		}
	}
	if codes != 3 {
		t.Errorf("token requests with a code: got %d, want 3", codes)
	}
	for _, e := range server.Ledger(t, "authorization") {
		if got := e.Values["code_challenge_method"]; got != "S256" {
			t.Errorf("authorization request: got code_challenge_method %q, want S256", got)
		}
	}
}

func TestStory(t *testing.T) {
	for _, row := range []struct {
		name  string
		begin func(*testing.T) *story
	}{
		{"practice provider", practiceStory},
		{"oidc-provider", foreignStory},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := chromium.New(t)
			s := row.begin(t)
			// The pictures in docs are of the first story.
			shoot := func(*chromium.Tab, string) {}
			if dir := pictures(t); row.name == "practice provider" {
				shoot = func(tab *chromium.Tab, name string) { tab.Screenshot(filepath.Join(dir, name)) }
			}
			s.tell(t, b, shoot)
		})
	}
}

// pictures is where screenshots go: RETURNLEG_PICTURES, else nowhere that lasts. To renew those of
// the documentation: RETURNLEG_PICTURES=$PWD/../docs go test -run Story .
func pictures(t *testing.T) string {
	if dir := os.Getenv("RETURNLEG_PICTURES"); dir != "" {
		return dir
	}
	return t.TempDir()
}

func (s *story) tell(t *testing.T, b *chromium.Browser, shoot func(*chromium.Tab, string)) {
	first := b.Tab(t)
	first.Open(s.app.URL + "/")
	first.Click(".hero .button")
	first.Click("input[name=agree]")
	first.Click("main form button")

	// Half a form, and off to the provider in a new tab. No the first time, yes the second.
	first.Type("#name", "Sunday films")
	first.Click("input[name=audience][value=household]")
	first.Click("input[name=habit][value=resume]")
	first.Type("#note", "Ask Grace for the ferry one")
	second := first.ClickToTab("#account button[name=provider]")
	s.refuse(second)
	second.Click(".hero .button")
	s.retry(second)

	// Both tabs know, and both still have what was filled in.
	for _, row := range []struct {
		name string
		tab  *chromium.Tab
	}{{"tab that returned", second}, {"tab that stayed", first}} {
		row.tab.WaitText("#account-title", "You are connected as Ada")
		checkForm(t, row.name, row.tab)
	}
	shoot(first, "example-library.png")

	// A reload of the tab that returned finds it all again.
	second.Reload()
	checkForm(t, "tab that returned, reloaded", second)

	first.Click("#account button")
	first.Click("main li:nth-child(1) input[name=video]")
	first.Click("main li:nth-child(3) input[name=video]")
	shoot(first, "example-videos.png")
	first.Click("main form .actions button")
	first.WaitText("h1", "All set, Ada")
	shoot(first, "example-done.png")

	first.Open(s.app.URL + "/")
	first.WaitText("h1", "Nice to meet you, Ada")
	// Signing out in one tab shows in the other, whose form stays as it is.
	first.Click("#who button")
	first.Wait("#who a.button")
	second.WaitText("#account-title", "Connect your account")
	checkForm(t, "tab that returned, signed out", second)

	first.Click("#who a.button")
	s.again(first)
	first.WaitText("h1", "Welcome back, Ada")

	// A page for people who are signed in is where they come back to.
	first.Click("#who button")
	first.Wait("#who a.button")
	first.Open(s.app.URL + "/done")
	s.again(first)
	first.WaitText("h1", "All set, Ada")
	if got, want := first.URL(), s.app.URL+"/done"; got != want {
		t.Errorf("after the third sign-in: got %s, want %s", got, want)
	}

	if s.after != nil {
		s.after(t)
	}
	if err := s.app.Stop(); err != nil {
		t.Errorf("SIGTERM: got %v, want an orderly end", err)
	}
	for _, secret := range []string{" code=", "?code=", "&code=", "state=", "access_token", "id_token"} {
		if strings.Contains(s.app.Output(), secret) {
			t.Errorf("the log contains %q", secret)
		}
	}
}

func checkForm(t *testing.T, name string, tab *chromium.Tab) {
	t.Helper()
	const script = `JSON.stringify([...new FormData(document.getElementById("library"))].filter(([k]) => k !== "page_tag"))`
	want := `[["name","Sunday films"],["audience","household"],["habit","resume"],["note","Ask Grace for the ferry one"]]`
	tab.Wait("#library")
	if got := tab.Script(script); got != want {
		t.Errorf("form in the %s: got %s, want %s", name, got, want)
	}
}
