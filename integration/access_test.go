package integration_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// From the first page to the last without a mouse: every stop of the Tab key can be seen.
func TestKeyboard(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	tab := chromium.New(t).Tab(t)
	tab.Open(a.URL + "/")
	tab.TabTo(".skip")
	tab.TabTo(".hero .button")
	tab.Press(kb.Enter)
	tab.Wait("input[name=agree]")
	tab.TabTo("input[name=agree]")
	tab.Press(" ")
	tab.TabTo("main form button")
	tab.Press(kb.Enter)
	tab.Wait("#library")
	tab.TabTo("#name")
	tab.Press("Sunday films")
	tab.TabTo("input[name=audience]")
	tab.Press(" ")
	tab.TabTo("#account button")
	provider := tab.PressToTab(kb.Enter)
	provider.Wait("button[name=account]")
	provider.TabTo("button[value=ada]")
	provider.Press(kb.Enter)
	provider.Wait("button[name=decision]")
	provider.TabTo("button[value=allow]")
	provider.Press(kb.Enter)

	// In the tab that stayed, the focus is still on the button, which is another one now.
	tab.WaitText("#account-title", "You are connected as Ada")
	if got, want := tab.Script(`document.activeElement.textContent`), "Continue"; got != want {
		t.Errorf("focus in the tab that stayed: got %q, want %q", got, want)
	}
	tab.Press(kb.Enter)
	tab.Wait("input[name=video]")
	tab.TabTo("input[name=video]")
	tab.Press(" ")
	tab.TabTo("main form .actions button")
	tab.Press(kb.Enter)
	tab.WaitText("h1", "All set, Ada")
}

// Every page has what a reader of screens needs, text that can be told from what is behind it, and no
// need to scroll sideways on the narrowest phone.
func TestPagesAreAccessible(t *testing.T) {
	a := app.Start(t, "..", app.Address(t))
	b := chromium.New(t)
	shelve(b.Tab(t), a)
	wrong := func(tab *chromium.Tab, form, button string) {
		tab.Script(`document.querySelector("` + form + `").noValidate = true, ""`)
		tab.Click(button)
	}
	for _, row := range []struct {
		name, path string
		open       func(testing.TB) *chromium.Tab
		act        func(*chromium.Tab) // what leads on from path
	}{
		{name: "home", path: "/", open: b.Elsewhere},
		{name: "terms", path: "/terms", open: b.Elsewhere},
		{name: "terms not accepted", path: "/terms", open: b.Elsewhere, act: func(tab *chromium.Tab) { wrong(tab, "main form", "main form button"); tab.Wait(".error") }},
		{name: "who are you", path: "/done", open: b.Elsewhere},
		{name: "consent", path: "/auth/practice/login", open: b.Elsewhere, act: func(tab *chromium.Tab) { tab.Click("button[name=account]") }},
		{name: "gate a second time", path: "/done", open: b.Elsewhere, act: func(tab *chromium.Tab) { tab.Open(a.URL + "/done"); tab.Wait(".hero") }},
		{name: "denied", path: "/auth/practice/login", open: b.Elsewhere, act: func(tab *chromium.Tab) { decide(tab, "ada", "deny"); tab.Wait(".hero") }},
		{name: "callback of another browser", path: "/auth/practice/callback?state=x&code=y", open: b.Elsewhere},
		{name: "not found", path: "/nothing", open: b.Elsewhere},
		{name: "home, signed in", path: "/", open: b.Tab},
		{name: "library", path: "/library", open: b.Tab},
		{name: "library with mistakes", path: "/library", open: b.Tab, act: func(tab *chromium.Tab) {
			tab.Script(`document.getElementById("name").value = ""`)
			wrong(tab, "#library", "#account button")
			tab.Wait(".error")
		}},
		{name: "videos", path: "/videos", open: b.Tab},
		{name: "done", path: "/done", open: b.Tab},
		{name: "share", path: "/share", open: b.Tab},
		{name: "accounts", path: "/accounts", open: b.Tab},
		{name: "accounts with a mistake", path: "/accounts", open: b.Tab, act: func(tab *chromium.Tab) {
			wrong(tab, "#connect-practice", "#connect-practice button")
			tab.Wait("#wrong")
		}},
		{name: "sign out", path: "/auth/logout", open: b.Tab},
	} {
		t.Run(row.name, func(t *testing.T) {
			tab := row.open(t)
			tab.Open(a.URL + row.path)
			if row.act != nil {
				row.act(tab)
			}
			tab.Wait("h1")
			checkNames(t, tab.Nodes())
			for _, scheme := range []string{"light", "dark"} {
				tab.Prefer("prefers-color-scheme", scheme)
				if got := tab.Script(audit); got != "" {
					t.Errorf("%s:\n%s", scheme, got)
				}
			}
			tab.Resize(320, 640)
			defer tab.Resize(1024, 768)
			if got := tab.Script(`String(document.documentElement.scrollWidth)`); got != "320" {
				t.Errorf("in a window of 320 pixels the page has %s", got)
			}
		})
	}
}

// checkNames wants a name for all that can be used, and one region that is the page's own.
func checkNames(t *testing.T, nodes []chromium.Node) {
	t.Helper()
	named := []string{"RootWebArea", "button", "link", "textbox", "checkbox", "radio", "heading", "region", "group", "navigation"}
	mains := 0
	for _, n := range nodes {
		if n.Role == "main" {
			mains++
		}
		if slices.Contains(named, n.Role) && strings.TrimSpace(n.Name) == "" {
			t.Errorf("got a %s without a name", n.Role)
		}
	}
	if mains != 1 {
		t.Errorf("got %d main regions, want 1", mains)
	}
}

// audit returns what is wrong with a page, line by line: language, order of headings, ids that occur
// twice, references to ids that are not there, and text whose contrast is below 4.5, or 3 if it is large
// (WCAG 2.2, success criterion 1.4.3).
const audit = `(() => {
	const wrong = [];
	if (!document.documentElement.lang) wrong.push("no language");
	let level = 0;
	for (const h of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
		const now = Number(h.tagName[1]);
		if (now > level + 1) wrong.push(h.tagName + " after level " + level + ": " + h.textContent);
		level = now;
	}
	if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
	const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
	for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) wrong.push("id twice: " + id);
	for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby], label[for]"))
		for (const name of ["aria-describedby", "aria-labelledby", "for"])
			for (const id of (e.getAttribute(name) ?? "").split(" ").filter(Boolean))
				if (!ids.includes(id)) wrong.push(name + " of nothing: " + id);

	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	const rgb = (color, over) => {
		canvas.clearRect(0, 0, 1, 1);
		for (const c of [over, color]) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); }
		return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
	};
	const css = (c) => "rgb(" + c.join() + ")";
	const behind = (e) => {
		const all = [];
		for (let at = e; at; at = at.parentElement) all.push(getComputedStyle(at).backgroundColor);
		return all.reduceRight((under, c) => css(rgb(c, under)), getComputedStyle(document.body).colorScheme.includes("dark") && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff");
	};
	const light = (c) => c.map((x) => x / 255).map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
		.reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
	document.getAnimations().forEach((a) => a.finish());
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim()) || !e.checkVisibility()) continue;
		const style = getComputedStyle(e), under = behind(e);
		const [a, b] = [light(rgb(style.color, under)), light(rgb(under, "#fff"))].sort((x, y) => y - x);
		const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
		const contrast = (a + 0.05) / (b + 0.05);
		if (contrast < (large ? 3 : 4.5)) wrong.push("contrast " + contrast.toFixed(2) + ": " + e.textContent.trim().slice(0, 60));
	}
	return wrong.join("\n");
})()`
