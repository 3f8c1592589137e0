package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// worker is a service worker that passes navigations on, as many do that keep pages for later.
const worker = `
addEventListener("install", (e) => skipWaiting());
addEventListener("activate", (e) => e.waitUntil(clients.claim()));
addEventListener("fetch", (e) => { if (e.request.mode === "navigate") e.respondWith(fetch(e.request)); });`

// An app with such a worker signs people in like any other, and no link or form of another site replaces who
// is signed in.
func TestWorker(t *testing.T) {
	for _, row := range []struct {
		name     string
		sameSite http.SameSite
		mode     string
	}{
		{"Lax, query", http.SameSiteLaxMode, ""},
		{"Strict, query", http.SameSiteStrictMode, ""},
		{"Strict, form_post", http.SameSiteStrictMode, "form_post"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := chromium.New(t)
			s := newSite(t, row.sameSite, row.mode)
			first := b.Tab(t)
			first.Open(s.url + "/")
			first.Script(`navigator.serviceWorker.register("/worker.js"), "asked"`)
			first.WaitScript(`navigator.serviceWorker.controller !== null`)
			second := first.ClickToTab("#go")
			second.Click("button[name=account][value=ada]")
			second.Click("button[name=decision][value=allow]")
			second.WaitText("#who", "Ada Lovelace has three books")
			second.Reload()
			second.WaitText("#who", "Ada Lovelace has three books")
			if !strings.HasSuffix(second.URL(), "/mine?page=2") {
				t.Errorf("landed at %s", second.URL())
			}

			s.provider.SignInAs("grace") // who would come back at once
			other := strings.Replace(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				write(w, `<meta name="referrer" content="no-referrer"><a id="mine" href="%s/mine?page=3">a</a>
<a id="in" href="%[1]s/auth/practice/login?return_to=/mine">b</a>
<form method="post" action="%[1]s/auth/practice/login"><button id="post">c</button></form>`, s.url)
			})), "127.0.0.1", "localhost", 1)
			tab := b.Tab(t)
			tab.Open(other)
			tab.Click("#mine")
			tab.WaitText("#who", "Ada Lovelace has three books")
			tab.Open(other)
			tab.Click("#post")
			tab.WaitText("h1", "Sent from another site")
			tab.Open(other)
			tab.Click("#in")
			tab.WaitText("h1", "Sign in as somebody else?")
			second.Reload()
			second.WaitText("#who", "Ada Lovelace has three books")
			tab.Click(".button")
			tab.WaitText("#who", "Grace Hopper has")
		})
	}
}

// A Strict session, and a provider that answers at once to an address that was typed.
func TestStrict_typed(t *testing.T) {
	b := chromium.New(t)
	for _, mode := range []string{"", "form_post"} {
		s := newSite(t, http.SameSiteStrictMode, mode)
		s.provider.SignInAs("ada")
		tab := b.Tab(t)
		tab.Open(s.url + "/mine?page=2")
		tab.WaitText("#who", "Ada Lovelace has")
		if got := tab.URL(); got != s.url+"/mine?page=2" {
			t.Errorf("landed at %s", got)
		}
	}
}
