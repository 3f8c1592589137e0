package integration_test

import (
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// decide is what somebody does at the practice provider: says who they are, and yes or no.
func decide(tab *chromium.Tab, account, decision string) {
	tab.Click("button[name=account][value=" + account + "]")
	tab.Click("button[name=decision][value=" + decision + "]")
}

// signIn signs somebody in from the home page.
func signIn(tab *chromium.Tab, a *app.App, account string) {
	tab.Open(a.URL + "/")
	tab.Click("#who a.button")
	decide(tab, account, "allow")
	tab.Wait("#who form")
}

// shelve signs Ada in and puts two videos on her shelf.
func shelve(tab *chromium.Tab, a *app.App) {
	signIn(tab, a, "ada")
	tab.Open(a.URL + "/terms")
	tab.Click("input[name=agree]")
	tab.Click("main form button")
	tab.Type("#name", "Sunday films")
	tab.Click("input[name=audience][value=me]")
	tab.Click("#account button")
	tab.Click("main li:nth-child(1) input[name=video]")
	tab.Click("main li:nth-child(3) input[name=video]")
	tab.Click("main form .actions button")
	tab.WaitText("h1", "All set, Ada")
}

// invite fills in half of the share form.
func invite(tab *chromium.Tab, to string) {
	tab.Type("#to", to)
	tab.Type("#message", "The ferry one\nis the best")
	tab.Click("#videos label:last-of-type input")
}

func checkInvitation(t *testing.T, name string, tab *chromium.Tab, to string) {
	t.Helper()
	const script = `JSON.stringify([...new FormData(document.getElementById("share"))].filter(([k]) => k !== "page_tag" && k !== "video"))`
	tab.Wait("#share")
	tab.WaitScript(`document.body.innerText.trim() !== ""`) // brought back, it is hidden until its person is known
	if got, want := tab.Script(script), `[["to","`+to+`"],["message","The ferry one\nis the best"]]`; got != want {
		t.Errorf("form in the %s: got %s, want %s", name, got, want)
	}
	if got := tab.Script(`[...document.querySelectorAll("[name=video]")].map((e) => e.checked).join()`); got != "false,true" {
		t.Errorf("videos in the %s: got %s, want the second one", name, got)
	}
}

// One more scope in the middle of a form, asked for in a new tab: the form is as it was in both, and
// both know.
func TestShare(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	first := chromium.New(t).Tab(t)
	shelve(first, a)
	first.Open(a.URL + "/share")
	invite(first, "Grace")

	second := first.CtrlClickToTab("#permission button")
	decide(second, "ada", "allow")
	second.Wait("#permission.connected button")
	checkInvitation(t, "tab that returned", second, "Grace")
	second.Reload()
	second.Wait("#permission.connected button")
	checkInvitation(t, "tab that returned, reloaded", second, "Grace")

	first.Wait("#permission.connected button")
	checkInvitation(t, "tab that stayed", first, "Grace")
	if got, want := first.Text("#notice"), "Sharing is allowed now. What you have filled in is still here."; got != want {
		t.Errorf("tab that stayed: got %q, want %q", got, want)
	}
	first.Click("#permission button")
	first.WaitText("#sent + ul strong", "Grace")
	if got := first.Value("#to"); got != "" {
		t.Errorf("form that was sent: got %q, want it empty", got)
	}
}

// A no takes nothing away, says so, and asks again only when the person does.
func TestShareDenied(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	tab := chromium.New(t).Tab(t)
	shelve(tab, a)
	tab.Open(a.URL + "/share")
	invite(tab, "Grace")
	tab.Click("#permission button")
	decide(tab, "ada", "deny")
	tab.WaitText("h1", "Nothing was changed")
	if got, want := tab.Text(".hero .lead"), "You said no, and that is fine."; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	tab.Click(".hero .button.quiet")
	checkInvitation(t, "tab that came back with a no", tab, "Grace")
	tab.Wait("#permission:not(.connected) button")
	tab.Back() // the answer of the provider is spent: it leads to the form, and not away again
	checkInvitation(t, "tab that went back to the answer", tab, "Grace")
	tab.Open(a.URL + "/videos") // what was allowed before still is
	tab.Wait("input[name=video]")

	// Left out, which is a no that looks like a yes.
	tab.Open(a.URL + "/share")
	invite(tab, "Emmy")
	tab.Click("#permission button")
	tab.Click("button[name=account][value=ada]")
	tab.Click("input[name=scope][value='videos.edit']")
	tab.Click("button[name=decision][value=allow]")
	tab.WaitText("p.notice", "Practice still does not let others watch")
	checkInvitation(t, "tab that came back without it", tab, "Emmy")

	tab.Click("#permission button")
	decide(tab, "ada", "allow")
	tab.Wait("#permission.connected button")
	checkInvitation(t, "tab that came back with a yes", tab, "Emmy")
}

// Two tabs ask at once, and come back in the other order, each to its own form.
func TestShareTwice(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	b := chromium.New(t)
	first, second := b.Tab(t), b.Tab(t)
	shelve(first, a)
	for _, row := range []struct {
		tab *chromium.Tab
		to  string
	}{{first, "Grace"}, {second, "Emmy"}} {
		row.tab.Open(a.URL + "/share")
		invite(row.tab, row.to)
		row.tab.Click("#permission button")
		row.tab.Wait("button[name=account]")
	}
	decide(second, "ada", "allow")
	second.Wait("#permission.connected button")
	checkInvitation(t, "second tab", second, "Emmy")
	decide(first, "ada", "allow")
	first.Wait("#permission.connected button")
	checkInvitation(t, "first tab", first, "Grace")
	checkInvitation(t, "second tab, a moment later", second, "Emmy")
}
