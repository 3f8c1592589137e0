package integration_test

import (
	"testing"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// A second account at one provider, a third that has to change hands, and their end.
func TestAccounts(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	b := chromium.New(t)
	tab, other := b.Tab(t), b.Elsewhere(t)
	signIn(tab, a, "ada")
	signIn(other, a, "emmy")

	tab.Click("#who .name")
	tab.Type("#called-practice", "two words, and more")
	tab.Click("#connect-practice button")
	tab.WaitText("#wrong", "Give the account a short name")
	if got, want := tab.Script(`document.activeElement.id`), "called-practice"; got != want {
		t.Errorf("focus after a mistake: got %s, want %s", got, want)
	}
	connect := func(name, account, decision string) {
		tab.Open(a.URL + "/accounts")
		tab.Type("#called-practice", name)
		tab.Click("#connect-practice button")
		decide(tab, account, decision)
	}

	connect("work", "grace", "deny")
	tab.WaitText("h1", "Nothing was changed")
	tab.Click("button[form=retry]")
	decide(tab, "grace", "allow")
	tab.WaitText("#connections li:nth-child(2) div", "Practice · work\nGrace Hopper")
	if got, want := tab.Text("#who .name"), "Ada Lovelace"; got[:len(want)] != want {
		t.Errorf("signed in after connecting Grace: got %q, want %s", got, want)
	}

	// Emmy is somebody here. It takes a second word, and another yes at the provider.
	connect("third", "emmy", "allow")
	tab.WaitText("h1", "That account is in use")
	other.Open(a.URL + "/")
	other.WaitText("h1", "Nice to meet you, Emmy")
	tab.Click(".hero .button.quiet")
	tab.Wait("#connections li:nth-child(2):last-child")
	connect("third", "emmy", "allow")
	tab.Click("button[form=retry]")
	decide(tab, "emmy", "allow")
	tab.WaitText("#connections li:nth-child(2) div", "Practice · third\nEmmy Noether")
	other.Open(a.URL + "/")
	other.WaitText("h1", "A quiet shelf")

	tab.Click("#connections li:nth-child(2) button")
	tab.WaitText("p.notice", "The account is disconnected")
	tab.WaitText("#connections li:nth-child(2) div", "Practice · work")
	tab.Reload()
	tab.Wait("#connections li:nth-child(2):last-child")
	if got := tab.Script(`document.querySelector("p.notice:not(:empty)")?.textContent ?? "nothing"`); got != "nothing" {
		t.Errorf("told a second time: %q", got)
	}
}

// Ada in three browsers: she signs one of them out from another, then all but the one before her.
func TestDevices(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	b := chromium.New(t)
	here, there, away := b.Tab(t), b.Elsewhere(t), b.Elsewhere(t)
	for _, tab := range []*chromium.Tab{there, away, here} {
		signIn(tab, a, "ada")
	}
	here.Open(a.URL + "/accounts")
	here.WaitText("#devices li:nth-child(1) span", "This one, since")
	here.Wait("#devices li:nth-child(3):last-child")
	here.Click("#devices li:nth-child(2) button") // the latest of the others
	here.WaitText("p.notice", "That browser is signed out")
	here.Wait("#devices li:nth-child(2):last-child")
	away.Reload()
	away.WaitText("h1", "A quiet shelf")
	there.Reload()
	there.Wait("#who form")

	here.Click("#devices + form button")
	here.WaitText("p.notice", "You are signed out everywhere but here")
	here.Wait("#devices li:only-child")
	there.Reload()
	there.WaitText("h1", "A quiet shelf")
	here.Reload()
	here.WaitText("#devices li:only-child span", "This one, since")
}
