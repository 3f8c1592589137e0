package integration_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/chromium"
)

// A trip leaves the app for the provider and comes back.
type trip struct {
	name string
	way  string // how the provider sends the browser back
	then string // what the callback does
	new  bool   // in a new tab
	want seen   // of the page where it ends
}

// take makes the trip in a browser that has all cookies, and returns what the app saw at its end.
func (tr trip) take(t *testing.T, b *chromium.Browser, g *ground) seen {
	t.Helper()
	tab := b.Tab(t)
	tab.Open(g.app + "/?" + url.Values{"way": {tr.way}, "then": {tr.then}}.Encode())
	if tr.new {
		tab = tab.ClickToTab("#go-new")
	} else {
		tab.Click("#go")
	}
	if tr.way == "link in a new tab" {
		tab = tab.ClickToTab("#allow")
	} else if tr.way != "redirect" {
		tab.Click("#allow")
	}
	return read(t, tab)
}

func takeAll(t *testing.T, trips []trip) {
	t.Helper()
	b, g := chromium.New(t), newGround(t)
	for _, tr := range trips {
		t.Run(tr.name, func(t *testing.T) {
			got := tr.take(t, b, g)
			if got.Method != tr.want.Method {
				t.Errorf("method: got %s, want %s", got.Method, tr.want.Method)
			}
			if got.Site != tr.want.Site {
				t.Errorf("Sec-Fetch-Site: got %s, want %s", got.Site, tr.want.Site)
			}
			if !slices.Equal(got.Cookies, tr.want.Cookies) {
				t.Errorf("cookies: got %v, want %v", got.Cookies, tr.want.Cookies)
			}
		})
	}
}

// A provider that knows the person answers at once: even a Strict cookie comes back, which is why
// sites that depend on one fail only now and then.
func TestBrowser_row1_redirects_only(t *testing.T) {
	takeAll(t, []trip{
		{name: "same tab", way: "redirect", want: seen{Method: "GET", Site: "cross-site", Cookies: kinds}},
		{name: "new tab", way: "redirect", new: true, want: seen{Method: "GET", Site: "cross-site", Cookies: kinds}},
	})
}

func TestBrowser_row2_provider_page(t *testing.T) {
	want := seen{Method: "GET", Site: "cross-site", Cookies: without("strict")}
	takeAll(t, []trip{
		{name: "link", way: "link", want: want},
		{name: "script", way: "script", want: want},
		{name: "meta refresh", way: "meta refresh", want: want},
		{name: "form, then 303", way: "form", want: want},
		{name: "link in a new tab", way: "link in a new tab", want: want},
		{name: "link, all in a new tab", way: "link", new: true, want: want},
		{name: "form, all in a new tab", way: "form", new: true, want: want},
	})
}

// A redirect of our own does not make the navigation ours.
func TestBrowser_row3_redirect_keeps_strict_away(t *testing.T) {
	want := seen{Method: "GET", Site: "cross-site", Cookies: without("strict")}
	takeAll(t, []trip{
		{name: "302", way: "form", then: "302", want: want},
		{name: "303", way: "form", then: "303", want: want},
		{name: "303 after a link", way: "link", then: "303", want: want},
	})
}

func TestBrowser_row4_own_page_brings_strict_back(t *testing.T) {
	want := seen{Method: "GET", Site: "same-origin", Cookies: kinds}
	takeAll(t, []trip{
		{name: "meta refresh", way: "form", then: "refresh", want: want},
		{name: "location.replace", way: "form", then: "replace", want: want},
		{name: "meta refresh in a new tab", way: "form", then: "refresh", new: true, want: want},
		{name: "meta refresh after form_post", way: "form_post", then: "refresh", want: want},
	})
}

// The cookies without SameSite come back because they are younger than two minutes: a test that is
// quick does not notice that sign-ins of slow people fail.
func TestBrowser_row5_form_post(t *testing.T) {
	want := seen{Method: "POST", Site: "cross-site", Cookies: without("__Host-lax", "lax", "strict")}
	takeAll(t, []trip{
		{name: "same tab", way: "form_post", want: want},
		{name: "new tab", way: "form_post", new: true, want: want},
	})
}

func TestBrowser_row6_form_post_then_303(t *testing.T) {
	want := seen{Method: "GET", Site: "cross-site", Cookies: without("strict")}
	takeAll(t, []trip{
		{name: "same tab", way: "form_post", then: "303", want: want},
		{name: "new tab", way: "form_post", then: "303", new: true, want: want},
	})
}
