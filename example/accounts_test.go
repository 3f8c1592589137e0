package main

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// connecting is the form that connects one more account, called name.
func connecting(v view, provider, name string) url.Values {
	return url.Values{"purpose": {"link"}, "provider": {provider}, "called": {name}, "page_tag": {v.tag()}}
}

func disconnecting(v view, label string) url.Values {
	return url.Values{"provider": {"practice"}, "label": {label}, "page_tag": {v.tag()}}
}

// lacks checks for texts that a page must not have.
func (b *browser) lacks(v view, texts ...string) {
	b.t.Helper()
	text := html.UnescapeString(v.body)
	for _, s := range texts {
		if strings.Contains(text, s) {
			b.t.Errorf("%s: got %q on the page", v.at, s)
		}
	}
}

var retryForm = regexp.MustCompile(`<form id="retry" method="post" action="([^"]+)"`)

// retry presses the button of a page about a sign-in that adds to an account.
func (b *browser) retry(v view) view {
	b.t.Helper()
	m := retryForm.FindStringSubmatch(v.body)
	if m == nil {
		b.t.Fatalf("%s: got no button on the page:\n%s", v.at, v.body)
	}
	return b.submit(html.UnescapeString(m[1]), nil)
}

// A second account at the same provider, and its end.
func TestAccounts(t *testing.T) {
	b := newStage(t, nil).browser()
	b.signIn()
	v := b.open("/accounts")
	b.shows(v, 200, "Connected", "you signed in with it", "Another Practice account", "Where you are signed in")

	leaving := b.submit("/accounts/connect", connecting(v, "practice", "My Work"))
	if !strings.HasPrefix(leaving.to, b.idp.Issuer()) {
		t.Fatalf("connect led to %q (%d), want the provider", leaving.to, leaving.status)
	}
	v = b.approve(leaving, "grace")
	b.shows(v, 200, "Practice · my-work", "<span>Grace Hopper", "Allowed: who you are, your name", `data-user="`, `href="/accounts">Ada Lovelace`)
	b.shows(b.submit("/accounts/connect", connecting(v, "practice", "my  work")), 422, "is connected already", `value="my  work"`)

	v = b.submit("/accounts/disconnect", disconnecting(v, "my-work"))
	b.shows(v, 200, "you signed in with it", "The account is disconnected")
	b.lacks(v, "my-work", "Grace Hopper")
	b.lacks(b.open("/accounts"), "is disconnected") // it is told once
	if got := b.idp.Ledger().Of("authorize"); len(got) != 2 {
		t.Errorf("got %d visits to the provider, want 2", len(got))
	}

	// Without the one of the sign-in: the person stays, their videos need it.
	v = b.submit("/accounts/disconnect", disconnecting(v, ""))
	b.shows(v, 200, "Nothing is connected", "Connect Practice", `href="/accounts">Ada Lovelace`)
	gone := b.open("/videos")
	b.shows(gone, 403, "needs connecting again")
	b.shows(b.approve(b.submit("/accounts/connect", connecting(v, "practice", "")), "ada"), 200, "you signed in with it")
	b.shows(b.open("/videos"), 200, "Nanoseconds")
}

// A connection that Ada has ended at the provider is connected again, under its own name.
func TestConnectEnded(t *testing.T) {
	s := newStage(t, nil)
	b := s.browser()
	b.signIn()
	s.idp.EndGrants("ada")
	s.idp.ExpireAccess()
	b.shows(b.open("/videos"), 403, "needs connecting again")
	v := b.open("/accounts")
	b.shows(v, 200, "has ended over there", "Connect Practice")
	v = b.approve(b.submit("/accounts/connect", connecting(v, "practice", "")), "ada")
	b.shows(v, 200, "you signed in with it", "Another Practice account")
	b.lacks(v, "has ended")
	b.shows(b.open("/videos"), 200, "Nanoseconds")
}

func TestConnectDenied(t *testing.T) {
	b := newStage(t, nil).browser()
	b.signIn()
	denied := b.deny(b.submit("/accounts/connect", connecting(b.open("/accounts"), "practice", "work")))
	b.shows(denied, 403, "Nothing was changed", "Try again", "Back to where you were")
	b.lacks(b.open(denied.link("Back to where you were")), "work</strong>")
	v := b.approve(b.retry(denied), "grace") // the label comes along
	b.shows(v, 200, "Practice · work", "<span>Grace Hopper", "<span>Ada Lovelace ·")
}

// The account that Ada connects is Grace's own here: it takes a second word to move it.
func TestConnectTaken(t *testing.T) {
	s := newStage(t, nil)
	grace := s.browser()
	grace.approve(grace.open(grace.open("/").link("Sign in")), "grace")

	ada := s.browser()
	ada.signIn()
	taken := ada.approve(ada.submit("/accounts/connect", connecting(ada.open("/accounts"), "practice", "work")), "grace")
	ada.shows(taken, 409, "That account is in use", "Move it to this account")
	grace.shows(grace.open("/"), 200, "Nice to meet you, Grace")

	ada.shows(ada.approve(ada.retry(taken), "grace"), 200, "Practice · work", "Ada Lovelace")
	grace.shows(grace.open("/"), 200, "A quiet shelf") // signed out: it is Ada's now
}

// A second provider besides the one of the sign-in, which needs no name.
func TestConnectAnotherProvider(t *testing.T) {
	b := newStage(t, func(p service) []service {
		second := openID(p.provider.(*providers.OIDC).Issuer, providertest.ClientID, providertest.ClientSecret, nil)
		second.Label = "Second"
		return []service{p, second}
	}).browser()
	b.signIn()
	v := b.open("/accounts")
	b.shows(v, 200, "Another Practice account", "Connect Second")
	v = b.approve(b.submit("/accounts/connect", connecting(v, "oidc", "")), "grace")
	b.shows(v, 200, "Second", "<span>Grace Hopper", "Another Second account", `href="/accounts">Ada Lovelace`)
	b.shows(b.open("/videos"), 200, "Practice account") // the one of the sign-in still is
}

func TestAccountsRefuse(t *testing.T) {
	b := newStage(t, nil).browser()
	b.signIn()
	v := b.open("/accounts")
	for _, tt := range []struct {
		name, path string
		form       url.Values
		status     int
		want       string
	}{
		{"unknown provider", "/accounts/connect", connecting(v, "nobody", "work"), 422, "Choose an account"},
		{"no name", "/accounts/connect", connecting(v, "practice", " "), 422, "short name"},
		{"not a name", "/accounts/connect", connecting(v, "practice", "<work>"), 422, `value="<work>"`},
		{"long name", "/accounts/connect", connecting(v, "practice", strings.Repeat("w", 33)), 422, "short name"},
		{"connect, page of nobody", "/accounts/connect", connecting(view{}, "practice", "work"), 409, "Open it again"},
		{"disconnect, page of nobody", "/accounts/disconnect", disconnecting(view{}, ""), 409, "Open it again"},
		{"sign out, page of nobody", "/accounts/sign-out", nil, 409, "Open it again"},
		{"sign out others, page of nobody", "/accounts/sign-out-others", nil, 409, "Open it again"},
		{"nothing to disconnect", "/accounts/disconnect", disconnecting(v, "other"), 200, "you signed in with it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.shows(b.submit(tt.path, tt.form), tt.status, tt.want)
		})
	}
	b.shows(b.open("/accounts/connect"), 200, "Connect one more") // a reload
}

var sessionField = regexp.MustCompile(`name="session" value="([^"]+)"`)

// Ada at three browsers, and Grace at one.
func TestDevices(t *testing.T) {
	s := newStage(t, nil)
	arrive := func(agent, account string) *browser {
		b := s.browser()
		b.agent = agent
		b.approve(b.open(b.open("/").link("Sign in")), account)
		return b
	}
	desk, phone, other, grace := arrive(firefox, "ada"), arrive(iphone, "ada"), arrive("", "ada"), arrive(iphone, "grace")

	v := desk.open("/accounts")
	desk.shows(v, 200, "Firefox on Linux", "This one, since", "Safari on iPhone", "Sign out everywhere else")
	if here, there := strings.Index(v.body, "This one"), strings.Index(v.body, "Last used"); here > there {
		t.Error("this browser is not the first of the list")
	}
	ids := sessionField.FindAllStringSubmatch(v.body, -1)
	if len(ids) != 2 {
		t.Fatalf("got %d other devices, want 2", len(ids))
	}
	grace.lacks(grace.open("/accounts"), "Firefox", "everywhere else")

	// Somebody else's session is not hers to end.
	ending := func(b *browser, id string) url.Values {
		return url.Values{"session": {id}, "page_tag": {b.open("/accounts").tag()}}
	}
	for _, id := range ids {
		grace.submit("/accounts/sign-out", ending(grace, id[1]))
	}
	phone.shows(phone.open("/"), 200, "Ada")

	at := regexp.MustCompile(`(?s)Safari on iPhone.*?name="session" value="([^"]+)"`).FindStringSubmatch(v.body)
	v = desk.submit("/accounts/sign-out", ending(desk, html.UnescapeString(at[1])))
	desk.lacks(v, "iPhone")
	phone.shows(phone.open("/"), 200, "A quiet shelf")
	other.shows(other.open("/"), 200, "Ada")

	v = desk.submit("/accounts/sign-out-others", url.Values{"page_tag": {v.tag()}})
	desk.shows(v, 200, "Firefox on Linux")
	desk.lacks(v, "everywhere else")
	other.shows(other.open("/"), 200, "A quiet shelf")
	grace.shows(grace.open("/"), 200, "Grace")
}

// Forms of another site end nothing and connect nothing.
func TestAccountsOfAnotherSite(t *testing.T) {
	b := newStage(t, nil).browser()
	b.signIn()
	v := b.open("/accounts")
	for _, path := range []string{"/accounts/connect", "/accounts/disconnect", "/accounts/sign-out", "/accounts/sign-out-others", "/share", "/share/allow"} {
		got := b.send(http.MethodPost, path, connecting(v, "practice", "work"), "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		if got.status != http.StatusForbidden {
			t.Errorf("%s: got status %d, want 403", path, got.status)
		}
	}
}
