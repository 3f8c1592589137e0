package middleware_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/alexedwards/scs/v2"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/sessionstore"
)

// An error of OnLogin is a refusal if it says so. Anything else is a fault, whose page does not say that somebody
// has no access. The code is spent in each case; a reload is told the same, and sends it to nobody.
func TestRefuse(t *testing.T) {
	none := (*middleware.Problem)(nil)
	rows := []struct {
		name   string
		err    error
		status int
		reason string
		page   string // a part of it
		level  string
	}{
		{"a refusal", middleware.Refuse("Ask the treasurer."), 403, "refused_by_app", "Ask the treasurer.", "INFO"},
		{"a refusal without words", middleware.Refuse(""), 403, "refused_by_app", "this account has no access", "INFO"},
		{"a wrapped refusal", fmt.Errorf("member 7: %w", middleware.Refuse("Ask the treasurer.")), 403, "refused_by_app", "Ask the treasurer.", "INFO"},
		{"markup", middleware.Refuse("<b>No</b>"), 403, "refused_by_app", "&lt;b&gt;No&lt;/b&gt;", "INFO"},
		{"a problem", &middleware.Problem{Status: 451, Title: "Not in your country", Detail: "We are sorry.", Reason: "geo"}, 451, "geo", "Not in your country", "INFO"},
		{"a problem with nothing", &middleware.Problem{}, 403, "refused_by_app", "this account has no access", "INFO"},
		{"a problem of 500", &middleware.Problem{Status: 500, Title: "Later", Detail: "Try later."}, 500, "refused_by_app", "Try later.", "ERROR"},
		{"no problem", none, 500, "app_failed", "start again", "ERROR"},
		{"a database", sql.ErrConnDone, 500, "app_failed", "start again", "ERROR"},
		{"not found", sql.ErrNoRows, 500, "app_failed", "start again", "ERROR"},
		{"given up by somebody", context.Canceled, 500, "app_failed", "start again", "ERROR"},
		{"a provider's refusal", &providers.Error{Provider: "idp", Code: "access_denied"}, 500, "app_failed", "start again", "ERROR"},
		{"a store that is down", fmt.Errorf("users: %w", sessionstore.ErrUnavailable), 503, "interrupted", "start again", "ERROR"},
		{"a store that is overloaded", fmt.Errorf("users: %w", sessionstore.ErrOverloaded), 503, "interrupted", "start again", "ERROR"},
		{"out of time", fmt.Errorf("users: %w", context.DeadlineExceeded), 503, "interrupted", "start again", "ERROR"},
		{"what Take says", &middleware.Problem{Reason: middleware.ReasonStore}, 503, "interrupted", "start again", "ERROR"},
		{"no room", fmt.Errorf("users: %w", sessionstore.ErrFull), 503, "store_full", "cannot be continued", "ERROR"},
		{"what SignOutUser says of no room", &middleware.Problem{Reason: middleware.ReasonFull}, 503, "store_full", "cannot be continued", "ERROR"},
		{"a problem of no room, in the app's words", &middleware.Problem{Reason: middleware.ReasonFull, Detail: "Come back tomorrow."}, 503, "store_full", "Come back tomorrow.", "ERROR"},
		{"no id", nil, 500, "app_failed", "start again", "ERROR"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				fails := true
				k := newKit(t, change, func(_ *kit, c *middleware.Config) {
					c.OnLogin = func(_ context.Context, l *middleware.Login) error {
						if !fails {
							if !l.IsNew {
								t.Error("whoever was refused is not new any more")
							}
							return nil
						}
						l.Account.ID = ""
						return row.err
					}
				})
				b := k.browser()
				callback := b.approve(b.start("idp", "/x"), "ada")
				for _, when := range []string{"first", "what it loads", "reload"} {
					resp := b.back(callback)
					if to, ok := strings.CutPrefix(resp.Header.Get("Refresh"), "0;url="); ok && when == "what it loads" {
						resp = b.open(to)
					}
					if page := text(resp); resp.StatusCode != row.status || !strings.Contains(page, row.page) || !strings.Contains(page, "/auth/idp/login?") {
						t.Errorf("%s: got %d, want %d and a page with %q and the way to start again; body: %s", when, resp.StatusCode, row.status, row.page, page)
					}
					if got := resp.Header.Get("Retry-After"); got != "" {
						t.Errorf("%s: Retry-After %s: to wait does not help", when, got)
					}
				}
				if got := k.redeems(); got != 1 {
					t.Errorf("%d token requests, want 1", got)
				}
				if got := strings.Count(k.log.String(), "returnleg: refused"); got > 3 {
					t.Errorf("%d lines, want one of each callback: %s", got, k.log)
				}
				refused := ""
				for line := range strings.Lines(k.log.String()) {
					if refused == "" && strings.Contains(line, "returnleg: refused") {
						refused = line
					}
				}
				if !strings.Contains(refused, "level="+row.level) || !strings.Contains(refused, "reason="+row.reason+" ") {
					t.Errorf("got %q, want level %s and reason %s", refused, row.level, row.reason)
				}
				if b.whoami() != "nobody" {
					t.Error("somebody is signed in")
				}
				fails = false
				b.signIn("idp", "ada", "/x")
			})
		})
	}
}

// The words of a refusal have a bound where they are kept.
func TestRefuse_long(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(_ *kit, c *middleware.Config) {
			c.OnLogin = func(context.Context, *middleware.Login) error { return middleware.Refuse(strings.Repeat("é", 1<<20)) }
		})
		b := k.browser()
		callback := b.approve(b.start("idp", "/x"), "ada")
		b.back(callback)
		resp := b.back(callback)
		if page := text(resp); resp.StatusCode != http.StatusForbidden || len(page) > 20_000 || !strings.Contains(page, "éé") || strings.Contains(page, "\ufffd") {
			t.Errorf("reload: got %d and %d bytes, want 403 and the beginning", resp.StatusCode, len(page))
		}
	})
}

// A handler may refuse, too.
func TestRefuse_answer(t *testing.T) {
	k := newKit(t)
	k.handle("/closed", func(w http.ResponseWriter, r *http.Request) {
		middleware.Answer(w, r, fmt.Errorf("member 7: %w", middleware.Refuse("Ask the treasurer.")))
	})
	resp := k.browser().open("/closed")
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(text(resp), "Ask the treasurer.") {
		t.Errorf("got %d, %s", resp.StatusCode, text(resp))
	}
	if err := middleware.Refuse(""); !errors.As(err, new(*middleware.Problem)) {
		t.Errorf("got %T, want a *Problem", err)
	}
}

// Login says that the values which OnLogin finds came with the cookie of a former session, whoever brought it, and
// however the sign-in came to that session.
func TestLogin_former(t *testing.T) {
	rows := []struct {
		name string
		sign func(b *browser, old *http.Cookie)
		want []bool
	}{
		{"no former session", func(b *browser, _ *http.Cookie) { b.signIn("idp", "ada", "/x") }, []bool{false}},
		{"taken over before the start", func(b *browser, old *http.Cookie) { b.brings(old).signIn("idp", "ada", "/x") }, []bool{true}},
		{"taken over in between", func(b *browser, old *http.Cookie) {
			callback := b.approve(b.start("idp", "/x"), "ada")
			b.setCookie("__Host-rl", "")
			b.brings(old).back(callback)
		}, []bool{true}},
		{"planted in between, beside a session", func(b *browser, old *http.Cookie) {
			b.put("mine", "1")
			callback := b.approve(b.start("idp", "/x"), "ada")
			b.setCookie("__Host-rl", "")
			b.brings(old).back(callback)
		}, []bool{false}}, // the session in which the sign-in started wins
		{"signed in again in that session", func(b *browser, old *http.Cookie) {
			b.brings(old).signIn("idp", "ada", "/x")
			b.signIn("idp", "ada", "/x")
		}, []bool{true, true}},
		{"somebody else replaces them", func(b *browser, old *http.Cookie) {
			b.brings(old).signIn("idp", "ada", "/x")
			b.signIn("plain", "grace", "/x")
		}, []bool{true, false}},
		{"signed out in between", func(b *browser, old *http.Cookie) {
			b.brings(old).open("/get?key=userID")
			b.post("/auth/logout", nil)
			b.signIn("idp", "ada", "/x")
		}, []bool{false}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				f := newFormerApp(t)
				var got []bool
				var sessions *scs.SessionManager
				k := newKit(t, change, f.with, func(_ *kit, c *middleware.Config) {
					c.OnLogin = func(ctx context.Context, l *middleware.Login) error {
						got = append(got, l.Former)
						if found := sessions.GetString(ctx, "userID") == "mallory"; found != l.Former {
							t.Errorf("Former %v, and the old user id is found: %v", l.Former, found)
						}
						return nil
					}
				})
				sessions = k.auth.Sessions()
				notes(k)
				old := f.visit(func(sm *scs.SessionManager, r *http.Request) { sm.Put(r.Context(), "userID", "mallory") })
				row.sign(k.browser(), old)
				if fmt.Sprint(got) != fmt.Sprint(row.want) {
					t.Errorf("Former was %v, want %v", got, row.want)
				}
			})
		})
	}
}

// roomless is a store without room for records of one kind.
type roomless struct {
	sessionstore.Store
	kind string
}

func (s roomless) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if k.Kind == s.kind {
		return fmt.Errorf("no room: %w", sessionstore.ErrFull)
	}
	return s.Store.Update(ctx, k, c)
}

// A store that has no room once the code is spent ends the sign-in: nobody is told to wait for it.
func TestCallback_noRoom(t *testing.T) {
	for _, kind := range []string{"account", "person", "index", "session"} {
		t.Run(kind, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				callback := b.approve(b.start("idp", "/x"), "ada")
				store := k.auth.Store()
				k.auth.SetStore(roomless{store, kind})
				for _, when := range []string{"first", "reload"} {
					resp := b.back(callback)
					page := text(resp)
					if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page, "cannot be continued") || resp.Header.Get("Retry-After") != "" {
						t.Errorf("%s: status %d, Retry-After %q: %s", when, resp.StatusCode, resp.Header.Get("Retry-After"), page)
					}
				}
				if got := k.redeems(); got != 1 {
					t.Errorf("%d token requests, want 1", got)
				}
				k.auth.SetStore(store)
				b.signIn("idp", "ada", "/x")
			})
		})
	}
}
