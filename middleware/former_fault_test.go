package middleware_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// Whatever fails, the answer is 503 without a cookie, the old session is there or the new one is, and
// the next request has it.
func TestFormer_storeFails(t *testing.T) {
	rows := []struct {
		name string
		old  string // what of the old store fails, behind how many that do not
		skip int
		new  string // what of ours
	}{
		{"reading the old one", "find", 0, ""},
		{"saving", "", 0, "update"},
		{"looking again", "find", 1, ""},
		{"reading the new one", "", 0, "load"},
		{"deleting the old one", "delete", 0, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				f := newFormerApp(t)
				k := newKit(t, change, f.with)
				notes(k)
				w := watch(k)
				b := k.browser().brings(f.cart())
				token := b.cookies()["session"]
				n := 0
				f.store.on(func(op, token string) error {
					if op != row.old {
						return nil
					}
					if n++; n > row.skip {
						return errors.New("ERR unknown command 'GET', with args beginning with: 'scs:session:" + token + "'")
					}
					return nil
				})
				w.on(func(op string, _ sessionstore.Key) error {
					if op == row.new {
						return errors.New("the store is down")
					}
					return nil
				})
				for range 2 {
					n = 0
					resp := b.open("/get?key=cart")
					if resp.StatusCode != http.StatusServiceUnavailable || len(resp.Cookies()) != 0 {
						t.Errorf("status %d, cookies %v, want 503 and none", resp.StatusCode, resp.Cookies())
					}
					if f.store.left() != 1 {
						t.Error("the old session is gone")
					}
				}
				if strings.Contains(k.log.String(), token) || !strings.Contains(k.log.String(), "reason=store ") {
					t.Errorf("the token is in the log, or the reason is not:\n%s", k.log)
				}
				f.store.on(nil)
				w.on(nil)
				if b.get("cart") != "3 apples" || f.store.left() != 0 || w.records("session") != 1 {
					t.Errorf("afterwards: cart %q, %d old sessions, %d records", b.get("cart"), f.store.left(), w.records("session"))
				}
			})
		})
	}
}

// Between the two reads of a slow request, others take the session over: with its record, or before it
// made one, and sign out.
func TestFormer_overtaken(t *testing.T) {
	rows := []struct {
		name  string
		at    int // the read of the slow request at which the other one comes
		end   bool
		cart  string
		alive int
	}{
		{"before it saves", 1, false, "3 apples", 1},
		{"before it saves, and ends", 1, true, "", 0},
		{"before it looks again", 2, false, "3 apples", 1},
		{"before it looks again, and ends", 2, true, "", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				f := newFormerApp(t)
				k := newKit(t, change, f.with)
				notes(k)
				k.handle("/out", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
				w := watch(k)
				b := k.browser().brings(f.cart())
				slow := b.request(http.MethodGet, "/get?key=cart", nil)
				reads := 0
				op := map[int]string{1: "found", 2: "find"}[row.at]
				f.store.on(func(o, _ string) error {
					if o != op {
						return nil
					}
					if reads++; reads != row.at {
						return nil
					}
					f.store.on(nil)
					if got := b.get("cart"); got != "3 apples" {
						t.Errorf("the other request: cart %q", got)
					}
					if row.end {
						b.open("/out")
					}
					return nil
				})
				resp := k.serve(slow)
				if got := text(resp); got != row.cart {
					t.Errorf("cart: %q, want %q", got, row.cart)
				}
				if (len(resp.Cookies()) == 0) != row.end {
					t.Errorf("cookies %v", resp.Cookies())
				}
				if w.records("session") != row.alive || f.store.left() != 0 {
					t.Errorf("%d records, %d old sessions, want %d and 0", w.records("session"), f.store.left(), row.alive)
				}
			})
		})
	}
}

// While a key comes into the ring, two replicas make different sessions of one of before. The one that
// comes too late gives the other one's to its browser.
func TestFormer_rotation(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		old, renewed := shared, append(ringOf(shared[0].ID+1), shared...)
		f := newFormerApp(t)
		k := newKit(t, change, f.with, func(_ *kit, c *middleware.Config) { c.Keys = renewed })
		notes(k)
		next := k.beside(change, f.with, func(_ *kit, c *middleware.Config) {
			c.Store, c.Keys = k.store, append(old[:1:1], renewed[0])
		})
		notes(next)
		b, other := k.browser(), next.browser()
		cookie := f.cart()
		b.brings(cookie)
		other.brings(cookie)
		slow := b.request(http.MethodGet, "/get?key=cart", nil)
		reads := 0
		f.store.on(func(op, _ string) error {
			if op != "find" {
				return nil
			}
			if reads++; reads != 2 {
				return nil
			}
			f.store.on(nil) // it has made its session, and looks again
			if got := other.get("cart"); got != "3 apples" {
				t.Errorf("the other replica: cart %q", got)
			}
			return nil
		})
		resp := k.serve(slow)
		b.keep(resp)
		if got := text(resp); got != "3 apples" || b.session() != other.session() || f.store.left() != 0 {
			t.Errorf("cart %q, the other one's session: %t, %d old sessions", got, b.session() == other.session(), f.store.left())
		}
	})
}

type formerValue struct{ Apples int }

// A session with a value that this build does not know is nobody's loss, and nobody is kept out by it: the request
// is a visitor's, the log says why, and the session waits.
func TestFormer_unreadable(t *testing.T) {
	gob.Register(formerValue{})
	f := newFormerApp(t)
	cookie := f.visit(func(sm *scs.SessionManager, r *http.Request) { sm.Put(r.Context(), "cart", formerValue{3}) })
	known, _, _ := f.store.Find(cookie.Value)
	unknown := bytes.ReplaceAll(known, []byte("formerValue"), []byte("anotherType"))
	past, err := (scs.GobCodec{}).Encode(time.Now().Add(-time.Second), map[string]any{"cart": "old"})
	if err != nil {
		t.Fatal(err)
	}
	long, err := (scs.GobCodec{}).Encode(time.Now().Add(time.Hour), map[string]any{strings.Repeat("k", 127): "long"})
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name   string
		stored []byte
		codec  scs.Codec
		cart   string // as the handler sees it
		left   int
		unread bool // it is in the log, and as it was
	}{
		{"a type of the app's", known, nil, "{3}", 0, false},
		{"a type that nobody registered", unknown, nil, "<nil>", 1, true},
		{"cut off", known[:len(known)-3], nil, "<nil>", 1, true},
		{"a key that is too long", long, nil, "<nil>", 1, true},
		{"given up by a codec", unknown, lenient{}, "<nil>", 0, false},
		{"a deadline that has passed", past, nil, "<nil>", 1, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			f.manager.Codec = row.codec
			k := newKit(t, f.with)
			k.handle("/cart", func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, k.auth.Sessions().Get(r.Context(), "cart"))
			})
			if err := f.store.Commit(cookie.Value, row.stored, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			b := k.browser().brings(cookie)
			resp := b.open("/cart")
			if resp.StatusCode != http.StatusOK || text(resp) != row.cart {
				t.Errorf("status %d, %q, want 200, %q", resp.StatusCode, text(resp), row.cart)
			}
			if got := strings.Contains(k.log.String(), "reason=value kind=former "); got != row.unread {
				t.Errorf("the log says so: %v; log:\n%s", got, k.log)
			}
			if f.store.left() != row.left {
				t.Errorf("%d old sessions, want %d", f.store.left(), row.left)
			}
			if !row.unread {
				return
			}
			now, _, _ := f.store.Find(cookie.Value)
			if len(resp.Cookies()) != 0 || !bytes.Equal(now, row.stored) {
				t.Errorf("cookies %v; the old session is another", resp.Cookies())
			}
			b.signIn("idp", "ada", "/") // and all is well
			b.is(ada)
			if strings.Contains(k.log.String(), cookie.Value) || b.cookies()["session"] != cookie.Value {
				t.Errorf("the old cookie is gone, or in the log:\n%s", k.log)
			}
			b.setCookie("__Host-rl", "")
			if err := f.store.Commit(cookie.Value, known, time.Now().Add(time.Hour)); err != nil { // a build that knows more
				t.Fatal(err)
			}
			if got := text(b.open("/cart")); got != "{3}" || f.store.left() != 0 {
				t.Errorf("read by another build: %q, %d old sessions", got, f.store.left())
			}
		})
	}
}

// A sign-out ends what is left of before, whether or not it could be read: whoever uses the browser next does not
// get it from a build that can.
func TestFormer_signOut(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, by := range []string{"page", "handler", "visitor"} {
			f := newFormerApp(t)
			cookie := f.cart()
			if err := f.store.Commit(cookie.Value, []byte("what another build wrote"), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			k := newKit(t, change, f.with)
			notes(k)
			k.handle("/out", func(_ http.ResponseWriter, r *http.Request) { _ = middleware.SignOut(r.Context()) })
			b := k.browser().brings(cookie)
			if by != "visitor" {
				b.signIn("idp", "ada", "/")
			}
			out := func() *http.Response { return b.post("/auth/logout", nil) }
			if by == "handler" {
				out = func() *http.Response { return b.open("/out") }
			}
			f.store.on(func(op, _ string) error {
				if op == "delete" {
					return errors.New("the store is down")
				}
				return nil
			})
			if resp := out(); resp.StatusCode != http.StatusServiceUnavailable || len(resp.Cookies()) != 0 || f.store.left() != 1 {
				t.Errorf("%s: the old store fails: status %d, cookies %v", by, resp.StatusCode, resp.Cookies())
			}
			f.store.on(nil)
			out()
			if b.is(nobody); f.store.left() != 0 || b.cookies()["session"] != "" {
				t.Errorf("%s: %d old sessions, cookies %v", by, f.store.left(), b.cookies())
			}
		}
	})
}

// lenient gives up what it cannot read.
type lenient struct{ scs.GobCodec }

func (c lenient) Decode(b []byte) (time.Time, map[string]any, error) {
	deadline, vs, err := c.GobCodec.Decode(b)
	if err != nil {
		return time.Now().Add(time.Hour), nil, nil
	}
	return deadline, vs, nil
}
