package middleware_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// cutOff is a store that is cut off while redemptions are claimed.
type cutOff struct {
	sessionstore.Store

	claims atomic.Int64
	claim  func(n int64, reach func() error) error // the n-th; reach makes the change
	mute   atomic.Bool                             // no other change of one is answered, although it is made
	deaf   atomic.Bool                             // none can be read
}

func cut(k *kit, claim func(n int64, reach func() error) error) *cutOff {
	s := &cutOff{Store: k.auth.Store(), claim: claim}
	k.auth.SetStore(s)
	return s
}

func (s *cutOff) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	reach := func() error { return s.Store.Update(ctx, k, c) }
	switch {
	case k.Kind != "redemption":
		return reach()
	case c.Mode == sessionstore.MustNotExist:
		return s.claim(s.claims.Add(1), reach)
	case s.mute.Load():
		_ = reach()
		return sessionstore.ErrUnavailable
	}
	return reach()
}

func (s *cutOff) Load(ctx context.Context, k sessionstore.Key) (sessionstore.Record, error) {
	if k.Kind == "redemption" && s.deaf.Load() {
		return sessionstore.Record{}, sessionstore.ErrUnavailable
	}
	return s.Store.Load(ctx, k)
}

// Invariant 3, where the store does not say what became of a claim: the record decides whose it is, and the
// code is sent once or not at all.
func TestClaim_lost(t *testing.T) {
	lost := sessionstore.ErrUnavailable
	rows := []struct {
		name    string
		claim   func(s *cutOff, rival func()) func(n int64, reach func() error) error
		status  int
		redeems int
		after   int // the status of a reload when nobody can be at it any more
	}{
		{"made, and the answer lost", func(*cutOff, func()) func(int64, func() error) error {
			return func(_ int64, reach func() error) error { _ = reach(); return lost }
		}, 303, 1, 303},
		{"not made", func(*cutOff, func()) func(int64, func() error) error {
			return func(n int64, reach func() error) error {
				if n == 1 {
					return lost
				}
				return reach()
			}
		}, 303, 1, 303},
		{"not made, twice", func(*cutOff, func()) func(int64, func() error) error {
			return func(n int64, reach func() error) error {
				if n <= 2 {
					return lost
				}
				return reach()
			}
		}, 503, 0, 303},
		{"made when it was given up, and claimed again", func(*cutOff, func()) func(int64, func() error) error {
			var first func() error
			return func(n int64, reach func() error) error {
				if n == 1 {
					first = reach
					return lost
				}
				_ = first()
				return reach()
			}
		}, 303, 1, 303},
		{"made, and then the store is gone", func(s *cutOff, _ func()) func(int64, func() error) error {
			return func(n int64, reach func() error) error {
				s.mute.Store(n == 1)
				s.deaf.Store(n == 1)
				_ = reach()
				return lost
			}
		}, 503, 0, 503},
		{"another comes first", func(_ *cutOff, rival func()) func(int64, func() error) error {
			return func(n int64, reach func() error) error {
				if n == 1 {
					rival()
					_ = reach()
					return lost
				}
				return reach()
			}
		}, 303, 1, 303},
		{"another comes between two claims", func(_ *cutOff, rival func()) func(int64, func() error) error {
			return func(n int64, reach func() error) error {
				switch n {
				case 1:
					return lost
				case 2:
					rival()
				}
				return reach()
			}
		}, 303, 1, 303},
		{"full", func(*cutOff, func()) func(int64, func() error) error {
			return func(n int64, reach func() error) error {
				if n == 1 {
					return sessionstore.ErrFull
				}
				return reach()
			}
		}, 503, 0, 303},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, change)
				pass := at(k)
				b := k.browser()
				callback := b.approve(b.start("idp", "/whoami"), "ada")
				again := b.callback(callback)
				s := cut(k, nil)
				s.claim = row.claim(s, func() { k.location(k.serve(again)) })
				load := func() *http.Response { // which a clock that stands still does not keep waiting for good
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					return b.do(b.callback(callback).WithContext(ctx))
				}
				resp := load()
				if resp.StatusCode != row.status || k.redeems() != row.redeems {
					t.Errorf("status %d after %d token requests, want %d and %d; log:\n%s", resp.StatusCode, k.redeems(), row.status, row.redeems, k.log)
				}
				s.mute.Store(false)
				s.deaf.Store(false)
				pass(45 * time.Second)
				resp = load()
				if resp.StatusCode != row.after || k.redeems() > 1 {
					t.Errorf("a reload: status %d after %d token requests, want %d; log:\n%s", resp.StatusCode, k.redeems(), row.after, k.log)
				}
				if row.after != http.StatusSeeOther && !strings.Contains(text(resp), "start again") {
					t.Errorf("a reload: body: %s", text(resp))
				}
				if got := b.whoami() == ada; got != (row.after == http.StatusSeeOther) {
					t.Errorf("signed in: %v", got)
				}
			})
		})
	}
}

// A claim that is there, and is not confirmed, as by a Redis whose replicas are gone, is none: the next
// failover may lose it. The person sees that it came to nothing once nobody can be at it.
func TestClaim_unconfirmed(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			s := cut(k, func(_ int64, reach func() error) error { _ = reach(); return sessionstore.ErrUnavailable })
			s.mute.Store(true)
			b := k.browser()
			resp, _, _ := b.stays(b.approve(b.start("idp", "/whoami"), "ada"))
			if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text(resp), "start again") {
				t.Errorf("status %d, body: %s", resp.StatusCode, text(resp))
			}
			if n := k.redeems(); n != 0 {
				t.Errorf("%d token requests, want none", n)
			}
		})
	})
}

// Two callbacks of one flow, neither of which learns what became of its claim: one of them redeems.
func TestClaim_lostAndRaced(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		cut(k, func(_ int64, reach func() error) error { _ = reach(); return sessionstore.ErrUnavailable })
		for range trials(t, 20) {
			b := k.browser()
			callback := b.approve(b.start("idp", "/whoami"), "ada")
			requests := []*http.Request{b.callback(callback), b.callback(callback)}
			for _, r := range requests {
				r.Header.Set("Sec-Fetch-Dest", "empty") // a script's, which waits for the other, however slow the machine
				r.Header.Set("Sec-Fetch-Mode", "cors")
			}
			before, answers := k.redeems(), make([]*http.Response, 2)
			together(2, func(i int) { answers[i] = k.serve(requests[i]) })
			for _, resp := range answers {
				if got := k.location(resp); got != "/whoami" {
					t.Errorf("landed at %q", got)
				}
				b.keep(resp)
			}
			if n := k.redeems() - before; n != 1 {
				t.Fatalf("%d token requests, want 1", n)
			}
			b.is(ada)
		}
	})
}

// A provider's no is told at once, although the answer to its claim is lost.
func TestClaim_lostAndDenied(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		cut(k, func(_ int64, reach func() error) error { _ = reach(); return sessionstore.ErrUnavailable })
		b := k.browser()
		callback := b.deny(b.start("idp", "/whoami"), "ada")
		for range 2 {
			k.rejected(b.back(callback), "denied")
		}
		if n := k.redeems(); n != 0 {
			t.Errorf("%d token requests, want none", n)
		}
	})
}
