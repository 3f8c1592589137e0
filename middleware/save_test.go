package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// Two requests of one session that change its cookie and its deadline: both win, and the cookie that
// the browser got opens the session.
func TestSave_metaOfAnother(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		notes(k)
		k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
			if err := sm.RenewToken(r.Context()); err != nil {
				t.Error(err)
			}
		})
		b := k.browser()
		soon := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		k.handle("/slow", func(_ http.ResponseWriter, r *http.Request) {
			sm.SetDeadline(r.Context(), soon)
			b.open("/renew")
		})
		k.handle("/deadline", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, sm.Deadline(r.Context()).UTC()) })
		b.signIn("plain", "ada", "/")
		was := b.session()
		k.serve(b.request(http.MethodGet, "/slow", nil)) // its answer is lost
		if b.session() == was || b.whoami() != "Ada Lovelace" {
			t.Errorf("%q with the cookie that is new: %t", b.whoami(), b.session() != was)
		}
		if got := text(b.open("/deadline")); got != fmt.Sprint(soon) {
			t.Errorf("deadline %s, want %s", got, soon)
		}
	})
}

// A handler that saves twice, with another request in between, writes what it changed and no more.
func TestSave_twice(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		notes(k)
		b := k.browser()
		k.handle("/twice", func(_ http.ResponseWriter, r *http.Request) {
			if got := sm.GetString(r.Context(), "a"); got != "before" {
				t.Errorf("a is %q", got)
			}
			b.put("a", "after") // the first request with the new cookie: both of them say that it was seen
			if err := middleware.SavePage(r.Context(), "a form"); err != nil {
				t.Error(err)
			}
			if err := middleware.Save(r.Context()); err != nil {
				t.Error(err)
			}
			sm.Put(r.Context(), "b", "2")
		})
		b.put("a", "before")
		b.signIn("plain", "ada", "/")
		k.serve(b.request(http.MethodGet, "/twice", nil))
		if b.get("a") != "after" || b.get("b") != "2" {
			t.Errorf("a is %q and b %q, want after and 2", b.get("a"), b.get("b"))
		}
	})
}

// A deadline that comes nearer is the record's as well: nothing lies about after it.
func TestSave_deadlineOfRecord(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		sm, with := withManager()
		k := newKit(t, change, with)
		soon := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		k.handle("/move", func(_ http.ResponseWriter, r *http.Request) { sm.SetDeadline(r.Context(), soon) })
		b := k.browser()
		b.signIn("plain", "ada", "/")
		b.open("/move")
		sid, _, _ := strings.Cut(b.session(), ".")
		rec, err := k.store.Load(t.Context(), sessionstore.Key{Kind: "session", ID: sid})
		if err != nil || !rec.Expires.Equal(soon) {
			t.Errorf("the record ends at %v, %v, want %v", rec.Expires, err, soon)
		}
	})
}
