package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// A sign-in that keeps something of the token which is being renewed meanwhile keeps what that was traded
// for: the other half would be a refresh token that was used already.
func TestRefresh_signInKeeps(t *testing.T) {
	rows := []struct {
		name  string
		field func(*providertest.Draft, map[string]any) // of the answer to the sign-in
	}{
		{"all of it, because less was granted", providertest.With("scope", "")},
		{"the refresh token, because none came", providertest.Without("refresh_token")},
	}
	for _, row := range rows {
		for _, left := range []time.Duration{30 * time.Second, 0} { // that the old token is good for
			t.Run(fmt.Sprintf("%s, with %v left", row.name, left), func(t *testing.T) {
				eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
					synctest.Test(t, func(t *testing.T) { signInMeanwhile(t, change, row.field, left) })
				})
			})
		}
	}
}

func signInMeanwhile(t *testing.T, change func(*kit, *middleware.Config), field func(*providertest.Draft, map[string]any), left time.Duration) {
	k := newKit(t, change, withShared, func(k *kit, c *middleware.Config) {
		p := k.plain.OAuth2("plain")
		p.Scopes = []string{"videos"}
		c.Providers[1] = p
	})
	next := k.beside()
	b := k.browser()
	b.signIn("plain", "ada", "/")
	time.Sleep(time.Hour - left)
	k.plain.Set(slowRefresh(2 * time.Second))
	c := k.clientOf(b, "")
	result := make(chan error)
	go func() { result <- k.token(b, "").err }()
	synctest.Wait()
	k.plain.Set(func(b *providertest.Behavior) { b.Fields = field })
	b.signIn("plain", "ada", "/")
	k.plain.Set(func(b *providertest.Behavior) { b.Fields = nil })
	if got := next.token(b, ""); got.err != nil { // at another process, which sees the sign-in's
		t.Error(got.err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	for hour := range 3 {
		resp, err := c.Get("/me")
		if err == nil {
			err = readAll(resp)
		}
		if err != nil {
			t.Errorf("hour %d: %v", hour, err)
		}
		time.Sleep(time.Hour)
	}
	if got := k.refreshes(k.plain); got != 3 {
		t.Errorf("%d refreshes, want 3", got)
	}
}

// grants is a store that keeps what was last written of a connection.
type grants struct {
	sessionstore.Store
	mu   sync.Mutex
	last string
}

func (g *grants) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range c.Set {
		if strings.HasPrefix(f.Name, "g:") {
			g.last = f.Value
		}
	}
	return g.Store.Update(ctx, k, c)
}

// What a provider has ended is not kept: nobody knows whether it did so at every place that takes it.
func TestRefresh_endedHoldsNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		g := &grants{Store: k.auth.Store()}
		k.auth.SetStore(g)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		access := k.token(b, "").access
		if !strings.Contains(g.last, access) {
			t.Fatal("this test does not see the token")
		}
		time.Sleep(time.Hour)
		k.plain.EndGrants("ada")
		if got := k.token(b, ""); !errors.Is(got.err, middleware.ErrReauthRequired) {
			t.Fatal(got.err)
		}
		for _, r := range k.plain.Ledger().Refresh {
			if strings.Contains(g.last, r.Token) {
				t.Error("the refresh token is still there")
			}
		}
		if strings.Contains(g.last, access) {
			t.Error("the access token is still there")
		}
	})
}

// saving is a store that has something happen before a renewed token is saved for the first time.
type saving struct {
	sessionstore.Store
	once   sync.Once
	before func()
}

func (s *saving) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if slices.Contains(c.Delete, "r:plain:work") { // the mark
		s.once.Do(s.before)
	}
	return s.Store.Update(ctx, k, c)
}

// A token that was renewed for an account in whose place another is connected by then is nobody's: it is
// given back, as the one before it was.
func TestRefresh_replaced(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("idp", "ada", "/")
		b.link("plain", "work", "grace")
		renewed := ""
		k.auth.SetStore(&saving{Store: k.auth.Store(), before: func() {
			all := k.plain.Ledger().Refresh
			renewed = all[len(all)-1].Token
			b.link("plain", "work", "emmy")
		}})
		k.within(b, func(ctx context.Context) {
			if _, err := middleware.Refresh(middleware.WithConnection(ctx, "work"), "plain"); err != nil {
				t.Error(err)
			}
		})
		if err := k.auth.Close(t.Context()); err != nil { // the revocation is under way
			t.Fatal(err)
		}
		var revoked []string
		for _, r := range k.plain.Ledger().Of("revoke") {
			revoked = append(revoked, r.Form.Get("token"))
		}
		if renewed == "" || !slices.Contains(revoked, renewed) {
			t.Errorf("%d tokens were revoked, and not the one that was renewed", len(revoked))
		}
	})
}
