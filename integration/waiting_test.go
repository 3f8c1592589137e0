package integration_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// The tab that stays open keeps what was filled in through a reload, before anybody has come back and after;
// and it says so only over a form that has something.
func TestWaitingTab(t *testing.T) {
	b := chromium.New(t)
	a := app.Start(t, "..", app.Address(t))
	first := b.Tab(t)
	first.Open(a.URL + "/terms")
	first.Click("input[name=agree]")
	first.Click("main form button")
	first.Type("#name", "Sunday films")
	first.Click("input[name=audience][value=household]")
	first.Click("input[name=habit][value=resume]")
	first.Type("#note", "Ask Grace for the ferry one")
	second := first.ClickToTab("#account button[name=provider]")
	second.Wait("button[name=account][value=ada]")
	first.Reload()
	checkForm(t, "waiting tab, reloaded", first)
	at, err := url.Parse(first.URL())
	if err != nil || at.Path != "/library" || len(at.Query().Get("waiting")) != 16 {
		t.Errorf("the waiting tab is at %s", first.URL())
	}
	// A tab that is typed anew has the address without it, and knows nothing.
	fresh := b.Tab(t)
	fresh.Open(a.URL + "/library")
	if got := fresh.Value("#name"); got != "" {
		t.Errorf("a new tab has %q", got)
	}
	second.Click("button[name=account][value=ada]")
	second.Click("button[name=decision][value=allow]")
	second.WaitText("#account-title", "You are connected as Ada")
	first.WaitText("#account-title", "You are connected as Ada")
	checkForm(t, "waiting tab", first)
	first.Reload()
	first.WaitText("#account-title", "You are connected as Ada")
	checkForm(t, "waiting tab, reloaded afterwards", first)
	first.Screenshot(filepath.Join(pictures(t), "waiting-library.png"))

	fresh.WaitText("#account-title", "You are connected as Ada")
	if got := fresh.Text("#notice"); strings.Contains(got, "still here") || !strings.Contains(got, "You are connected as Ada") {
		t.Errorf("over an empty form: %q", got)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}
