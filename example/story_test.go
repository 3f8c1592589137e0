package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// half is the form, half filled in.
func half(v view) url.Values {
	return url.Values{"name": {"Sunday <films>"}, "habit": {"captions"}, "note": {"Start with\nthe short ones."}, "provider": {"practice"}, "page_tag": {v.tag()}}
}

// stillFilled are traces of half in a page.
var stillFilled = []string{`value="Sunday <films>"`, "value=\"captions\" checked", "Start with\nthe short ones.</textarea>"}

// whole is the form, finished.
func whole(v view) url.Values {
	f := half(v)
	f.Del("provider")
	f.Set("audience", "household")
	return f
}

func TestStory(t *testing.T) {
	b := newStage(t, nil).browser()

	b.shows(b.open("/"), 200, "A quiet shelf", "Begin", "Sign in")
	b.shows(b.open("/library"), 200, "The terms") // not before they are accepted
	b.shows(b.submit("/terms", url.Values{"page_tag": {b.open("/terms").tag()}}), 422, "Tick the box")
	original := b.acceptTerms()
	b.shows(original, 200, "Connect your account", `formtarget="_blank"`)

	leaving := b.submit("/connect", half(original))
	if !strings.HasPrefix(leaving.to, b.idp.Issuer()) {
		t.Fatalf("connect led to %q, want the provider", leaving.to)
	}
	returned := b.approve(leaving, "ada")
	b.shows(returned, 200, append(stillFilled, "You are connected as Ada Lovelace")...)
	b.shows(b.open(returned.at), 200, stillFilled...) // a reload

	// The original tab, by its script: it asks who is signed in, and takes the tag from a fresh copy.
	var status struct {
		SignedIn bool `json:"signed_in"`
		User     struct{ ID, Name string }
	}
	answer := b.send("GET", "/auth/status", nil, "Accept", "application/json", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors")
	if err := json.Unmarshal([]byte(answer.body), &status); err != nil || !status.SignedIn || status.User.Name != "Ada Lovelace" {
		t.Fatalf("status: got %s (%v)", answer.body, err)
	}
	fresh := b.open("/library")
	b.shows(fresh, 200, `data-user="`+status.User.ID+`"`, `id="account"`, "Continue")

	b.shows(b.submit("/library", half(fresh)), 422, "Say who the library is for", stillFilled[0])
	b.shows(b.submit("/library", whole(fresh)), 200, "Choose videos", "Nanoseconds", "2 min", "Sunday <films>", b.idp.URL("/videos/2/picture.svg"))

	choose := b.open("/videos")
	b.shows(b.submit("/videos", url.Values{"page_tag": {choose.tag()}}), 422, "Choose at least one")
	b.shows(b.submit("/videos", url.Values{"page_tag": {choose.tag()}, "video": {"not-offered"}}), 422, "not there any more")
	b.shows(b.submit("/videos", url.Values{"page_tag": {choose.tag()}, "video": {"2", "3"}}), 200, "All set, Ada", "has 2 videos", "My household", "Show captions")
	b.shows(b.open("/"), 200, "Nice to meet you, Ada", "has 2 videos since")

	b.shows(b.submit("/auth/logout", url.Values{"return_to": {"/"}, "page_tag": {choose.tag()}}), 200, "A quiet shelf", "Sign in")
	b.shows(b.send("GET", "/api/me", nil, "Accept", "application/json", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"), 401, "signed_out")

	again := b.approve(b.open(b.open("/").link("Sign in")), "ada")
	b.shows(again, 200, "Welcome back, Ada", "Your library, <em>Sunday <films></em>, has 2 videos since", "The first actual bug")
	b.shows(b.open("/library"), 200, stillFilled...)
	b.shows(b.open("/videos"), 200, `value="3" checked`)
}

func TestDenyAndTryAgain(t *testing.T) {
	b := newStage(t, nil).browser()
	denied := b.deny(b.submit("/connect", half(b.acceptTerms())))
	b.shows(denied, 403, "Nothing was connected", "Try again", "Back to where you were")

	back := b.open(denied.link("Back to where you were"))
	b.shows(back, 200, append(stillFilled, "Connect your account")...)

	returned := b.approve(b.open(denied.link("Try again")), "ada")
	b.shows(returned, 200, append(stillFilled, "You are connected as Ada Lovelace")...)
}

// Two people at two browsers, in one app.
func TestTwoBrowsers(t *testing.T) {
	s := newStage(t, nil)
	ada, grace := s.browser(), s.browser()
	leaving := ada.submit("/connect", half(ada.acceptTerms()))
	back, err := s.idp.Approve(t.Context(), nil, leaving.to, "ada")
	if err != nil {
		t.Fatal(err)
	}

	// What Ada's provider answers is worth nothing in another browser, and is not used up by it.
	stolen := grace.send("GET", back, nil, "Sec-Fetch-Site", "cross-site")
	grace.shows(stolen, 400, "We do not recognize this sign-in")
	if n := s.idp.Ledger().Count("token"); n != 0 {
		t.Errorf("got %d requests for a token, want none", n)
	}
	returned := ada.follow(ada.send("GET", back, nil, "Sec-Fetch-Site", "cross-site"))
	ada.shows(returned, 200, stillFilled...)

	// Nor is Ada's page, whose address Grace may know.
	grace.acceptTerms()
	if v := grace.open(returned.at); strings.Contains(v.body, "&lt;films&gt;") {
		t.Error("somebody else's page state is shown")
	}
	v := grace.approve(grace.open(grace.open("/").link("Sign in")), "grace")
	grace.shows(v, 200, "Nice to meet you, Grace")
	ada.shows(ada.open("/"), 200, "Nice to meet you, Ada")
}

// One browser, whose person changes while a page is open in another tab.
func TestPageOfSomebodyElse(t *testing.T) {
	b := newStage(t, nil).browser()
	stale := b.approve(b.submit("/connect", half(b.acceptTerms())), "ada")
	b.submit("/auth/logout", url.Values{"page_tag": {stale.tag()}})
	b.approve(b.open(b.open("/").link("Sign in")), "grace")
	b.acceptTerms()

	refused := b.submit("/library", whole(stale))
	b.shows(refused, 409, append(stillFilled, "signed in differently", "You are connected as Grace Hopper")...)
	b.shows(b.open("/"), 200, "no name and no videos yet")
	b.shows(b.submit("/library", whole(refused)), 200, "Choose videos") // now she has seen it
}

// The tab that stayed, without a script that notices what happened in the other one.
func TestOriginalTabWithoutScript(t *testing.T) {
	b := newStage(t, nil).browser()
	original := b.acceptTerms()
	b.shows(original, 200, "<noscript>", "I have connected")
	b.shows(b.submit("/library", whole(original)), 401, append(stillFilled, "Connect your account first")...)
	b.approve(b.submit("/connect", half(original)), "ada")

	b.shows(b.submit("/connect", half(original)), 200, append(stillFilled, "You are connected already")...)
	b.shows(b.submit("/library", half(original)), 422, append(stillFilled, "Say who the library is for", "You are connected as Ada Lovelace")...)
	b.shows(b.submit("/library", whole(original)), 200, "Choose videos")
}

// Forms of other sites are refused, also those of a sibling host, to which the cookie goes.
func TestForeignForms(t *testing.T) {
	b := newStage(t, nil).browser()
	v := b.signIn()
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"own", nil, 422},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a sibling", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:1"}, 403},
		{"an old browser", []string{"Sec-Fetch-Site", "", "Origin", "http://127.0.0.1:1"}, 403},
		{"sandboxed", []string{"Sec-Fetch-Site", "", "Origin", "null"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := b.send("POST", "/videos", url.Values{"page_tag": {v.tag()}}, tt.header...)
			if got.status != tt.status {
				t.Errorf("got status %d, want %d", got.status, tt.status)
			}
		})
	}
}

func TestConnectRefuses(t *testing.T) {
	b := newStage(t, nil).browser()
	v := b.acceptTerms()
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		status int
		want   string
	}{
		{"unknown provider", func(f url.Values) { f.Set("provider", "nobody") }, 422, "Choose an account"},
		{"no provider", func(f url.Values) { f.Del("provider") }, 422, "Choose an account"},
		{"long note", func(f url.Values) { f.Set("note", strings.Repeat("n", maxNote+1)) }, 422, "The note is too long"},
		{"far too long", func(f url.Values) { f.Set("note", strings.Repeat("n", maxForm)) }, 413, "That was too much"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := half(v)
			tt.change(f)
			b.shows(b.submit("/connect", f), tt.status, tt.want)
		})
	}
}

func TestSignedOut(t *testing.T) {
	b := newStage(t, nil).browser()
	for _, tt := range []struct {
		name, method, path string
		header             []string
		status             int
		want               string // in Location or Content-Type
	}{
		{"page", "GET", "/videos", nil, 303, b.idp.Issuer() + "/authorize"},
		{"last page", "GET", "/done", nil, 303, b.idp.Issuer() + "/authorize"},
		{"form", "POST", "/videos", nil, 401, "text/html"},
		{"API", "GET", "/api/me", []string{"Accept", "application/json", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors"}, 401, "application/problem+json"},
		{"API from a shell", "GET", "/api/me", []string{"Accept", "*/*", "Sec-Fetch-Dest", "", "Sec-Fetch-Mode", "", "Sec-Fetch-Site", ""}, 401, "application/problem+json"},
		{"nothing there", "GET", "/nothing", nil, 404, "text/html"},
		{"form reloaded", "GET", "/connect", nil, 303, "/library"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := b.send(tt.method, tt.path, nil, tt.header...)
			if v.status != tt.status {
				t.Errorf("got status %d, want %d", v.status, tt.status)
			}
			if got := v.to + " " + v.header.Get("Content-Type"); !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q in it", got, tt.want)
			}
		})
	}
}

func TestMe(t *testing.T) {
	b := newStage(t, nil).browser()
	b.approve(b.submit("/connect", half(b.acceptTerms())), "ada")
	v := b.send("GET", "/api/me", nil, "Accept", "application/json", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors")
	var me map[string]any
	if err := json.Unmarshal([]byte(v.body), &me); err != nil || v.status != http.StatusOK {
		t.Fatalf("got %d %s", v.status, v.body)
	}
	for name, want := range map[string]any{"sub": "practice-ada", "name": "Ada Lovelace", "email": "ada@practice.example"} {
		if me[name] != want {
			t.Errorf("%s: got %v, want %v", name, me[name], want)
		}
	}
}

// Signed out in another tab, the form stays good: its script shows that nobody is signed in, and the
// terms, which are asked again, do not lose what was filled in.
func TestSignedOutInAnotherTab(t *testing.T) {
	b := newStage(t, nil).browser()
	v := b.approve(b.submit("/connect", half(b.acceptTerms())), "ada")
	b.submit("/auth/logout", url.Values{"page_tag": {v.tag()}})

	part := b.send("GET", "/library/account", nil, "Sec-Fetch-Dest", "empty", "Sec-Fetch-Mode", "cors")
	b.shows(part, 200, `data-user=""`, "Connect your account")
	terms := b.approve(b.submit("/connect", half(part)), "grace")
	b.shows(terms, 200, "The terms", `name="rl"`)
	rl := regexp.MustCompile(`name="rl" value="([^"]+)"`).FindStringSubmatch(terms.body)[1]
	b.shows(b.submit("/terms", url.Values{"rl": {rl}, "page_tag": {terms.tag()}}), 422, `value="`+rl+`"`)
	b.shows(b.submit("/terms", url.Values{"rl": {rl}, "agree": {"yes"}, "page_tag": {terms.tag()}}), 200, append(stillFilled, "You are connected as Grace Hopper")...)
}
