package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// ATTACKS 164, FAULTS F37: a session of which one field does not open is either whole without it, or not
// there: no gate opens for somebody of whom nobody can say who they are.
func TestSession_halfOpen(t *testing.T) {
	rows := []struct {
		field string
		whole bool
	}{
		{"born", false},
		{"meta", false},
		{"user", false},
		{"g:plain", true}, // the connection is not there
	}
	for _, row := range rows {
		t.Run(row.field, func(t *testing.T) {
			for _, store := range []string{"sealed", "redis"} {
				t.Run(store, func(t *testing.T) {
					var under sessionstore.Store = &sessionstore.Memory{}
					if store == "redis" {
						under = realRedis(t)
					}
					k := newArenaOn(t, under, true)
					b := k.browser()
					b.signIn("plain", "ada", "/")
					b.whoami() // the cookie has been seen
					sid, _, _ := strings.Cut(b.session(), ".")
					key := sessionstore.Key{Kind: "session", ID: sid}
					rec, err := under.Load(t.Context(), key)
					if err != nil {
						t.Fatal(err)
					}
					f, ok := rec.Field(row.field)
					if !ok {
						t.Fatal("no such field")
					}
					f.Value = f.Value[:len(f.Value)-1] + string(f.Value[len(f.Value)-1]^1)
					if err := under.Update(t.Context(), key, sessionstore.Change{Set: []sessionstore.Field{f}}); err != nil {
						t.Fatal(err)
					}
					gated, mark := k.gated.Load(), len(k.log.String())
					resp := b.fetch("/gated/x")
					if open := k.gated.Load() > gated; open != row.whole || !open && resp.StatusCode != http.StatusUnauthorized {
						t.Errorf("the gate opens: %v, want %v; status %d", open, row.whole, resp.StatusCode)
					}
					if got := b.whoami() == ada; got != row.whole {
						t.Errorf("the app sees somebody: %v", got)
					}
					k.within(b, func(ctx context.Context) {
						want := middleware.ErrSignedOut
						if row.whole {
							want = middleware.ErrNotConnected
						}
						if _, err := middleware.Token(ctx, ""); !errors.Is(err, want) {
							t.Errorf("error %v, want %v", err, want)
						}
					})
					if got := k.log.String()[mark:]; !strings.Contains(got, "reason=unsealed") {
						t.Errorf("no event:\n%s", got)
					}
					b.signIn("plain", "ada", "/") // and all is well
					b.is(ada)
				})
			}
		})
	}
}
