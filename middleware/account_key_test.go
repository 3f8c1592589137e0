package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// ringOf returns a ring of one random key with this ID. Two keys of NewKeyring may have the same ID, and
// then fit into no ring together.
func ringOf(id byte) sessionstore.Keyring {
	ring := sessionstore.NewKeyring()
	ring[0].ID = id
	return ring
}

// F37: somebody whose account was sealed by a key that is gone signs in, and is new. While the key is
// in the ring they are who they were, and a sign-in seals the account anew.
func TestAccount_keyGone(t *testing.T) {
	store, before, after, last := sealed{&sessionstore.Memory{}}, ringOf(1), ringOf(2), ringOf(3)
	rows := []struct {
		name  string
		keys  sessionstore.Keyring
		isNew bool
	}{
		{"first visit", before, true},
		{"the key is in second place", append(after[:1:1], before...), false},
		{"it was sealed anew by that sign-in", after, false},
		{"the key is gone", last, true},
		{"and the next visit", last, false},
	}
	for _, row := range rows {
		k := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, row.keys })
		isNew := false
		k.onLogin(func(l loginContext) error { isNew = l.login.IsNew; return nil })
		b := k.browser()
		resp := b.back(b.approve(b.start("plain", "/"), "ada"))
		if resp.StatusCode != http.StatusSeeOther || isNew != row.isNew {
			t.Errorf("%s: status %d, new %v, want 303, %v", row.name, resp.StatusCode, isNew, row.isNew)
		}
		if row.name == "the key is gone" && !strings.Contains(k.log.String(), "reason=unsealed kind=account ") {
			t.Errorf("%s: the log does not say why:\n%s", row.name, k.log)
		}
	}
}

// A person who was signed out everywhere once signs in, and is found, when the key of that day is gone:
// what the index and the list of accounts were sealed with is older than their sessions and account.
func TestSignOutUser_keyGone(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		before, after := ringOf(1), ringOf(2)
		store, first := sessionstore.Store(nil), true
		with := func(keys sessionstore.Keyring) *kit {
			return newKit(t, change, asUser, func(_ *kit, c *middleware.Config) {
				if first {
					store, first = sealed{c.Store}, false
				}
				c.Store, c.Keys = store, keys
			})
		}
		k := with(before)
		k.browser().signIn("idp", "ada", "/")
		if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
			t.Fatal(err)
		}
		with(append(after[:1:1], before...)).browser().signIn("idp", "ada", "/") // her account is sealed anew
		k = with(after)
		isNew := false
		k.onLogin(func(l loginContext) error { isNew = l.login.IsNew; return nil })
		b := k.browser()
		b.signIn("idp", "ada", "/")
		if b.is(ada); isNew {
			t.Fatal("she is new: the test shows nothing")
		}
		if all, err := k.auth.SessionsOf(t.Context(), adaUser); err != nil || len(all) != 2 {
			t.Errorf("%d sessions, %v, want the last two", len(all), err)
		}
		if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
			t.Fatal(err)
		}
		if got := b.whoami(); got != "nobody" {
			t.Errorf("signed out everywhere, and still %s", got)
		}
	})
}

// A new key has reached one replica, and not yet the other: whoever signs in at the first is signed out
// everywhere by the second all the same, be the session there or on its way.
func TestSignOutUser_keyElsewhere(t *testing.T) {
	for _, meanwhile := range []bool{false, true} {
		t.Run(fmt.Sprint("sign-in under way ", meanwhile), func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				old, renewed := ringOf(1), ringOf(2)
				behind := newKit(t, change, asUser, func(_ *kit, c *middleware.Config) {
					c.Store, c.Keys = sealed{c.Store}, old
				})
				ahead := behind.beside(asUser, func(_ *kit, c *middleware.Config) {
					c.Store, c.Keys = behind.store, append(renewed[:1:1], old...)
				})
				b := ahead.browser()
				callback := b.approve(b.start("idp", "/"), "ada")
				signOut := func() {
					if err := behind.auth.SignOutUser(t.Context(), adaUser); err != nil {
						t.Error(err)
					}
				}
				if meanwhile {
					beforeSave(ahead, signOut)
				}
				b.back(callback)
				if !meanwhile {
					b.is(ada)
					signOut()
				}
				b.is(nobody)
			})
		})
	}
}
