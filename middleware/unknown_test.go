package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// F14: a browser that shows a session which the store does not have is one event per request, and
// nothing of the cookie is in it.
func TestSessionUnknown(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.SessionFree = func(r *http.Request) bool { return r.URL.Path == "/free" }
		})
		k.handle("/free", func(http.ResponseWriter, *http.Request) {})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		cookie := b.session()
		id, secret, _ := strings.Cut(cookie, ".")
		rows := []struct {
			name string
			do   func()
			want int
		}{
			{"a session", func() { b.whoami() }, 0},
			{"no cookie", func() { k.browser().whoami() }, 0},
			{"a cookie of a start, nothing stored yet", func() { c := k.browser(); c.start("idp", "/"); c.whoami() }, 0},
			{"another secret", func() { c := k.browser(); c.setCookie("__Host-rl", id+"."+strings.Repeat("A", 43)); c.whoami() }, 0},
			{"not the form of a cookie", func() { c := k.browser(); c.setCookie("__Host-rl", "canary"); c.whoami() }, 0},
			{"gone", func() {
				if err := k.store.Delete(t.Context(), sessionstore.Key{Kind: "session", ID: id}); err != nil {
					t.Fatal(err)
				}
				b.whoami()
			}, 1},
			{"gone, again", func() { b.whoami() }, 1},
			{"gone, on a path without sessions", func() { b.open("/free") }, 0},
			{"gone, and signs in", func() { b.signIn("idp", "ada", "/") }, 1}, // with the start, which sets another
			{"signed in", func() { b.whoami() }, 0},
		}
		for _, row := range rows {
			before := len(k.log.String())
			row.do()
			log := k.log.String()[before:]
			if got := strings.Count(log, "reason=session_unknown"); got != row.want {
				t.Errorf("%s: %d events, want %d:\n%s", row.name, got, row.want, log)
			}
			if strings.Contains(log, id) || strings.Contains(log, secret) {
				t.Errorf("%s: the log has a part of the cookie", row.name)
			}
		}
	})
}

// F25: sessions in memory, where the settings speak for more than one process, are a warning.
func TestNew_memory(t *testing.T) {
	keys := sessionstore.NewKeyring()
	rows := []struct {
		name, base string
		store      sessionstore.Store
		keys       sessionstore.Keyring
		want       bool
	}{
		{"while developing", "http://127.0.0.1:8080", nil, nil, false},
		{"named, without keys", appURL, &sessionstore.Memory{}, nil, false},
		{"not named, public", appURL, nil, nil, true},
		{"not named, keys", "http://127.0.0.1:8080", nil, keys, true},
		{"named, keys", appURL, &sessionstore.Memory{}, keys, true},
		{"another store", appURL, sealed{&sessionstore.Memory{}}, keys, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL, c.Store, c.Keys = row.base, row.store, row.keys })
			if got := strings.Contains(fmt.Sprint(k.log), "in the memory of this process"); got != row.want {
				t.Errorf("warned: %v, want %v; log:\n%s", got, row.want, k.log)
			}
		})
	}
}
