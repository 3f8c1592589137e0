package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// told returns what User says of a request of b: the name, the claims of these names, and how the person
// signed in.
func (k *kit) told(b *browser, claims ...string) (told string, authTime time.Time) {
	k.within(b, func(ctx context.Context) {
		acc, err := middleware.User(ctx)
		if err != nil {
			told = err.Error()
			return
		}
		told, authTime = identity(k.t, acc, claims...), acc.Identity.AuthTime
	})
	return told, authTime
}

// identity returns the name of acc, how the person signed in, and the claims of these names.
func identity(t testing.TB, acc *middleware.Account, claims ...string) string {
	var all map[string]any
	if err := json.Unmarshal(acc.Identity.Claims, &all); err != nil {
		t.Error(err)
	}
	told := acc.Identity.Name + " " + acc.Identity.ACR
	for _, name := range claims {
		told += fmt.Sprint(" ", all[name])
	}
	return told
}

func claims(fs ...func(*providertest.Draft, map[string]any)) func(*providertest.Behavior) {
	return func(b *providertest.Behavior) {
		b.Claims = func(d *providertest.Draft, c map[string]any) {
			for _, f := range fs {
				f(d, c)
			}
		}
	}
}

// A refreshed ID token says who is signed in from the next request on; what only userinfo told stays, and
// when and how the person signed in is not told by a refresh.
func TestRefresh_claims(t *testing.T) {
	with, without := providertest.With, providertest.Without
	rows := []struct {
		name  string
		later func(*providertest.Behavior)
		want  string // name, acr; the claims groups, level, department, acr, amr
	}{
		{"a group is gone", claims(with("groups", []string{"staff"}), with("acr", "silver"), with("level", 1)), "Ada Lovelace silver [staff] 1 engines silver [pwd]"},
		{"all groups are gone", claims(with("acr", "silver"), with("level", 1)), "Ada Lovelace silver <nil> 1 engines silver [pwd]"},
		{"one is new", claims(with("groups", []string{"admin", "staff", "more"}), with("acr", "silver")), "Ada Lovelace silver [admin staff more] <nil> engines silver [pwd]"},
		{"another name", claims(with("name", "Ada King"), with("groups", []string{}), with("acr", "silver")), "Ada King silver [] <nil> engines silver [pwd]"},
		{"no name any more: userinfo has said it", claims(without("name"), with("acr", "silver")), " silver <nil> <nil> engines silver [pwd]"},
		{"a higher level is no proof", claims(with("acr", "gold"), with("amr", []string{"hwk"}), with("auth_time", time.Now().Unix()-1)), "Ada Lovelace silver <nil> <nil> engines silver [pwd]"},
		{"no level", claims(without("acr", "auth_time")), "Ada Lovelace silver <nil> <nil> engines silver [pwd]"},
		{"what userinfo told, the ID token tells now", claims(with("department", "boilers"), with("acr", "silver")), "Ada Lovelace silver <nil> <nil> boilers silver [pwd]"},
		{"no ID token", func(b *providertest.Behavior) { b.Fields = without("id_token") }, "Ada Lovelace silver [admin staff] 1 engines silver [pwd]"},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				tell := make(chan *middleware.Account, 1)
				k := newKit(t, change, func(k *kit, c *middleware.Config) {
					p := k.idp.OIDC("idp")
					p.UserInfo = true
					c.Providers = []providers.Provider{p, k.plain.OAuth2("plain")}
					c.OnToken = func(_ context.Context, change *middleware.TokenChange) { tell <- change.Account }
				})
				k.idp.Set(claims(with("groups", []string{"admin", "staff"}), with("level", 1), with("acr", "silver"), with("amr", []string{"pwd"}), with("auth_time", time.Now().Unix()-60)))
				k.idp.Set(func(b *providertest.Behavior) {
					b.UserInfo = providertest.RewriteBody(func(body string) string { return `{"department":"engines",` + body[1:] })
				})
				b := k.browser()
				b.signIn("idp", "ada", "/")
				names := []string{"groups", "level", "department", "acr", "amr"}
				before, signedIn := k.told(b, names...)
				if want := "Ada Lovelace silver [admin staff] 1 engines silver [pwd]"; before != want {
					t.Fatalf("at the sign-in: %s, want %s", before, want)
				}
				k.idp.Set(row.later)
				userinfo := k.idp.Count("userinfo")
				k.within(b, func(ctx context.Context) {
					if _, err := middleware.Refresh(ctx, ""); err != nil {
						t.Error(err)
					}
				})
				got, at := k.told(b, names...)
				if got != row.want {
					t.Errorf("after the refresh: %s, want %s", got, row.want)
				}
				if !at.Equal(signedIn) {
					t.Errorf("signed in at %v, want %v", at, signedIn)
				}
				if hook := identity(t, <-tell, names...); hook != got {
					t.Errorf("OnToken was told %s, want %s", hook, got)
				}
				if k.idp.Count("userinfo") != userinfo {
					t.Error("userinfo was asked")
				}
			})
		}
	})
}

// Of more claims than are kept, those from before are not kept either: what they granted may be gone.
func TestRefresh_claimsTooMany(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(k *kit, c *middleware.Config) {
			p := k.idp.OIDC("idp")
			p.UserInfo = true
			c.Providers = []providers.Provider{p, k.plain.OAuth2("plain")}
		})
		k.idp.Set(claims(providertest.With("groups", []string{"admin"})))
		k.idp.Set(func(b *providertest.Behavior) {
			b.UserInfo = providertest.RewriteBody(func(body string) string { return `{"bio":"` + strings.Repeat("x", 110<<10) + `",` + body[1:] })
		})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		if got, _ := k.told(b, "groups"); !strings.Contains(got, "[admin]") {
			t.Fatalf("at the sign-in: %s", got)
		}
		k.idp.Set(claims(providertest.With("filler", strings.Repeat("x", 30<<10))))
		k.within(b, func(ctx context.Context) {
			if _, err := middleware.Refresh(ctx, ""); err != nil {
				t.Error(err)
			}
		})
		if got, _ := k.told(b, "groups", "bio"); strings.Contains(got, "admin") || strings.Contains(got, "xxx") {
			t.Errorf("after the refresh: %.100s", got)
		}
	})
}

// A connection that is not the sign-in's says nothing of who is signed in.
func TestRefresh_claimsOfAnother(t *testing.T) {
	rows := []struct{ name, provider, label, account string }{
		{"another person's", "idp", "work", "grace"},
		{"the same account's, once more", "idp", "work", "ada"},
		{"by another registration at the issuer", "second", "", "ada"},
		{"another person's, by another registration", "second", "", "grace"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change, func(k *kit, c *middleware.Config) {
					c.Providers = append(c.Providers, k.idp.OIDC("second"))
				})
				b := k.browser()
				b.signIn("idp", "ada", "/")
				b.link(row.provider, row.label, row.account)
				k.idp.Set(claims(providertest.With("name", "Somebody Else")))
				k.within(b, func(ctx context.Context) {
					if row.label != "" {
						ctx = middleware.WithConnection(ctx, row.label)
					}
					if _, err := middleware.Refresh(ctx, row.provider); err != nil {
						t.Error(err)
					}
				})
				b.is(ada)
			})
		})
	}
}

// A refresh that was asked for before a newer sign-in, and answered after it, does not undo what that told;
// one that the app's own writes cross does tell.
func TestRefresh_claimsLate(t *testing.T) {
	// A provider may give out one access token again, as long as it is good.
	noHash := providertest.Without("at_hash")
	newer := claims(providertest.With("groups", "newer"), noHash)
	same := func(d *providertest.Draft, m map[string]any) { m["access_token"] = "one-access-token" }
	rows := []struct {
		name string
		then func(k *kit, b *browser)
		want string
	}{
		{"a newer sign-in with the same access token", func(k *kit, b *browser) {
			k.idp.Set(newer)
			k.idp.Set(func(b *providertest.Behavior) {
				b.Fields = func(d *providertest.Draft, m map[string]any) { same(d, m); delete(m, "refresh_token") }
			})
			b.signIn("idp", "ada", "/")
		}, "Ada Lovelace  newer"},
		{"a newer sign-in by another registration at the issuer", func(k *kit, b *browser) {
			k.idp.Set(newer)
			b.signIn("second", "ada", "/")
		}, "Ada Lovelace  newer"},
		{"a newer sign-in that keeps the token", func(k *kit, b *browser) {
			k.idp.Set(newer)
			k.idp.Set(func(b *providertest.Behavior) { b.Fields = providertest.Without("refresh_token") })
			b.signIn("idp", "ada", "/")
		}, "Ada Lovelace  newer"},
		{"a newer sign-in with one of its own", func(k *kit, b *browser) {
			k.idp.Set(newer)
			b.signIn("idp", "ada", "/")
		}, "Ada Lovelace  newer"},
		{"another person", func(k *kit, b *browser) {
			k.idp.Set(newer)
			b.signIn("idp", "grace", "/")
		}, "Grace Hopper  newer"},
		{"nothing", func(*kit, *browser) {}, "Ada Lovelace  refreshed"},
		{"a value is written", func(_ *kit, b *browser) { b.put("cart", "full") }, "Ada Lovelace  refreshed"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change, func(k *kit, c *middleware.Config) {
						c.Providers = append(c.Providers, k.idp.OIDC("second"))
					})
					notes(k)
					b := k.browser()
					k.idp.Set(claims(noHash))
					k.idp.Set(func(b *providertest.Behavior) { b.Fields = same })
					b.signIn("idp", "ada", "/")
					time.Sleep(time.Hour)
					k.idp.Set(claims(providertest.With("groups", "refreshed"), noHash))
					k.idp.Set(func(b *providertest.Behavior) {
						b.Token = providertest.When(func(r *http.Request) bool { return r.PostForm.Get("grant_type") == "refresh_token" }, providertest.Linger(3*time.Second))
					})
					done := make(chan struct{})
					go func() { k.token(b, "idp"); close(done) }()
					synctest.Wait()
					row.then(k, b)
					<-done
					if got, _ := k.told(b, "groups"); got != row.want {
						t.Errorf("got %s, want %s", got, row.want)
					}
				})
			})
		})
	}
}
