package middleware_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// What a callback asks of the store, in its order. Each is a round trip.
func TestCallback_operations(t *testing.T) {
	k := newKit(t)
	w := watch(k)
	var got []string
	w.on(func(op string, key sessionstore.Key) error { got = append(got, op+" "+key.Kind); return nil })
	load, claim, end := []string{"load session"}, []string{"update redemption"}, []string{"update session", "update redemption"}
	held := []string{"load account", "update account", "update person", "update account"}
	known := []string{"load account", "update account"}
	provider := []string{"update index"} // of the session at the provider, if it names that
	b := k.browser()
	back := ""
	signIn := func(b *browser, name string) {
		back = b.approve(b.start(name, "/"), "ada")
		got = nil
		k.location(b.back(back))
	}
	rows := []struct {
		name string
		do   func()
		want [][]string
	}{
		{"a first sign-in", func() { signIn(b, "idp") }, [][]string{load, claim, held, provider, end}},
		{"a reload", func() { got = nil; k.location(b.back(back)) }, [][]string{load, claim, {"load redemption"}}},
		{"another", func() { signIn(k.browser(), "idp") }, [][]string{load, claim, known, provider, end}},
		{"in a session that is there", func() { signIn(b, "idp") }, [][]string{load, claim, known, provider, end}},
		{"no session at the provider", func() { signIn(k.browser(), "plain") }, [][]string{load, claim, held, end}},
		{"in the place of somebody else", func() { signIn(b, "plain") }, [][]string{load, claim, known, end[:1], {"delete session", "update account"}, end[1:]}},
	}
	for _, row := range rows {
		row.do()
		if want := slices.Concat(row.want...); !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", row.name, got, want)
		}
	}
}

// Invariant 5: what has ended stays where it ended, although the same answer would be refused by now.
func TestCallback_endedBefore(t *testing.T) {
	rows := []struct {
		name, landing string
		link          bool
		change        func(k *kit, b *browser)
	}{
		{"the flow has run out", "/page", false, func(k *kit, b *browser) {
			k.location(b.post("/auth/logout", nil)) // nor is somebody sent home because they are signed in
			k.auth.SetNow(func() time.Time { return time.Now().Add(65 * time.Minute) })
		}},
		{"the process stops", "/page", false, func(k *kit, b *browser) {
			if err := k.auth.Close(k.t.Context()); err != nil {
				k.t.Error(err)
			}
		}},
		{"nobody is signed in", "/linked", true, func(k *kit, b *browser) { k.location(b.post("/auth/logout", nil)) }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				callback := b.approve(b.start("plain", "/page"), "ada")
				if row.link {
					b.signIn("plain", "ada", "/")
					form := url.Values{"purpose": {"link"}, "return_to": {"/linked"}}
					callback = b.approve(k.location(b.post("/auth/idp/login", form)), "grace")
				}
				k.location(b.back(callback))
				redeems := k.redeems()
				row.change(k, b)
				if resp := b.back(callback); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != row.landing {
					t.Errorf("status %d to %q, want %q", resp.StatusCode, resp.Header.Get("Location"), row.landing)
				}
				if k.redeems() != redeems {
					t.Error("a code was sent again")
				}
			})
		})
	}
}
