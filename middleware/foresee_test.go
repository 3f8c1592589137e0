package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/returnleg/returnleg/middleware"
)

// OnLogin sees the session that its sign-in ends in, and never the values of somebody else who was
// signed in in the same browser: an app that links "the user of before" would make one of two people.
func TestOnLogin_seesItsOwnSession(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		sm := k.auth.Sessions()
		var saw, took string
		var saved error
		k.auth.SetOnLogin(func(ctx context.Context, l *middleware.Login) error {
			saw = sm.GetString(ctx, "user")
			v, _, err := middleware.Take(ctx, "once")
			took, _ = v.(string)
			sm.Put(ctx, "role", "author") // the same for everybody: nothing new, to a session that has it
			if l.Account.Identity.Name == "Grace Hopper" {
				saved = middleware.Save(ctx)
			}
			return err
		})
		k.handle("/set", func(_ http.ResponseWriter, r *http.Request) {
			sm.Put(r.Context(), "user", r.FormValue("user"))
			sm.Put(r.Context(), "once", "token")
		})
		k.handle("/get", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, sm.GetString(r.Context(), "user"), " ", sm.GetString(r.Context(), "role"), " ", sm.GetString(r.Context(), "once"))
		})
		b := k.browser()
		check := func(step, wantSaw, wantTook, wantHolds string) {
			t.Helper()
			if saw != wantSaw || took != wantTook {
				t.Errorf("%s: OnLogin saw %q and took %q, want %q and %q", step, saw, took, wantSaw, wantTook)
			}
			if got := text(b.open("/get")); got != wantHolds {
				t.Errorf("%s: the session holds %q, want %q", step, got, wantHolds)
			}
		}
		b.open("/set?user=visitor")
		b.signIn("idp", "ada", "/")
		check("the session of before", "visitor", "token", "visitor author ")
		b.open("/set?user=u-1")
		b.signIn("idp", "ada", "/")
		check("the same person again", "u-1", "token", "u-1 author ")
		b.open("/set?user=u-1")
		b.idp = k.browser().idp
		b.signIn("idp", "grace", "/")
		check("somebody else", "", "", " author ")
		if !errors.Is(saved, middleware.ErrNotSaved) {
			t.Errorf("Save in OnLogin: %v, want ErrNotSaved", saved)
		}
	})
}

// So it is where the browser has lost the cookie of the session that the sign-in started in.
func TestOnLogin_seesTheSessionThatLeft(t *testing.T) {
	k := newKit(t)
	sm := k.auth.Sessions()
	saw := ""
	k.auth.SetOnLogin(func(ctx context.Context, _ *middleware.Login) error {
		saw = sm.GetString(ctx, "cart")
		sm.Put(ctx, "cart", "merged")
		return nil
	})
	k.handle("/cart", func(w http.ResponseWriter, r *http.Request) {
		if v := r.FormValue("put"); v != "" {
			sm.Put(r.Context(), "cart", v)
		}
		fmt.Fprint(w, sm.GetString(r.Context(), "cart"))
	})
	b := k.browser()
	b.open("/cart?put=full")
	callback := b.approve(b.start("idp", "/"), "ada")
	b.setCookie("__Host-rl", "")
	b.back(callback)
	if got := text(b.open("/cart")); saw != "full" || got != "merged" {
		t.Errorf("OnLogin saw %q, the session holds %q, want full and merged", saw, got)
	}
}
