package integration_test

import (
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// The example, and the practice provider in it, are killed while somebody is at the provider, half a form
// behind them. With a store in a file they notice nothing.
func TestRestart(t *testing.T) {
	key := make([]byte, 32)
	rand.Read(key)
	address := app.Address(t)
	environment := []string{
		"STORE=sqlite:" + filepath.Join(t.TempDir(), "returnleg.db"), "KEYS=" + base64.StdEncoding.EncodeToString(key),
	}
	a := app.StartSQL(t, "..", address, environment...)
	first := chromium.New(t).Tab(t)
	first.Open(a.URL + "/terms")
	first.Click("input[name=agree]")
	first.Click("main form button")
	first.Type("#name", "Sunday films")
	first.Click("input[name=audience][value=household]")
	first.Click("input[name=habit][value=resume]")
	first.Type("#note", "Ask Grace for the ferry one")
	second := first.ClickToTab("#account button")
	second.Click("button[name=account][value=ada]")
	second.Wait("button[name=decision]")

	a.Kill()
	again := app.StartSQL(t, "..", address, environment...)
	if again.Practice != a.Practice {
		t.Fatalf("the practice provider is at %s, and was at %s", again.Practice, a.Practice)
	}
	second.Click("button[name=decision][value=allow]")
	for name, tab := range map[string]*chromium.Tab{"tab that returned": second, "tab that stayed": first} {
		tab.WaitText("#account-title", "You are connected as Ada")
		checkForm(t, name, tab)
	}
	first.Click("#account button")
	first.Wait("input[name=video]")
}
