package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
)

const signedInThere = "Ada Lovelace has three books"

// The address of a callback in the bar once more: a reload, a bookmark, a tab that the browser restored.
func TestCallbackAgain(t *testing.T) {
	s := newSite(t, http.SameSiteLaxMode, "")
	b := chromium.New(t)
	tab := b.Tab(t)
	tab.Open(s.url + "/")

	// A no, and the same no again: the person can still say yes.
	tab.Click("#here")
	decide(tab, "ada", "deny")
	tab.WaitText("h1", "Nothing was connected")
	tab.Reload()
	tab.WaitText("h1", "Nothing was connected")
	tab.Click(".ways .button")
	decide(tab, "ada", "allow")
	tab.WaitText("#who", signedInThere)

	denied, finished := <-s.came, ""
	for len(s.came) > 0 {
		finished = <-s.came
	}
	for _, row := range []struct {
		name, address string
		tab           *chromium.Tab
	}{
		{"finished", finished, tab},
		{"finished, in a new tab", finished, b.Tab(t)},
		{"denied long ago", denied, tab},
	} {
		row.tab.Open(row.address)
		row.tab.WaitText("#who", signedInThere)
		if got, want := row.tab.URL(), s.url+"/mine?page=2"; got != want {
			t.Errorf("%s: landed at %s, want %s", row.name, got, want)
		}
	}
	stranger := b.Elsewhere(t)
	stranger.Open(finished)
	stranger.WaitText("h1", "We do not recognize this sign-in")
	if got := s.provider.Ledger().Count("token"); got != 1 {
		t.Errorf("token requests: got %d, want 1", got)
	}
}

// People who click everything twice are signed in once.
func TestDoubleClick(t *testing.T) {
	s := newSite(t, http.SameSiteLaxMode, "")
	tab := chromium.New(t).Tab(t)
	tab.Open(s.url + "/")
	tab.DoubleClick("#here")
	tab.Click("button[name=account][value=ada]")
	tab.DoubleClick("button[name=decision][value=allow]")
	tab.WaitText("#who", signedInThere)
	if got, want := tab.URL(), s.url+"/mine?page=2"; got != want {
		t.Errorf("landed at %s, want %s", got, want)
	}
	if got := s.provider.Ledger().Repeated(); len(got) != 0 {
		t.Errorf("got %d codes that were sent twice, want none", len(got))
	}
}

// After signing out, the back button shows nothing of what was there before, not even what the browser
// itself has kept.
func TestBackAfterSignOut(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	b := chromium.New(t)
	shelve(b.Tab(t), a)
	for _, path := range []string{"/", "/library", "/videos", "/done", "/share", "/accounts"} {
		t.Run(path, func(t *testing.T) {
			tab := b.Tab(t)
			if path != "/" { // the first is still signed in
				signIn(tab, a, "ada")
			}
			tab.Open(a.URL + path)
			tab.Click("#who form button")
			tab.WaitText("h1", "A quiet shelf")
			tab.Back()
			tab.WaitScript(`document.body.innerText.trim() !== ""`) // hidden text does not count
			if strings.HasPrefix(tab.URL(), a.Practice) {
				return // a gate, which sends to sign in, to a page that shows everybody's name
			}
			shown := tab.URL() + "\n" + tab.Script(`document.body.innerText + [...document.querySelectorAll("input, textarea")].map((e) => e.value)`)
			for _, private := range []string{"Ada", "Sunday films", "Notes by the translator"} {
				if strings.Contains(shown, private) {
					t.Errorf("got %q in %s", private, shown)
				}
			}
		})
	}
}

// A half-filled form comes back with the back button: from the provider, and from another page that
// tells all tabs that it has opened.
func TestBackKeepsForm(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	tab := chromium.New(t).Tab(t)
	shelve(tab, a)
	tab.Open(a.URL + "/share")
	invite(tab, "Grace")
	tab.Click("#permission button")
	tab.Wait("button[name=account]")
	tab.Back()
	checkInvitation(t, "tab that went back from the provider", tab, "Grace")

	tab.Click("#who .name")
	tab.Wait("#devices")
	tab.Back()
	checkInvitation(t, "tab that went back from another page", tab, "Grace")

	tab.Click("#permission button") // and it still works
	decide(tab, "ada", "allow")
	tab.Wait("#permission.connected button")
	checkInvitation(t, "tab that returned", tab, "Grace")
}
