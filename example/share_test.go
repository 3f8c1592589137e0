package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// invite is the form of the share page, half filled in.
func invite(v view) url.Values {
	return url.Values{"to": {"Grace <H.>"}, "message": {"The moth\nis the best."}, "video": {"3"}, "page_tag": {v.tag()}}
}

// stillInviting are traces of invite in a page.
var stillInviting = []string{`value="Grace <H.>"`, "The moth\nis the best.</textarea>", `value="3" checked`}

// shelve walks to the end of the story, and opens the share page.
func (b *browser) shelve() view {
	b.t.Helper()
	v := b.signIn()
	v = b.submit("/videos", url.Values{"page_tag": {v.tag()}, "video": {"2", "3"}})
	b.shows(v, 200, "All set, Ada", `href="/share"`)
	return b.open("/share")
}

func scopesOf(t *testing.T, address string) []string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(u.Query().Get("scope"))
}

// One more scope in the middle of a form: asked for when it is needed, and nothing is lost on the way.
func TestShare(t *testing.T) {
	b := newStage(t, nil).browser()
	first := b.send("GET", b.open("/").link("Sign in"), nil)
	v := b.shelve()
	b.shows(v, 200, "One more permission", "Nanoseconds")
	b.shows(b.submit("/share", invite(v)), 403, append(stillInviting, "Allow sharing at Practice first")...)

	leaving := b.submit("/share/allow", invite(v))
	before, after := scopesOf(t, first.to), scopesOf(t, leaving.to)
	if slices.Contains(before, "videos.edit") || !slices.Contains(after, "videos") || !slices.Contains(after, "videos.edit") {
		t.Errorf("asked for %q to sign in and %q to share, want videos.edit only now, with what is there already", before, after)
	}
	returned := b.approve(leaving, "ada")
	b.shows(returned, 200, append(stillInviting, "Practice lets you share", "Send the invitation")...)
	b.shows(b.open(returned.at), 200, stillInviting...) // a reload
	b.shows(b.open("/share/allow"), 200, "Practice lets you share")
	part := b.open("/share/permission") // what a tab that stayed asks for
	b.shows(part, 200, "Practice lets you share")
	b.lacks(part, "<h1", "data-scope")
	b.shows(b.submit("/share/allow", invite(returned)), 200, append(stillInviting, "It is allowed already")...)
	b.shows(b.open("/videos"), 200, "Nanoseconds") // what was allowed before still is

	f := invite(returned)
	f.Set("video", "1") // is not on the shelf
	b.shows(b.submit("/share", f), 422, "Choose at least one video to share", stillInviting[0])
	sent := b.submit("/share", invite(returned))
	b.shows(sent, 200, "The invitation for Grace <H.>", "Invitations so far", "<strong>Grace <H.></strong><span>1 video")
	if strings.Contains(sent.body, "is the best") {
		t.Error("the form is not empty after it was sent")
	}
}

func TestShareDenied(t *testing.T) {
	b := newStage(t, nil).browser()
	denied := b.deny(b.submit("/share/allow", invite(b.shelve())))
	b.shows(denied, 403, "Nothing was changed", "Try again", "Back to where you were")
	b.shows(b.open(denied.link("Back to where you were")), 200, append(stillInviting, "One more permission")...)

	returned := b.approve(b.open(denied.link("Try again")), "ada")
	b.shows(returned, 200, append(stillInviting, "Practice lets you share")...)
}

// Ada says yes, but not to that.
func TestShareLeftOut(t *testing.T) {
	b := newStage(t, nil).browser()
	leaving := b.submit("/share/allow", invite(b.shelve()))
	back := b.consent(leaving, "ada", "openid")
	b.shows(back, 200, append(stillInviting, "that box was left empty", "One more permission")...)
	b.shows(b.approve(b.submit("/share/allow", invite(back)), "ada"), 200, append(stillInviting, "Practice lets you share")...)
}

// consent says yes to some scopes only, at the provider to which v leads, and comes back.
func (b *browser) consent(v view, account string, scopes ...string) view {
	b.t.Helper()
	_, request, _ := strings.Cut(v.to, "?")
	form := url.Values{"decision": {"allow"}, "scope": scopes}
	page := b.idp.URL("/consent?" + url.Values{"request": {request}, "account": {account}}.Encode())
	back := b.send(http.MethodPost, page, form, "Origin", b.idp.Issuer())
	return b.follow(b.send(http.MethodGet, back.to, nil, "Sec-Fetch-Site", "cross-site"))
}

// Somebody else says yes: to their own account, which is not the one of this session.
func TestSharePersonOfAnotherAccount(t *testing.T) {
	b := newStage(t, nil).browser()
	other := b.approve(b.submit("/share/allow", invite(b.shelve())), "grace")
	b.shows(other, 403, "Back to where you were")
	b.shows(b.open(other.link("Back to where you were")), 200, append(stillInviting, "One more permission", "Ada Lovelace")...)
}

// Where the provider has no such scope, the page says so and works without.
func TestShareWithoutScope(t *testing.T) {
	b := newStage(t, func(p service) []service {
		p.share = ""
		return []service{p}
	}).browser()
	v := b.shelve()
	b.shows(v, 200, "Nothing more to allow", "Practice has no say", "Send the invitation")
	b.shows(b.submit("/share/allow", invite(v)), 200, append(stillInviting, "There is nothing to allow at Practice")...)
	b.shows(b.submit("/share", invite(v)), 200, "Invitations so far")
}

// In another tab Ada signs out, and Grace signs in.
func TestShareOfSomebodyElse(t *testing.T) {
	b := newStage(t, nil).browser()
	stale := b.shelve()
	b.submit("/auth/logout", url.Values{"page_tag": {stale.tag()}})
	out := b.submit("/share", invite(stale))
	b.shows(out, 409, "You were signed out", "Sign in")
	b.shows(b.approve(b.open(out.link("Sign in")), "ada"), 200, stillInviting...)

	b.submit("/auth/logout", url.Values{"page_tag": {b.open("/").tag()}})
	b.approve(b.open(b.open("/").link("Sign in")), "grace")
	b.shows(b.submit("/share/allow", invite(stale)), 409, "signed in differently", "Grace Hopper", "Choose videos first")
}

func TestShareRefuses(t *testing.T) {
	b := newStage(t, nil).browser()
	v := b.shelve()
	for _, tt := range []struct {
		name, path, field, value string
		status                   int
		want                     string
	}{
		{"long name", "/share/allow", "to", strings.Repeat("n", maxTo+1), 422, "The name is too long"},
		{"long message", "/share/allow", "message", strings.Repeat("n", maxMessage+1), 422, "The message is too long"},
		{"page of nobody", "/share", "page_tag", "", 409, "signed in differently"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := invite(v)
			f.Set(tt.field, tt.value)
			b.shows(b.submit(tt.path, f), tt.status, tt.want)
		})
	}
}

func TestInvitation(t *testing.T) {
	long := strings.Repeat("é", maxTo)
	for _, tt := range []struct {
		name string
		i    invitation
		want []string // fields
	}{
		{"empty", invitation{}, []string{"to", "videos"}},
		{"finished", invitation{To: long, Videos: []string{"1"}}, nil},
		{"long name", invitation{To: long + "é", Videos: []string{"1"}}, []string{"to"}},
		{"long message", invitation{To: "G", Message: strings.Repeat("m", maxMessage+1), Videos: []string{"1"}}, []string{"message"}},
	} {
		var got []string
		for _, m := range tt.i.mistakes() {
			got = append(got, m.Field)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got mistakes in %v, want %v", tt.name, got, tt.want)
		}
	}
}
