package middleware_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// shelf is a store whose rows can be looked at, as somebody does who has stolen a copy.
type shelf struct {
	sessionstore.Store

	updating func(k sessionstore.Key) // called before each Update, if not nil

	mu   sync.Mutex
	keys map[sessionstore.Key]bool
}

func newShelf(s sessionstore.Store) *shelf {
	return &shelf{Store: s, keys: map[sessionstore.Key]bool{}}
}

func (s *shelf) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if s.updating != nil {
		s.updating(k)
	}
	s.mu.Lock()
	s.keys[k] = true
	s.mu.Unlock()
	return s.Store.Update(ctx, k, c)
}

// rows returns what is stored, as it is stored.
func (s *shelf) rows() map[sessionstore.Key]sessionstore.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[sessionstore.Key]sessionstore.Record{}
	for k := range s.keys {
		if rec, err := s.Store.Load(context.Background(), k); err == nil {
			m[k] = rec
		}
	}
	return m
}

// dump returns all rows as text.
func (s *shelf) dump() string {
	var lines []string
	for k, rec := range s.rows() {
		lines = append(lines, fmt.Sprintf("%s %s %q", k.Kind, k.ID, rec.Pack()))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// of returns the rows of a kind.
func (s *shelf) of(kind string) []sessionstore.Key {
	var ks []sessionstore.Key
	for k := range s.rows() {
		if k.Kind == kind {
			ks = append(ks, k)
		}
	}
	return ks
}

// arena is a kit in which attacks are judged: its store can be looked at, and /gated counts who
// gets in.
type arena struct {
	*kit
	shelf *shelf
	gated atomic.Int64
}

// newArena returns an arena, whose rows are sealed or in the clear.
func newArena(t testing.TB, seal bool, change ...func(*kit, *middleware.Config)) *arena {
	t.Helper()
	return newArenaOn(t, &sessionstore.Memory{}, seal, change...)
}

func newArenaOn(t testing.TB, store sessionstore.Store, seal bool, change ...func(*kit, *middleware.Config)) *arena {
	t.Helper()
	k := &arena{shelf: newShelf(store)}
	if seal {
		change = append(change, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = k.shelf, sessionstore.NewKeyring() })
	}
	k.kit = newKit(t, change...)
	if !seal {
		k.auth.SetStore(k.shelf)
	}
	k.mux.Handle("/gated/", k.auth.Require(middleware.Need{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.gated.Add(1)
		fmt.Fprint(w, "protected content")
	})))
	k.handle("/put", func(w http.ResponseWriter, r *http.Request) {
		k.auth.Sessions().Put(r.Context(), r.FormValue("key"), r.FormValue("value"))
	})
	k.handle("/get", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, k.auth.Sessions().GetString(r.Context(), r.FormValue("key")))
	})
	return k
}

// eachArena runs a test for both kinds of provider, on rows in the clear, on sealed ones, and on
// sealed ones in real Redis.
func eachArena(t *testing.T, f func(t *testing.T, k *arena, provider string)) {
	for _, provider := range []string{"idp", "plain"} {
		for _, store := range []string{"memory", "sealed"} {
			t.Run(provider+" "+store, func(t *testing.T) { f(t, newArena(t, store == "sealed"), provider) })
		}
		t.Run(provider+" redis", func(t *testing.T) { f(t, newArenaOn(t, realRedis(t), true), provider) })
	}
}

// told returns the values of r's query that must not be seen again anywhere.
func told(r *http.Request) []string {
	var secrets []string
	for name, vs := range r.URL.Query() {
		for _, v := range vs {
			if name != "iss" && name != "return_to" && name != "error" && len(v) >= 8 && len(v) < 4096 {
				secrets = append(secrets, v)
			}
		}
	}
	return secrets
}

// unmoved sends r and fails the test if it changed anything: no token request, nothing written, no
// cookie, no gated handler called, and one event with the reason and without what r carries.
func (k *arena) unmoved(r *http.Request, event, reason string) *http.Response {
	k.t.Helper()
	k.auth.ForgetLines()
	secrets := told(r)
	before, redeems, gated, mark := k.shelf.dump(), k.redeems(), k.gated.Load(), len(k.log.String())
	resp := k.serve(r)
	body, events := text(resp), k.log.String()[mark:]
	if n := k.redeems() - redeems; n != 0 {
		k.t.Errorf("%d token requests, want none", n)
	}
	if after := k.shelf.dump(); after != before {
		k.t.Errorf("the store changed:\n%s\n--- before:\n%s", after, before)
	}
	if k.gated.Load() != gated {
		k.t.Error("a gated handler was called")
	}
	if got := resp.Header["Set-Cookie"]; len(got) > 0 {
		k.t.Errorf("Set-Cookie %q, want none", got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		k.t.Errorf("Cache-Control %q, want no-store", got)
	}
	if got := resp.Header.Get("Referrer-Policy"); got != "no-referrer" {
		k.t.Errorf("Referrer-Policy %q, want no-referrer", got)
	}
	// That the store does not have what a cookie names is an event of its own, whatever is asked.
	if n := strings.Count(events, "returnleg: ") - strings.Count(events, "returnleg: session unknown"); n != 1 || !strings.Contains(events, `"returnleg: `+event+`" reason=`+reason+" ") {
		k.t.Errorf("events, want one %q with reason %s:\n%s", event, reason, events)
	}
	for _, s := range secrets {
		if strings.Contains(events, s) || strings.Contains(body, s) || strings.Contains(fmt.Sprint(resp.Header), s) {
			k.t.Errorf("%q is repeated", s)
		}
	}
	return resp
}

// rejects fails the test unless r is refused with a 4xx for that reason, and nothing else happens.
func (k *arena) rejects(r *http.Request, reason string) {
	k.t.Helper()
	resp := k.unmoved(r, "refused", reason)
	if resp.StatusCode < 400 || resp.StatusCode > 499 {
		k.t.Errorf("status %d, want 4xx", resp.StatusCode)
	}
}

// ignores fails the test unless r, a callback that cannot be tied to its browser, in which somebody
// is signed in, sends them home and changes nothing.
func (k *arena) ignores(r *http.Request, reason string) {
	k.t.Helper()
	resp := k.unmoved(r, "callback ignored", reason)
	if got := k.location(resp); got != "/" {
		k.t.Errorf("sent to %q, want home", got)
	}
}

// lands finishes a sign-in and fails the test unless it ends at a page, as a person.
func (b *browser) lands(callback, page, person string) {
	b.k.t.Helper()
	resp := b.back(callback)
	if resp.StatusCode != http.StatusSeeOther {
		b.k.t.Errorf("status %d, want 303; log:\n%s", resp.StatusCode, b.k.log)
		return
	}
	if got := resp.Header.Get("Location"); got != page {
		b.k.t.Errorf("landed at %q, want %q", got, page)
	}
	b.is(person)
}

// is fails the test unless the app takes b for that person.
func (b *browser) is(person string) {
	b.k.t.Helper()
	if got := b.whoami(); got != person {
		b.k.t.Errorf("the app sees %q, want %q", got, person)
	}
}

// names are those of the provider's accounts.
const (
	nobody = "nobody"
	ada    = "Ada Lovelace"
	grace  = "Grace Hopper"
	emmy   = "Emmy Noether"
)

// query returns the parameters of a URL.
func query(t testing.TB, s string) url.Values {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// state returns the state parameter of a URL.
func state(t testing.TB, s string) string {
	t.Helper()
	return query(t, s).Get("state")
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

var silent = slog.New(slog.DiscardHandler)
