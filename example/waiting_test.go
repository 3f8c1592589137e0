package main

import (
	"errors"
	"fmt"
	"html"
	"net"
	"strings"
	"syscall"
	"testing"
)

// The waiting tab's address carries what was filled in: before anybody comes back, afterwards, and until the
// form is finished. No other browser finds it.
func TestWaiting(t *testing.T) {
	s := newStage(t, nil)
	b := s.browser()
	original := b.acceptTerms()
	const key = "AAAAAAAAAAAAAAA1"
	leaving := b.submit("/connect?waiting="+key, half(original))
	b.shows(b.open("/library?waiting="+key), 200, append(stillFilled, "Connect your account")...)
	if v := b.open("/library"); filled(v) {
		t.Error("another tab has what this one left")
	}
	other := s.browser()
	other.acceptTerms()
	if v := other.open("/library?waiting=" + key); filled(v) {
		t.Error("another browser finds it")
	}
	b.approve(leaving, "ada")
	reloaded := b.open("/library?waiting=" + key)
	b.shows(reloaded, 200, append(stillFilled, "You are connected as Ada Lovelace")...)
	b.shows(b.submit("/library", whole(reloaded)), 200, "Choose videos")
	f := whole(reloaded)
	f.Set("name", "Monday films")
	b.submit("/library", f)
	b.shows(b.open("/library?waiting="+key), 200, "Monday films") // what is finished is what counts
}

// filled reports that the form of the page has what half fills in.
func filled(v view) bool { return strings.Contains(html.UnescapeString(v.body), "Sunday <films>") }

// A session keeps few, and takes no name that it did not make up.
func TestWaiting_bounds(t *testing.T) {
	b := newStage(t, nil).browser()
	original := b.acceptTerms()
	key := func(i int) string { return fmt.Sprintf("AAAAAAAAAAAAAA%02d", i) }
	for i := range maxWaiting + 2 {
		b.submit("/connect?waiting="+key(i), half(original))
	}
	found := 0
	for i := range maxWaiting + 2 {
		if filled(b.open("/library?waiting=" + key(i))) {
			found++
		}
	}
	if last := b.open("/library?waiting=" + key(maxWaiting+1)); found != maxWaiting || !filled(last) {
		t.Errorf("%d are kept, want %d, and the last among them", found, maxWaiting)
	}
	for _, bad := range []string{"x", key(1) + "1", "terms", "AAAAAAAAAAAAAAA%00"} {
		b.submit("/connect?waiting="+bad, half(original))
		if v := b.open("/library?waiting=" + bad); filled(v) {
			t.Errorf("%q is a key", bad)
		}
	}
}

// What is said is true: nothing is still there of a form that is empty.
func TestStill(t *testing.T) {
	const told = "What you have filled in is still here."
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"empty", draft{}.still("Yes."), false},
		{"a name", draft{Name: "x"}.still("Yes."), true},
		{"an audience", draft{Audience: "me"}.still("Yes."), true},
		{"a habit", draft{Habits: []string{"resume"}}.still("Yes."), true},
		{"a note", draft{Note: "x"}.still("Yes."), true},
		{"an empty invitation", invitation{}.still("Yes."), false},
		{"whom it is for", invitation{To: "x"}.still("Yes."), true},
		{"a message", invitation{Message: "x"}.still("Yes."), true},
		{"a video", invitation{Videos: []string{"1"}}.still("Yes."), true},
	} {
		if got := strings.Contains(tt.text, told); got != tt.want || !strings.HasPrefix(tt.text, "Yes.") {
			t.Errorf("%s: %q", tt.name, tt.text)
		}
	}
	b := newStage(t, nil).browser()
	empty := half(b.acceptTerms())
	for name := range empty {
		if name != "page_tag" && name != "provider" {
			empty.Del(name)
		}
	}
	if v := b.submit("/library", empty); strings.Contains(v.body, told) || v.status != 401 {
		t.Errorf("an empty form, status %d: it says that something is still there", v.status)
	}
}

// An address that is taken is not suggested, nor is any other that is.
func TestSuggestion(t *testing.T) {
	for range 20 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(first.Addr().String())
		getenv := environment{"ADDR": "127.0.0.1:" + port}.get
		err = run(t.Context(), getenv, &strings.Builder{}, &strings.Builder{})
		_ = first.Close()
		if err == nil || !strings.Contains(err.Error(), port+" is taken") {
			t.Fatalf("error %v", err)
		}
		_, other, suggests := strings.Cut(err.Error(), "such as ")
		if !suggests {
			continue // all above it were taken
		}
		if other == "127.0.0.1:"+port {
			t.Errorf("%v", err)
		}
		l, err := net.Listen("tcp", other)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // since then
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}
