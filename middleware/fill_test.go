package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// tiers is a store that remembers whose each record is.
type tiers struct {
	sessionstore.Store
	mu sync.Mutex
	of map[sessionstore.Key]sessionstore.Tier
}

func (s *tiers) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	err := s.Store.Update(ctx, k, c)
	if err == nil && c.Tier != sessionstore.SameTier {
		s.mu.Lock()
		s.of[k] = c.Tier
		s.mu.Unlock()
	}
	return err
}

// members returns how many records of a kind count against the budget of members.
func (s *tiers) members(kind string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, tier := range s.of {
		if k.Kind == kind && tier == sessionstore.Member {
			n++
		}
	}
	return n
}

// Invariant 12: what a stranger can cause, with a made-up code or answer, is a guest's record; and it lasts
// for longer than the state that it is of, so that no code is sent twice.
func TestFill_redemptions(t *testing.T) {
	rows := []struct {
		name    string
		signed  bool
		come    func(k *kit, b *browser) string
		redeems int
	}{
		{"a made-up code", false, madeUp, 1},
		{"a made-up code of somebody who is signed in", true, madeUp, 1},
		{"access_denied", false, refusal, 0},
		{"access_denied of somebody who is signed in", true, refusal, 0},
		{"refused by the app", false, func(k *kit, b *browser) string {
			k.onLogin(func(loginContext) error { return errors.New("no") })
			return b.approve(b.start("plain", "/"), "ada")
		}, 1},
		{"a token endpoint that fails", false, func(k *kit, b *browser) string {
			callback := b.approve(b.start("plain", "/"), "ada")
			k.plain.Set(func(b *providertest.Behavior) {
				b.Token = providertest.Fail(http.StatusInternalServerError, "server_error")
			})
			return callback
		}, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
				k := newKit(t, change, func(_ *kit, c *middleware.Config) { c.AnonymousIdle = 10 * time.Minute })
				pass := at(k)
				b := k.browser()
				if row.signed {
					b.signIn("idp", "ada", "/")
				}
				store := &tiers{Store: k.auth.Store(), of: map[sessionstore.Key]sessionstore.Tier{}}
				k.auth.SetStore(store)
				redeems := k.redeems()
				callback := row.come(k, b)
				k.serve(b.callback(callback))
				if n := store.members("redemption"); n != 0 || len(store.of) == 0 {
					t.Errorf("%d of members, want none; %d in all; log:\n%s", n, len(store.of), k.log)
				}
				for range 5 { // AnonymousIdle has gone by many times, the state is good still
					pass(11 * time.Minute)
					k.serve(b.callback(callback))
				}
				if got := k.redeems() - redeems; got != row.redeems {
					t.Errorf("%d token requests, want %d", got, row.redeems)
				}
			})
		})
	}
}

func madeUp(k *kit, b *browser) string {
	return "/auth/plain/callback?code=made-up&iss=https://plain.example&state=" + state(k.t, b.start("plain", "/"))
}

func refusal(k *kit, b *browser) string {
	return "/auth/plain/callback?error=access_denied&iss=https://plain.example&state=" + state(k.t, b.start("plain", "/"))
}

// A thousand made-up codes take nothing of the members' room, and what is there for guests bounds them.
func TestFill_memory(t *testing.T) {
	store := &sessionstore.Memory{MaxGuestBytes: 64 << 10}
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.MaxGuests = store, 200 })
	b := k.browser()
	b.signIn("idp", "ada", "/")
	before, _ := store.Used()
	for range 90 {
		b.back(madeUp(k, b))
		b.back(refusal(k, b))
	}
	if after, _ := store.Used(); after > before+8<<10 {
		t.Errorf("members use %d bytes more", after-before)
	}
	// Whatever they did, a person comes in.
	other := k.browser()
	other.signIn("plain", "grace", "/whoami")
}

// talkative is a provider that says much about people.
type talkative struct {
	*providers.OAuth2
	say func(t *providers.Token, id *providers.Identity)
}

func (p talkative) Finish(ctx context.Context, v *providers.Flow, answer url.Values) (*providers.Token, *providers.Identity, error) {
	t, id, err := p.OAuth2.Finish(ctx, v, answer)
	if err == nil {
		p.say(t, id)
	}
	return t, id, err
}

// What a provider says of a person is kept up to a bound, and not for good. More refuses the sign-in with
// a reason of its own, or is dropped where nothing can hang on it.
func TestFill_identity(t *testing.T) {
	claims := func(n int) json.RawMessage {
		return json.RawMessage(fmt.Sprintf(`{"groups":[%q]}`, strings.Repeat("x", n)))
	}
	long := strings.Repeat("x", 900<<10)
	rows := []struct {
		name  string
		say   func(t *providers.Token, id *providers.Identity)
		lands bool
		check func(acc *middleware.Account) bool
	}{
		{"64 KiB of claims", func(_ *providers.Token, id *providers.Identity) { id.Claims = claims(64 << 10) }, true,
			func(acc *middleware.Account) bool { return len(acc.Identity.Claims) > 64<<10 }},
		{"900 KB of claims", func(_ *providers.Token, id *providers.Identity) { id.Claims = claims(900 << 10) }, false, nil},
		{"a long name", func(_ *providers.Token, id *providers.Identity) { id.Name = long }, true,
			func(acc *middleware.Account) bool { n := len(acc.Identity.Name); return n > 0 && n <= 1<<10 }},
		{"a long address", func(_ *providers.Token, id *providers.Identity) { id.Email, id.EmailVerified = long, true }, true,
			func(acc *middleware.Account) bool { return acc.Identity.Email == "" && !acc.Identity.EmailVerified }},
		{"a long user name", func(_ *providers.Token, id *providers.Identity) { id.Username = long }, true,
			func(acc *middleware.Account) bool { return acc.Identity.Username == "" }},
		{"a long picture", func(_ *providers.Token, id *providers.Identity) { id.Picture = "data:" + long }, true,
			func(acc *middleware.Account) bool { return acc.Identity.Picture == "" }},
		{"a long level", func(_ *providers.Token, id *providers.Identity) { id.ACR = long }, true,
			func(acc *middleware.Account) bool { return acc.Identity.ACR == "" }},
		{"a long subject", func(_ *providers.Token, id *providers.Identity) { id.Subject = long }, false, nil},
		{"many scopes", func(t *providers.Token, _ *providers.Identity) { t.Scopes = strings.SplitAfter(long, "xxxxxxxx") }, false, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change, func(k *kit, c *middleware.Config) {
					c.Providers[1] = talkative{k.plain.OAuth2("plain"), row.say}
				})
				w := watch(k)
				b := k.browser()
				resp := b.back(b.approve(b.start("plain", "/"), "ada"))
				if got := resp.StatusCode == http.StatusSeeOther; got != row.lands {
					t.Errorf("status %d; log:\n%s", resp.StatusCode, k.log)
				}
				if !row.lands {
					if !strings.Contains(k.log.String(), "reason=identity_too_large") || b.session() != "" && b.whoami() != nobody {
						t.Errorf("signed in as %s; log:\n%s", b.whoami(), k.log)
					}
					if err := k.auth.Close(t.Context()); err != nil || k.plain.Ledger().Revoked == 0 {
						t.Errorf("%v, %d tokens revoked", err, k.plain.Ledger().Revoked)
					}
				}
				if row.lands {
					k.within(b, func(ctx context.Context) {
						if acc, err := middleware.User(ctx); err != nil || !row.check(acc) {
							t.Errorf("the app sees another identity, %v", err)
						}
					})
				}
				for key := range w.live {
					rec, err := w.Store.Load(t.Context(), key)
					most := 16 << 10
					if key.Kind == "session" {
						most = 160 << 10
					}
					if err == nil && rec.Size() > most {
						t.Errorf("%s: %d bytes", key.Kind, rec.Size())
					}
				}
			})
		})
	}
}
