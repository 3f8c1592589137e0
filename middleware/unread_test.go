package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2/memstore"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// garble writes what none of our versions reads into every field of that name, or which begins with it where it
// ends with a colon, of all records of a kind: as somebody does who has the keys. It reports how many there were.
func (w *watched) garble(t *testing.T, kind, field string, garbage func(was string) string) (n int) {
	t.Helper()
	w.mu.Lock()
	var keys []sessionstore.Key
	for k := range w.live {
		if k.Kind == kind {
			keys = append(keys, k)
		}
	}
	w.mu.Unlock()
	for _, k := range keys {
		rec, err := w.Store.Load(t.Context(), k)
		if err != nil {
			continue // it has ended
		}
		var c sessionstore.Change
		for f := range rec.All() {
			if f.Name == field || field == "" && len(f.Name) >= 22 || strings.HasSuffix(field, ":") && strings.HasPrefix(f.Name, field) {
				c.Set = append(c.Set, sessionstore.Field{Name: f.Name, Value: garbage(f.Value), Version: f.Version + 2})
			}
		}
		if len(c.Set) == 0 {
			continue
		}
		if err := w.Store.Update(t.Context(), k, c); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// garbages are what a stored value may have become.
var garbages = map[string]func(was string) string{
	"empty":                     func(string) string { return "" },
	"noise":                     func(string) string { return strings.Repeat("\xff", 40) },
	"a later layout":            func(was string) string { return "\x7f" + was },
	"cut off":                   func(was string) string { return was[:len(was)/2] },
	"a length that is too long": func(was string) string { return was[:min(1, len(was))] + "\xfe\xff\xff\xff\x0f" },
}

// An unreadable is an app in whose store something has become garbage.
type unreadable struct {
	*testing.T
	*kit
	w       *watched
	b       *browser // ada's
	keys    sessionstore.Keyring
	logger  *slog.Logger
	garbage func(was string) string
}

func (u *unreadable) signedOut() {
	u.Helper()
	if code := u.b.fetch("/gated").StatusCode; code != http.StatusUnauthorized {
		u.Errorf("the gate: status %d, want 401", code)
	}
	if u.b.is(nobody); u.b.status()["signed_in"] != false {
		u.Error("half signed in")
	}
}

func (u *unreadable) signedIn() {
	u.Helper()
	if code := u.b.fetch("/gated").StatusCode; code != http.StatusOK {
		u.Errorf("the gate: status %d, want 200", code)
	}
	u.b.is(ada)
}

// A value that opens and cannot be read is absent. Whatever it is, the request is served, the person gets in, nobody
// gets anything of somebody else's, and the log says so, within bounds.
func TestUnread(t *testing.T) {
	long := "/linked?" + strings.Repeat("x", 1500)
	rows := []struct {
		kind, field string
		logged      string // in a line of the log; "" where there is nothing to miss
		before      func(b *browser)
		then        func(u *unreadable)
	}{
		{"session", "born", "born", nil, (*unreadable).signedOut},
		{"session", "meta", "meta", nil, (*unreadable).signedOut},
		{"session", "user", "user", nil, (*unreadable).signedOut},
		{"session", "g:", "g:idp", nil, func(u *unreadable) {
			if got := u.token(u.b, ""); !errors.Is(got.err, middleware.ErrNotConnected) {
				u.Errorf("token: %v, want ErrNotConnected", got.err)
			}
			u.signedIn()
		}},
		{"session", "r:", "", func(b *browser) {
			mark := sessionstore.Field{Name: "r:idp", Value: "being renewed", Version: 7}
			if err := b.k.auth.Store().Update(b.k.t.Context(), b.record(), sessionstore.Change{Set: []sessionstore.Field{mark}}); err != nil {
				b.k.t.Fatal(err)
			}
		}, func(u *unreadable) {
			u.within(u.b, func(ctx context.Context) {
				if _, err := middleware.Refresh(ctx, ""); err != nil {
					u.Errorf("refresh: %v", err)
				}
			})
			u.signedIn()
		}},
		{"session", "p:", "p:", func(b *browser) { b.open("/keep") }, func(u *unreadable) {
			rec, err := u.w.Store.Load(u.Context(), u.b.record())
			if err != nil {
				u.Fatal(err)
			}
			for f := range rec.Prefix("p:") {
				if got := text(u.b.open("/returned?rl=" + f.Name[2:])); got != middleware.ErrNoPage.Error() {
					u.Errorf("Returned: %q, want ErrNoPage", got)
				}
			}
			u.signedIn()
		}},
		{"session", "e:", "", nil, (*unreadable).signedIn},
		{"session", "v:", "v:", func(b *browser) { b.put("once", "hers") }, func(u *unreadable) {
			if got := u.b.get("once"); got != "" {
				u.Errorf("the value is %q", got)
			}
			if got := text(u.b.open("/take")); got != "<nil> false <nil>" {
				u.Errorf("taken: %s", got)
			}
			u.signedIn()
		}},
		{"account", "account", "account", nil, (*unreadable).signedIn},
		{"person", "", "", nil, (*unreadable).signedIn},
		{"account", "", "", nil, func(u *unreadable) {
			u.signedIn()
			u.browser().signIn("idp", "ada", "/") // which reads the entries
			if all, err := u.auth.SessionsOf(u.Context(), adaUser); err != nil || len(all) < 2 {
				u.Errorf("%d sessions, %v", len(all), err)
			}
			if err := u.auth.SignOutUser(u.Context(), adaUser); err != nil {
				u.Error(err)
			}
			u.b.is(nobody)
		}},
		{"tally", "count", "count", func(b *browser) { b.k.browser().put("cart", "1") }, func(u *unreadable) {
			next := u.beside(func(_ *kit, c *middleware.Config) { c.Keys, c.Logger = u.keys, u.logger }) // whose purse is empty
			notes(next)
			visitor := next.browser()
			if visitor.put("cart", "2"); visitor.get("cart") != "2" {
				u.Error("a visitor has no session")
			}
			u.signedIn()
		}},
		{"redemption", "phase", "", nil, func(u *unreadable) {
			next := u.browser()
			callback := next.approve(next.start("idp", "/"), "ada")
			u.serve(next.callback(callback)) // the answer is lost
			u.w.garble(u.T, "redemption", "phase", u.garbage)
			sent := u.redeems()
			if resp := next.back(callback); resp.StatusCode == http.StatusInternalServerError || u.redeems() != sent {
				u.Errorf("status %d, %d token requests more", resp.StatusCode, u.redeems()-sent)
			}
			next.signIn("idp", "ada", "/")
			u.signedIn()
		}},
		{"aside", "path", "", func(b *browser) { b.signIn("idp", "ada", long) }, (*unreadable).signedIn},
	}
	for _, row := range rows {
		t.Run(row.kind+" "+row.field, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				u := &unreadable{T: t}
				k := newKit(t, change, asUser, func(_ *kit, c *middleware.Config) { u.keys, u.logger = c.Keys, c.Logger })
				w := watch(k)
				notes(k)
				taking(k)
				k.mux.Handle("/gated", k.auth.Require(middleware.Need{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, err := middleware.User(r.Context()); err != nil {
						t.Errorf("past the gate, and User says: %v", err)
					}
				})))
				k.handle("/keep", func(_ http.ResponseWriter, r *http.Request) {
					if err := middleware.SavePage(r.Context(), "draft"); err != nil {
						t.Error(err)
					}
				})
				k.handle("/returned", func(w http.ResponseWriter, r *http.Request) {
					var v string
					fmt.Fprint(w, middleware.Returned(r.Context(), &v))
				})
				for name, garbage := range garbages {
					if row.kind == "tally" && name == "a later layout" {
						continue // it has numbers, and of those any three are a count
					}
					b := k.browser()
					b.signIn("idp", "ada", "/")
					if b.is(ada); row.before != nil {
						row.before(b)
					}
					if w.garble(t, row.kind, row.field, garbage) == 0 {
						t.Fatal("there is nothing to garble")
					}
					mark := len(k.log.String())
					u.kit, u.w, u.b, u.garbage = k, w, b, garbage
					row.then(u)
					b.signIn("idp", "ada", "/")
					if b.is(ada); b.userID() != adaUser {
						t.Errorf("%s: signed in as %s", name, b.userID())
					}
					said := k.log.String()[mark:]
					if row.logged != "" && !strings.Contains(said, "reason=value kind="+row.kind+" field="+row.logged) {
						t.Errorf("%s: no line in the log:\n%s", name, said)
					}
				}
			})
		})
	}
}

// account returns the record of an account as it is stored, of the only one that w knows.
func (w *watched) account(t *testing.T) string {
	t.Helper()
	fs := w.fields(t, "account", "account")
	if len(fs) != 1 {
		t.Fatalf("%d accounts, want one", len(fs))
	}
	return fs[0].Value
}

// fields returns those of that name in records of a kind.
func (w *watched) fields(t *testing.T, kind, name string) (fs []sessionstore.Field) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.live {
		if rec, err := w.Store.Load(t.Context(), k); err == nil && k.Kind == kind {
			if f, ok := rec.Field(name); ok {
				fs = append(fs, f)
			}
		}
	}
	return fs
}

// An account that cannot be read is kept for the version that can: by an attempt that the app refuses, and by one
// whose process dies. The person who signs in is new once, and in place of nobody else.
func TestUnread_accountKept(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for name, garbage := range garbages {
			k := newKit(t, change)
			w := watch(k)
			var refused error
			isNew := ""
			k.onLogin(func(l loginContext) error {
				isNew = fmt.Sprint(l.login.IsNew, " ", l.login.Account.ID)
				return refused
			})
			b := k.browser()
			b.signIn("idp", "ada", "/")
			own := b.userID()
			later := garbage(w.account(t))
			w.garble(t, "account", "account", garbage)
			refused = middleware.Refuse("Not today.")
			k.rejected(b.back(b.approve(b.start("idp", "/"), "ada")), "refused_by_app")
			if got := w.account(t); got != later || isNew != "true "+own {
				t.Errorf("%s: refused: the account is %q, want %q; new %s", name, got, later, isNew)
			}
			refused = nil
			b.signIn("idp", "ada", "/")
			if b.is(ada); isNew != "true "+own {
				t.Errorf("%s: new %s, want true and their own ID", name, isNew)
			}
			b.signIn("idp", "ada", "/")
			if isNew != "false "+own {
				t.Errorf("%s: the next time: new %s", name, isNew)
			}
			w.garble(t, "account", "account", func(was string) string { return was + "what a later version adds" })
			b.signIn("idp", "ada", "/")
			if isNew != "false "+own {
				t.Errorf("%s: with an addition: new %s", name, isNew)
			}
		}
	})
}

// While a sign-in has an account that cannot be read for itself, what is there stays in the record; and should its
// process die, the next one goes on from there.
func TestUnread_accountHeld(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		w := watch(k)
		b := k.browser()
		b.signIn("idp", "ada", "/")
		const later = "\x02 of a later version"
		w.garble(t, "account", "account", func(string) string { return later })
		held := ""
		k.onLogin(func(loginContext) error { held = w.account(t); return middleware.Refuse("Not today.") })
		b.back(b.approve(b.start("idp", "/"), "ada"))
		if !strings.HasPrefix(held, "\x00") || !strings.HasSuffix(held, later) {
			t.Fatalf("held: %q", held)
		}
		over := "\x00\x02" + held[len(held)-len(later)-1:] // a hold that ended in 1970
		w.garble(t, "account", "account", func(string) string { return over })
		b.back(b.approve(b.start("idp", "/"), "ada"))
		if got := w.account(t); got != later {
			t.Errorf("the account is %q, want %q", got, later)
		}
	})
}

// Of an account that cannot be read nobody knows whose it was: a link does not take it without a word. With the
// button it does, and whoever was signed in by it is not any more.
func TestUnread_accountLinked(t *testing.T) {
	for _, how := range []string{"does not decode", "does not open"} {
		t.Run(how, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				old, renewed := ringOf(1), ringOf(2)
				k := newKit(t, change, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = sealed{c.Store}, old })
				w := watch(k)
				theirs := k.browser()
				theirs.signIn("plain", "grace", "/")
				if how == "does not decode" {
					w.garble(t, "account", "account", func(was string) string { return "\x02" + was })
				} else { // another key has sealed it since, which did not come into the ring
					account := w.account(t)
					w.Store = sessionstore.Sealed(k.store, renewed)
					w.mu.Lock()
					for key := range w.live {
						if key.Kind == "account" {
							f := sessionstore.Field{Name: "account", Value: account, Version: 9}
							if err := w.Store.Update(t.Context(), key, sessionstore.Change{Set: []sessionstore.Field{f}}); err != nil {
								t.Fatal(err)
							}
						}
					}
					w.mu.Unlock()
					w.Store = sessionstore.Sealed(k.store, old)
				}
				b := k.browser()
				b.signIn("idp", "ada", "/")
				user := b.userID()
				resp := b.link("plain", "work", "grace")
				k.rejected(resp, "identity_taken")
				theirs.is(grace)
				m := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(text(resp))
				if m == nil {
					t.Fatalf("no button: %s", text(resp))
				}
				out := k.location(b.post(strings.ReplaceAll(m[1], "&amp;", "&"), url.Values{"purpose": {"link"}}))
				if got := k.location(b.back(k.browser().approve(out, "grace"))); got != "/linked" {
					t.Errorf("landed at %q, want /linked", got)
				}
				theirs.is(nobody)
				theirs.signIn("plain", "grace", "/")
				if theirs.userID() != user {
					t.Error("the account is not theirs who linked it")
				}
			})
		})
	}
}

// To disconnect ends what a linked account gives, although it cannot be read.
func TestUnread_accountUnlinked(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		w := watch(k)
		b, elsewhere := k.browser(), k.browser()
		b.signIn("idp", "ada", "/")
		user := b.userID()
		b.link("plain", "work", "grace")
		elsewhere.signIn("plain", "grace", "/")
		if elsewhere.userID() != user {
			t.Fatal("not linked: the test shows nothing")
		}
		w.garble(t, "account", "account", func(was string) string { return "\x02" + was })
		if resp := b.post("/auth/plain/disconnect", url.Values{"label": {"work"}}); resp.StatusCode != http.StatusSeeOther {
			t.Errorf("status %d, want 303", resp.StatusCode)
		}
		elsewhere.is(nobody)
		elsewhere.signIn("plain", "grace", "/")
		if elsewhere.userID() == user {
			t.Error("still signed in as the one who disconnected it")
		}
		if strings.Contains(k.log.String(), "not unlinked") {
			t.Errorf("log:\n%s", k.log)
		}
	})
}

// A value that cannot be read comes back with every request; the line in the log does not.
func TestUnread_bounded(t *testing.T) {
	k := newKit(t)
	w := watch(k)
	notes(k)
	b := k.browser()
	b.signIn("idp", "ada", "/")
	b.put("cart", "1")
	w.garble(t, "session", "v:", garbages["noise"])
	for range 150 {
		b.get("cart")
	}
	w.garble(t, "session", "user", garbages["noise"])
	for range 150 {
		b.is(nobody)
	}
	if n := strings.Count(k.log.String(), "value not read"); n != 100 {
		t.Errorf("%d lines, want 100 in a minute", n)
	}
}

// One session that cannot be read hides no other, and is ended with them.
func TestUnread_amongMany(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, field := range []string{"born", "meta", "user"} {
			k := newKit(t, change, asUser)
			w := watch(k)
			bad, good := k.browser(), k.browser()
			bad.signIn("idp", "ada", "/")
			w.garble(t, "session", field, garbages["noise"])
			good.signIn("idp", "ada", "/")
			if all, err := k.auth.SessionsOf(t.Context(), adaUser); err != nil || len(all) != 1 {
				t.Errorf("%s: %d sessions, %v, want one", field, len(all), err)
			}
			if err := k.auth.SignOutUser(t.Context(), adaUser); err != nil {
				t.Error(err)
			}
			if good.is(nobody); len(w.fields(t, "session", "g:idp")) != 0 { // there are tombstones
				t.Errorf("%s: a session is left", field)
			}
		}
	})
}

// In a store for scs a value holds a whole record. One that is garbage is no error for as long as it is there.
func TestUnread_scs(t *testing.T) {
	for name, garbage := range garbages {
		t.Run(name, func(t *testing.T) {
			m := memstore.NewWithCleanupInterval(0)
			k := newKit(t, func(_ *kit, c *middleware.Config) {
				c.Store, c.Keys = sessionstore.FromSCS(m), sessionstore.NewKeyring()
			})
			b := k.browser()
			b.signIn("idp", "ada", "/")
			all, err := m.All()
			if err != nil || len(all) == 0 {
				t.Fatalf("%d values, %v", len(all), err)
			}
			for token, value := range all {
				if err := m.Commit(token, []byte(garbage(string(value))), time.Now().Add(time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			b.is(nobody)
			b.signIn("idp", "ada", "/")
			b.is(ada)
		})
	}
}
