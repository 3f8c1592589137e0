package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// losing is a store that loses answers: what was asked is done, and whoever asked is told that the store
// was not reached.
type losing struct {
	sessionstore.Store

	mu      sync.Mutex
	from    int // the first answer that is lost, counted from 1; 0: none
	answers int // that are lost, one after the other
	asked   int
	lost    string // what they were
}

// lose puts a losing store under k, which loses nothing yet.
func lose(k *kit) *losing {
	l := &losing{Store: k.auth.Store()}
	k.auth.SetStore(l)
	return l
}

// set makes the store lose so many answers, from the nth on; it returns what was lost before.
func (l *losing) set(from, answers int) (lost string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost = l.lost
	l.from, l.answers, l.asked, l.lost = from, answers, 0, ""
	return lost
}

func (l *losing) answer(op, kind string, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.from == 0 || l.asked < l.from || l.asked >= l.from+l.answers {
		return err
	}
	l.lost += fmt.Sprintf("%s %s; ", op, kind)
	return fmt.Errorf("i/o timeout: %w", sessionstore.ErrUnavailable)
}

func (l *losing) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	rec, err := l.Store.Load(ctx, k)
	if lost := l.answer("load", k.Kind, nil); lost != nil {
		return sessionstore.Record{}, lost
	}
	return rec, err
}

func (l *losing) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	return l.answer("update", k.Kind, l.Store.Update(ctx, k, c))
}

func (l *losing) Delete(ctx context.Context, ks ...sessionstore.Key) error {
	return l.answer("delete", ks[0].Kind, l.Store.Delete(ctx, ks...))
}

// eachFresh is eachStore for a test that needs an empty store each time that it calls again.
func eachFresh(t *testing.T, f func(t *testing.T, again func(change ...func(*kit, *middleware.Config)) *kit)) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		f(t, func(more ...func(*kit, *middleware.Config)) *kit {
			return newKit(t, append([]func(*kit, *middleware.Config){change}, more...)...)
		})
	})
	t.Run("redis", func(t *testing.T) {
		f(t, func(more ...func(*kit, *middleware.Config)) *kit {
			return newKit(t, append([]func(*kit, *middleware.Config){func(_ *kit, c *middleware.Config) {
				c.Store, c.Keys = realRedis(t), sessionstore.NewKeyring()
			}}, more...)...)
		})
	})
}

// A comeback is what comes back from a provider, by a browser that is prepared for it.
type comeback struct {
	name   string
	isNew  bool
	signed bool // somebody is signed in before
	leave  func(k *kit, b *browser) (callback string)
}

var comebacks = []comeback{
	{"a new person", true, false, func(_ *kit, b *browser) string { return b.approve(b.start("idp", "/whoami"), "ada") }},
	{"a new person with a cart", true, false, func(_ *kit, b *browser) string {
		b.put("cart", "full")
		return b.approve(b.start("idp", "/whoami"), "ada")
	}},
	{"a person who returns", false, false, func(k *kit, b *browser) string {
		k.browser().signIn("idp", "ada", "/")
		return b.approve(b.start("idp", "/whoami"), "ada")
	}},
	{"in the place of another", false, false, func(k *kit, b *browser) string {
		k.browser().signIn("idp", "ada", "/")
		b.signIn("plain", "emmy", "/")
		return b.approve(b.start("idp", "/whoami"), "ada")
	}},
	{"signed in already", false, true, func(_ *kit, b *browser) string {
		b.signIn("idp", "ada", "/")
		return b.approve(b.start("idp", "/whoami"), "ada")
	}},
	{"a step-up", false, true, func(k *kit, b *browser) string {
		b.signIn("idp", "ada", "/")
		var to string
		k.within(b, func(ctx context.Context) {
			to, _ = middleware.LoginURL(ctx, middleware.Need{Provider: "idp", Scopes: []string{"upload"}}, "/whoami")
		})
		return b.approve(k.location(b.open(to)), "ada")
	}},
	{"a link", false, true, func(k *kit, b *browser) string {
		b.signIn("idp", "ada", "/")
		form := url.Values{"purpose": {"link"}, "return_to": {"/whoami"}}
		return b.approve(k.location(b.post("/auth/plain/login", form)), "grace")
	}},
}

// counted has OnLogin count the people who are new.
func counted(news *int) func(*kit, *middleware.Config) {
	return func(_ *kit, c *middleware.Config) {
		c.OnLogin = func(_ context.Context, l *middleware.Login) error {
			if l.IsNew {
				*news++
			}
			return nil
		}
	}
}

// patiently loads a callback as its tab does, for as long as the page asks for that.
func (b *browser) patiently(callback string) *http.Response {
	b.k.t.Helper()
	ctx, cancel := context.WithTimeout(b.k.t.Context(), time.Minute)
	defer cancel()
	for {
		resp := b.do(b.callback(callback).WithContext(ctx))
		if resp.StatusCode != http.StatusAccepted || ctx.Err() != nil {
			return resp
		}
	}
}

// Invariant 18: whichever answer of the store is lost while somebody comes back, they are signed in,
// once, and nobody is told anything else.
func TestLost_once(t *testing.T) {
	for _, row := range comebacks {
		t.Run(row.name, func(t *testing.T) {
			eachFresh(t, func(t *testing.T, again func(...func(*kit, *middleware.Config)) *kit) {
				for n := 1; lostOnce(t, again, row, n); n++ {
				}
			})
		})
	}
}

// lostOnce loses the nth answer, and reports whether there is one.
func lostOnce(t *testing.T, again func(...func(*kit, *middleware.Config)) *kit, row comeback, n int) bool {
	news := 0
	k := again(counted(&news))
	notes(k)
	b := k.browser()
	callback := row.leave(k, b)
	redeems, before := k.redeems(), news
	l := lose(k)
	l.set(n, 1)
	resp := b.patiently(callback)
	lost := l.set(0, 0)
	if n == 1 && resp.StatusCode == http.StatusServiceUnavailable { // the request's own session: nothing has begun
		resp = b.patiently(callback)
	}
	if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/whoami" {
		t.Errorf("answer %d, %s: status %d; log:\n%s", n, lost, resp.StatusCode, k.log)
		return lost != ""
	}
	if got := k.redeems() - redeems; got != 1 {
		t.Errorf("answer %d, %s: %d token requests, want 1", n, lost, got)
	}
	if got := news - before; got != map[bool]int{true: 1}[row.isNew] {
		t.Errorf("answer %d, %s: new %d times", n, lost, got)
	}
	if got := b.whoami(); got != ada {
		t.Errorf("answer %d, %s: signed in as %s", n, lost, got)
	}
	if row.name == "a new person with a cart" && b.get("cart") != "full" {
		t.Errorf("answer %d, %s: the cart is %q", n, lost, b.get("cart"))
	}
	for range 2 {
		if got := k.location(b.patiently(callback)); got != "/whoami" {
			t.Errorf("answer %d, %s: a reload landed at %q", n, lost, got)
		}
	}
	cs := b.connections()
	other := k.browser()
	other.signIn("idp", "ada", "/whoami") // at once: nothing is held
	if got := news - before; got != map[bool]int{true: 1}[row.isNew] {
		t.Errorf("answer %d, %s: new %d times", n, lost, got)
	}
	want := 2
	if row.name == "a person who returns" || row.name == "in the place of another" {
		want = 3
	}
	all, err := k.auth.SessionsOf(t.Context(), other.userID())
	if err != nil || len(all) != want {
		t.Errorf("answer %d, %s: %d sessions, %v, want %d", n, lost, len(all), err, want)
	}
	if row.name == "a link" && cs != "idp: Ada Lovelace false; plain: Grace Hopper false; " {
		t.Errorf("answer %d, %s: connections %s", n, lost, cs)
	}
	if err := k.auth.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if k.idp.Ledger().Revoked+k.plain.Ledger().Revoked != 0 {
		t.Errorf("answer %d, %s: a token was revoked", n, lost)
	}
	return lost != ""
}

// A store that loses an answer, and then that to the question what came of it: whatever the person is
// told is true, and stays so.
func TestLost_twice(t *testing.T) {
	for _, row := range comebacks {
		t.Run(row.name, func(t *testing.T) {
			eachFresh(t, func(t *testing.T, again func(...func(*kit, *middleware.Config)) *kit) {
				for n := 1; lostTwice(t, again, row, n); n++ {
				}
			})
		})
	}
}

// lostTwice loses the nth answer and the one after it, and reports whether there are both.
func lostTwice(t *testing.T, again func(...func(*kit, *middleware.Config)) *kit, row comeback, n int) bool {
	news := 0
	k := again(counted(&news))
	notes(k)
	b := k.browser()
	callback := row.leave(k, b)
	redeems, cs := k.redeems(), b.connections()
	l := lose(k)
	l.set(n, 2)
	resp := b.patiently(callback)
	lost := l.set(0, 0)
	if n == 1 && resp.StatusCode == http.StatusServiceUnavailable {
		resp = b.patiently(callback)
	}
	landed := resp.StatusCode == http.StatusSeeOther
	began := time.Now()
	// For somebody who is signed in, what failed is an old page of the history by now.
	if again := b.patiently(callback); landed != (again.StatusCode == http.StatusSeeOther) && (landed || b.whoami() == nobody) {
		t.Errorf("answers %d and %d, %s: landed: %v, and a reload says otherwise; log:\n%s", n, n+1, lost, landed, k.log)
	}
	if got := k.redeems() - redeems; got > 1 {
		t.Errorf("answers %d and %d, %s: %d token requests, want 1 at most", n, n+1, lost, got)
	}
	if !landed {
		k.soon(func() bool { return b.connections() == cs || row.isNew })
	}
	if got := b.whoami() == ada; got != (landed || row.signed) {
		t.Errorf("answers %d and %d, %s: landed: %v, signed in: %v", n, n+1, lost, landed, got)
	}
	other := k.browser()
	other.back(other.approve(other.start("idp", "/whoami"), "ada"))
	if took := time.Since(began); other.whoami() != ada || took > 30*time.Second {
		t.Errorf("answers %d and %d, %s: another sign-in, as %s, was held up for %v", n, n+1, lost, other.whoami(), took)
	}
	if got := k.location(b.patiently(b.approve(b.start("idp", "/whoami"), "ada"))); got != "/whoami" || b.whoami() != ada {
		t.Errorf("answers %d and %d, %s: and then %s", n, n+1, lost, b.whoami())
	}
	if row.name == "a new person with a cart" && b.get("cart") != "full" {
		t.Errorf("answers %d and %d, %s: the cart is %q", n, n+1, lost, b.get("cart"))
	}
	if row.isNew && news == 0 {
		t.Errorf("answers %d and %d, %s: nobody was new", n, n+1, lost)
	}
	return lost != ""
}

// soon waits until what runs in the background has come to that.
func (k *kit) soon(ok func() bool) {
	k.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			k.t.Error("it did not come to be")
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}
