package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Nothing that somebody sends in whose session nobody is signed in costs a line of the log without bound. What is
// left out is counted, to the last one.
func TestLog_bounded(t *testing.T) {
	const many = 1000
	sid := func(i int) string { return fmt.Sprintf("%022d.%043d", i, i) }
	rows := []struct {
		name   string
		send   func(b *browser, i int)
		reason string
	}{
		{"callbacks with a state that does not open", func(b *browser, i int) { b.open(fmt.Sprint("/auth/idp/callback?code=x&state=", i)) }, "state"},
		{"callbacks that are malformed", func(b *browser, i int) { b.open("/auth/idp/callback?%zz") }, "parameter"},
		{"posts from another site", func(b *browser, i int) {
			r := b.request(http.MethodPost, "/auth/idp/login", nil)
			r.Header.Set("Origin", "https://evil.example")
			b.do(r)
		}, "cross_origin"},
		{"addresses that are not there", func(b *browser, i int) { b.open(fmt.Sprint("/auth/", i)) }, "not_found"},
		{"methods", func(b *browser, i int) { b.do(b.request(fmt.Sprint("M", i), "/auth/idp/login", nil)) }, "method"},
		{"prefetches", func(b *browser, i int) {
			r := b.request(http.MethodGet, "/auth/idp/login", nil)
			r.Header.Set("Sec-Purpose", "prefetch")
			b.do(r)
		}, "not_a_navigation"},
		{"starts", func(b *browser, i int) { b.k.serve(b.request(http.MethodGet, "/auth/idp/login?return_to=/", nil)) }, ""},
		{"return addresses", func(b *browser, i int) { b.open("/auth/login?return_to=https://evil.example/") }, "return_to"},
		{"gates", func(b *browser, i int) { b.k.serve(b.request(http.MethodPost, "/gated", nil)) }, "signed_out"},
		{"made-up session cookies", func(b *browser, i int) {
			b.setCookie("__Host-rl", sid(i))
			b.open("/whoami")
		}, "session_unknown"},
		{"answers that say no", func(b *browser, i int) {
			b.open("/auth/idp/callback?error=access_denied&state=x")
		}, "state"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					k.handle("/gated", k.auth.Require(middleware.Need{})(http.NotFoundHandler()).ServeHTTP)
					b := k.browser()
					began := k.log.String()
					for i := range many {
						row.send(b, i)
					}
					written := lines(k, began, row.reason)
					if written == 0 || written > 200 {
						t.Errorf("%d lines for %d requests, want some, and 200 at most", written, many)
					}
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if n := lines(k, began, row.reason); n > written+1 {
						t.Errorf("%d lines a minute later, want one more than %d", n, written)
					}
					if got := leftOut(k); got+written != many {
						t.Errorf("%d written and %d left out, want %d together", written, got, many)
					}
					row.send(b, many)
					if n := lines(k, began, row.reason); n != written+2 {
						t.Error("a minute later, one more is not in the log")
					}
				})
			})
		})
	}
}

// lines returns how many lines of a reason came since the log was as it was.
func lines(k *kit, was, reason string) int {
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(k.log.String(), was)) {
		if reason == "" || strings.Contains(line, "reason="+reason+" ") || strings.HasSuffix(line, "reason="+reason+"\n") {
			n++
		}
	}
	return n
}

// leftOut adds up what the log says of lines that it does not have.
func leftOut(k *kit) (sum int) {
	for line := range strings.Lines(k.log.String()) {
		if _, count, ok := strings.Cut(line, " count="); ok && strings.Contains(line, "more of an event") {
			var n int
			if _, err := fmt.Sscan(count, &n); err != nil {
				k.t.Error(err)
			}
			sum += n
		}
	}
	return sum
}

// A store that is down is a fault: its lines are bounded, too, for those of whom nobody knows who they are, and
// counted.
func TestLog_fault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("idp", "ada", "/x")
		watch(k).on(func(string, sessionstore.Key) error { return errors.New("down") })
		for range 1000 {
			b.open("/whoami")
		}
		if n := strings.Count(k.log.String(), "reason=store"); n == 0 || n > 200 {
			t.Errorf("%d lines", n)
		}
		if err := k.auth.Close(t.Context()); err != nil { // which tells the rest
			t.Error(err)
		}
		if got := strings.Count(k.log.String(), "msg=\"returnleg: refused\" reason=store") + leftOut(k); got != 1000 {
			t.Errorf("%d written or counted, want 1000", got)
		}
	})
}

// Events of somebody who is signed in are all in the log, and so are sign-ins and sign-outs.
func TestLog_signedIn(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("idp", "ada", "/x")
		for i := range 300 {
			b.open(fmt.Sprint("/auth/idp/callback?code=x&state=", i))
			b.open(fmt.Sprint("/auth/", i))
		}
		for event, want := range map[string]int{"callback ignored": 300, "reason=not_found": 300} {
			if got := strings.Count(k.log.String(), event); got != want {
				t.Errorf("%s: %d lines, want %d", event, got, want)
			}
		}
		for range 150 {
			b.post("/auth/logout", nil)
			b.signIn("idp", "ada", "/x")
		}
		for event, want := range map[string]int{"signed in": 151, "signed out": 150} {
			if got := strings.Count(k.log.String(), "returnleg: "+event); got != want {
				t.Errorf("%s: %d lines, want %d", event, got, want)
			}
		}
	})
}

// Reasons of the app's own, as many as it makes, take no room without bound.
func TestLog_kinds(t *testing.T) {
	k := newKit(t)
	i := 0
	k.handle("/odd", func(w http.ResponseWriter, r *http.Request) {
		i++
		middleware.Answer(w, r, &middleware.Problem{Status: 400, Title: "x", Reason: middleware.Reason(fmt.Sprint("odd-", i))})
	})
	b := k.browser()
	for range 2000 {
		b.open("/odd")
	}
	if n := strings.Count(k.log.String(), "reason=odd-"); n < 400 || n > 650 {
		t.Errorf("%d lines, want as many as there are kinds, and a hundred", n)
	}
	if err := k.auth.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if got := strings.Count(k.log.String(), "reason=odd-") + leftOut(k); got != 2000 {
		t.Errorf("%d written or counted, want 2000", got)
	}
}

// A flood at one provider, or of codes that were made up, leaves the lines about another provider, and about the
// app's own credentials, in the log.
func TestLog_flooded(t *testing.T) {
	k := newKit(t)
	refuse := func(code string) {
		for _, s := range []*providertest.Server{k.plain, k.idp} {
			s.Set(func(b *providertest.Behavior) {
				b.Token = providertest.Respond(400, "application/json", `{"error":"`+code+`"}`)
			})
		}
	}
	b := k.browser()
	come := func(provider string) { b.back(b.approve(b.start(provider, "/"), "ada")) }
	refuse("invalid_grant")
	for range 101 {
		come("plain")
	}
	for _, row := range []struct{ provider, code string }{{"idp", "invalid_grant"}, {"plain", "invalid_client"}} {
		refuse(row.code)
		before := len(k.log.String())
		come(row.provider)
		if added := k.log.String()[before:]; !strings.Contains(added, "reason=provider_error") || !strings.Contains(added, row.code) {
			t.Errorf("%s, %s: not in the log: %s", row.provider, row.code, added)
		}
	}
}
