package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// An error may be given to many requests at once, as that of one refresh is to all who wait for it:
// to answer one of them changes nothing about it.
func TestAnswer_sharedProblem(t *testing.T) {
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.BaseURL = "http://127.0.0.1:8080" })
	given := &middleware.Problem{Status: http.StatusServiceUnavailable, Reason: middleware.ReasonStore}
	k.handle("/fails", func(w http.ResponseWriter, r *http.Request) { middleware.Answer(w, r, given) })
	if got := k.browser().open("/fails").StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", got)
	}
	if len(given.Hints) > 0 {
		t.Errorf("the error has the hints for one request now: %q", given.Hints)
	}
}

// What Answer makes of errors that do not say everything, for a page and for a script.
func TestAnswer_errors(t *testing.T) {
	var noProblem *middleware.Problem
	wrapped := func(err error) error { return &url.Error{Op: "Get", URL: "/me", Err: fmt.Errorf("x: %w", err)} }
	rows := []struct {
		name         string
		err          error
		page, script int
		reason       string
	}{
		{"nil", nil, 500, 500, "handler"},
		{"an empty problem", &middleware.Problem{}, 500, 500, "handler"},
		{"a problem with a reason only", &middleware.Problem{Reason: middleware.ReasonDenied}, 403, 403, "denied"},
		{"a problem with a reason of the app's", &middleware.Problem{Reason: "tea", Status: 418}, 418, 418, "tea"},
		{"a problem with a status that is none", &middleware.Problem{Reason: "tea", Status: 200}, 500, 500, "tea"},
		{"a nil problem", noProblem, 500, 500, "handler"},
		{"signed out", middleware.ErrSignedOut, 303, 401, "signed_out"},
		{"signed out, wrapped", wrapped(middleware.ErrSignedOut), 303, 401, "signed_out"},
		{"reauth of the sign-in", middleware.ErrReauthRequired, 303, 401, "connection_ended"},
		{"reauth, wrapped", wrapped(middleware.ErrReauthRequired), 303, 401, "connection_ended"},
		{"step-up", middleware.ErrStepUp, 303, 401, "need_unmet"},
		{"step-up of the app's own", &middleware.StepUpError{Need: middleware.Need{Provider: "plain", Scopes: []string{"upload"}}}, 303, 401, "need_unmet"},
		{"step-up at nobody", &middleware.StepUpError{Need: middleware.Need{Provider: "unknown"}}, 500, 500, "handler"},
		{"not connected", middleware.ErrNotConnected, 403, 401, "need_unmet"},
		{"unavailable", wrapped(providers.ErrUnavailable), 503, 503, "api_down"},
		{"too slow", wrapped(context.DeadlineExceeded), 503, 503, "api_down"},
		{"a work that was given up, while the client waits", wrapped(context.Canceled), 500, 500, "handler"},
		{"joined", errors.Join(errors.New("x"), middleware.ErrReauthRequired), 303, 401, "connection_ended"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				k.handle("/fails", func(w http.ResponseWriter, r *http.Request) { middleware.Answer(w, r, row.err) })
				b := k.browser()
				b.signIn("plain", "ada", "/")
				page, script := b.open("/fails"), b.fetch("/fails")
				if page.StatusCode != row.page || script.StatusCode != row.script {
					t.Errorf("status %d and %d, want %d and %d", page.StatusCode, script.StatusCode, row.page, row.script)
				}
				var p middleware.Problem
				if err := json.Unmarshal([]byte(text(script)), &p); err != nil || string(p.Reason) != row.reason || p.Title == "" || p.Detail == "" || p.Status != row.script {
					t.Errorf("%+v, %v, want reason %s", p, err, row.reason)
				}
				if row.script == 401 && (p.LoginURL == "" || script.Header.Get("WWW-Authenticate") == "") {
					t.Errorf("nowhere to sign in: %+v", p)
				}
				if row.page == 303 && !strings.HasPrefix(k.location(page), "https://plain.example/") && row.reason != "signed_out" {
					t.Errorf("sent to %s", k.location(page))
				}
			})
		})
	}
}

// A store that fails in the middle of a handler is 503, as it is before one, whatever it was asked for.
func TestAnswer_storeFails(t *testing.T) {
	for _, row := range []struct {
		name string
		call func(*kit, context.Context) error
	}{
		{"SessionsOf", func(k *kit, ctx context.Context) error { _, err := k.auth.SessionsOf(ctx, adaUser); return err }},
		{"SignOutUser", func(k *kit, ctx context.Context) error { return k.auth.SignOutUser(ctx, adaUser) }},
		{"SignOutOthers", func(_ *kit, ctx context.Context) error { return middleware.SignOutOthers(ctx) }},
		{"EndSession", func(k *kit, ctx context.Context) error {
			return k.auth.EndSession(ctx, adaUser, strings.Repeat("a", 22))
		}},
		{"Take", func(_ *kit, ctx context.Context) error { _, _, err := middleware.Take(ctx, "once"); return err }},
		{"Disconnect", func(_ *kit, ctx context.Context) error { return middleware.Disconnect(ctx, "plain") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, asUser)
			k.handle("/keep", func(_ http.ResponseWriter, r *http.Request) { k.auth.Sessions().Put(r.Context(), "once", "1") })
			k.handle("/call", func(w http.ResponseWriter, r *http.Request) {
				watch(k).on(func(string, sessionstore.Key) error { return errors.New("broken") })
				if err := row.call(k, r.Context()); err != nil {
					middleware.Answer(w, r, err)
				}
			})
			b := k.browser()
			b.signIn("plain", "ada", "/")
			b.open("/keep")
			k.rejectedWith(b.open("/call"), http.StatusServiceUnavailable)
			if got := k.log.String(); !strings.Contains(got, "reason=store ") {
				t.Errorf("log: %s", got)
			}
		})
	}
}

// A page about something that may be well in a moment has a button that loads the same address again,
// which is not written out: it may be that of a callback.
func TestAnswer_tryAgain(t *testing.T) {
	k := newKit(t)
	for _, row := range []struct {
		name, method string
		problem      middleware.Problem
		want         bool
	}{
		{"the store is down", "GET", middleware.Problem{Reason: middleware.ReasonStore}, true},
		{"the app failed", "GET", middleware.Problem{Reason: middleware.ReasonHandler}, true},
		{"a form, which the button would not send", "POST", middleware.Problem{Reason: middleware.ReasonStore}, false},
		{"the sign-in begins anew", "GET", middleware.Problem{Reason: middleware.ReasonUnavailable, LoginURL: "/auth/plain/login"}, false},
		{"not there", "GET", middleware.Problem{Reason: middleware.ReasonNotFound}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := k.auth.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { middleware.Answer(w, r, &row.problem) }))
			r := httptest.NewRequest(row.method, "https://app.example/fails?code=1", nil)
			r.Header.Set("Accept", "text/html")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			page := w.Body.String()
			if got := strings.Contains(page, `<a class="button" href="">Try again</a>`); got != row.want || strings.Contains(page, "code=1") {
				t.Errorf("got a button %t, want %t, on a page without its address: %s", got, row.want, page)
			}
		})
	}
}

// FAULTS F26: a client that has gone is no fault of the app's, wherever it was noticed.
func TestAnswer_clientGone(t *testing.T) {
	rows := []struct {
		name string
		err  func(ctx context.Context) error
	}{
		{"by the handler", func(ctx context.Context) error { <-ctx.Done(); return fmt.Errorf("x: %w", ctx.Err()) }},
		{"by a client", func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/me", nil)
			if err != nil {
				return err
			}
			_, err = middleware.Client(ctx, "").Do(req)
			return err
		}},
		{"while a token is renewed", func(ctx context.Context) error { _, err := middleware.Refresh(ctx, ""); return err }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					k.mux.Handle("/page", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error { return row.err(r.Context()) }))
					b := k.browser()
					b.signIn("plain", "ada", "/")
					k.plain.Set(func(b *providertest.Behavior) { b.API, b.Token = providertest.Hang, providertest.Delay(time.Minute) })
					mark := len(k.log.String())
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, cancel)
					resp := k.serve(b.request(http.MethodGet, "/page", nil).WithContext(ctx))
					events := k.log.String()[mark:]
					if resp.StatusCode != 499 || strings.Contains(events, "level=ERROR") || !strings.Contains(events, "reason=client_gone") {
						t.Errorf("status %d:\n%s", resp.StatusCode, events)
					}
					k.plain.SetBehavior(providertest.Behavior{})
					if err := k.auth.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		})
	}
}

// Check is the gate's own judgment, as an error.
func TestCheck(t *testing.T) {
	upload := middleware.Need{Scopes: []string{"upload"}}
	rows := []struct {
		name     string
		signedIn bool
		need     middleware.Need
		want     error
		provider string // of the error's Need
	}{
		{"nobody", false, middleware.Need{}, middleware.ErrSignedOut, ""},
		{"nobody, at a provider", false, middleware.Need{Provider: "idp"}, middleware.ErrSignedOut, "idp"},
		{"signed in", true, middleware.Need{}, nil, ""},
		{"granted", true, middleware.Need{Provider: "plain", Scopes: []string{"videos"}}, nil, ""},
		{"a scope", true, upload, middleware.ErrStepUp, "plain"},
		{"another provider", true, middleware.Need{Provider: "idp"}, middleware.ErrNotConnected, "idp"},
		{"another label", true, middleware.Need{Label: "work"}, middleware.ErrNotConnected, "plain"},
		{"no provider of ours", true, middleware.Need{Provider: "unknown"}, middleware.ErrNotConnected, "unknown"},
		{"a level", true, middleware.Need{ACR: []string{"gold"}}, middleware.ErrStepUp, "plain"},
		{"an age", true, middleware.Need{MaxAge: time.Minute}, middleware.ErrStepUp, "plain"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, change)
				pass, b := at(k), k.browser()
				if row.signedIn {
					b.signIn("plain", "ada", "/")
				}
				pass(2 * time.Minute)
				k.within(b, func(ctx context.Context) {
					err := middleware.Check(ctx, row.need)
					if !errors.Is(err, row.want) || err == nil != (row.want == nil) {
						t.Fatalf("error %v, want %v", err, row.want)
					}
					var step *middleware.StepUpError
					if err != nil && (!errors.As(err, &step) || step.Need.Provider != row.provider) {
						t.Errorf("error %#v, want a step-up at %q", err, row.provider)
					}
				})
			})
		})
	}
	t.Run("an ended token", func(t *testing.T) {
		eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
			k := newKit(t, change)
			pass, b := at(k), k.browser()
			b.signIn("plain", "ada", "/")
			k.plain.EndGrants("ada")
			pass(2 * time.Hour)
			k.within(b, func(ctx context.Context) {
				if _, err := middleware.Token(ctx, ""); !errors.Is(err, middleware.ErrReauthRequired) {
					t.Error(err)
				}
			})
			k.within(b, func(ctx context.Context) {
				if err := middleware.Check(ctx, middleware.Need{Provider: "plain"}); !errors.Is(err, middleware.ErrReauthRequired) {
					t.Errorf("error %v", err)
				}
				if err := middleware.Check(ctx, middleware.Need{}); err != nil {
					t.Errorf("signed in: %v", err)
				}
			})
		})
	})
	if err := middleware.Check(t.Context(), upload); !errors.Is(err, middleware.ErrNoMiddleware) {
		t.Errorf("without the middleware: %v", err)
	}
}

// What Check returns can be handed to Answer, also by a handler that lets nobody in: who signs in is
// asked for all of it at once.
func TestCheck_answered(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		k.mux.Handle("/page", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			return middleware.Check(r.Context(), middleware.Need{Provider: "plain", Scopes: []string{"upload"}})
		}))
		b := k.browser()
		auth := k.location(b.open("/page"))
		if got := query(t, auth).Get("scope"); !strings.HasPrefix(auth, "https://plain.example/") || !strings.Contains(got, "upload") {
			t.Errorf("sent to %s", auth)
		}
		if got := k.location(b.back(b.approve(auth, "ada"))); got != "/page" {
			t.Errorf("landed at %q", got)
		}
		if resp := b.open("/page"); resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}
