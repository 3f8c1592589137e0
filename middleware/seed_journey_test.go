package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// The journeys of a person whose app lists and downloads their videos. J1, the first visit, is the
// story of story_test.go.

// inside runs f in a handler of the app, which b opens at target.
func (b *browser) inside(target string, f func(ctx context.Context)) {
	b.k.t.Helper()
	ran := false
	h := b.k.auth.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran = true
		f(r.Context())
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, b.request(http.MethodGet, target, nil))
	b.keep(w.Result())
	if !ran {
		b.k.t.Fatalf("%s: status %d, want the handler; log:\n%s", target, w.Code, b.k.log)
	}
}

// connect saves what page P has in its form, and returns where its button goes.
func connect(b *browser, provider, fields string) (login string) {
	b.k.t.Helper()
	b.inside("/p", func(ctx context.Context) {
		if err := middleware.SavePage(ctx, fields); err != nil {
			b.k.t.Error(err)
		}
		var err error
		if login, err = middleware.LoginURL(ctx, middleware.Need{Provider: provider}, "/p"); err != nil {
			b.k.t.Error(err)
		}
	})
	return login
}

// fields returns what the page at target fills its form with.
func fields(b *browser, target string) (saved string) {
	b.k.t.Helper()
	b.inside(target, func(ctx context.Context) {
		if err := middleware.Returned(ctx, &saved); err != nil {
			saved = err.Error()
		}
	})
	return saved
}

// asks returns what the provider's API says at path to the person of b.
func asks(b *browser, provider, path string) (answer string) {
	b.k.t.Helper()
	b.inside("/p", func(ctx context.Context) {
		resp, err := middleware.Client(ctx, provider).Get(path)
		if err != nil {
			answer = err.Error()
			return
		}
		defer resp.Body.Close()
		answer = text(resp)
	})
	return answer
}

// problems collects what the app's error page is given.
func problems(into *[]*middleware.Problem) func(*kit, *middleware.Config) {
	return func(_ *kit, c *middleware.Config) {
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, p *middleware.Problem) {
			*into = append(*into, p)
			w.WriteHeader(p.Status)
		}
	}
}

func TestSeed_J2_returning(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logins []middleware.Login
				var seen []middleware.Account
				k := newArena(t, true, func(_ *kit, c *middleware.Config) {
					c.OnLogin = func(_ context.Context, l *middleware.Login) error {
						logins, seen = append(logins, *l), append(seen, *l.Account)
						return nil
					}
				})
				start := time.Now()
				k.browser().signIn(provider, "ada", "/p")
				time.Sleep(30 * 24 * time.Hour)
				b := k.browser()
				b.signIn(provider, "ada", "/p")
				if len(logins) != 2 || !logins[0].IsNew || logins[1].IsNew {
					t.Fatalf("%d sign-ins, want a first and a later one", len(logins))
				}
				if got := len(k.shelf.of("account")); got != 1 {
					t.Errorf("%d rows, want 1", got)
				}
				if later := seen[1]; later.ID != seen[0].ID || !later.FirstSeen.Equal(start) || !later.LastSeen.Equal(time.Now()) {
					t.Errorf("row %q, first seen %v, last seen %v", later.ID, later.FirstSeen, later.LastSeen)
				}
				b.inside("/p", func(ctx context.Context) {
					tok, err := middleware.Token(ctx, provider)
					if err != nil || tok.Access != logins[1].Token.Access || tok.Access == logins[0].Token.Access {
						t.Errorf("the token is not replaced: %v", err)
					}
				})
			})
		})
	}
}

func TestSeed_J3_originalTab(t *testing.T) {
	k := newKit(t)
	notes(k)
	b := k.browser()
	b.put("cart", "book")
	before := b.session()
	late := b.request(http.MethodGet, "/whoami", nil) // leaves before the return, arrives after it
	if b.status()["signed_in"] != false {
		t.Fatal("signed in before the sign-in")
	}
	b.signIn("plain", "ada", "/p")

	status := b.status()
	user, _ := status["user"].(map[string]any)
	ends, _ := status["sign_ins"].([]any)
	if status["signed_in"] != true || user["name"] != ada || len(ends) != 1 {
		t.Errorf("the tab that polls sees %v", status)
	}
	b.is(ada)
	if got := b.get("cart"); got != "book" {
		t.Errorf("the cart has %q, want book", got)
	}
	after := b.session()
	sid, _, _ := strings.Cut(before, ".")
	if before == after || !strings.HasPrefix(after, sid+".") {
		t.Error("want another secret of the same lineage")
	}
	resp := k.serve(late)
	if got := text(resp); resp.StatusCode != http.StatusOK || got != nobody || len(resp.Cookies()) > 0 {
		t.Errorf("the cookie from before gets %d %q and %d cookies, want 200, nobody, none", resp.StatusCode, got, len(resp.Cookies()))
	}
}

func TestSeed_J4_reload(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			callback := b.approve(k.location(b.open(connect(b, provider, "half"))), "ada")
			landing := k.location(b.back(callback))
			for range 3 {
				b.lands(callback, landing, ada)
			}
			if got := fields(b, landing); got != "half" {
				t.Errorf("fields %q, want half", got)
			}
			if k.redeems() != 1 {
				t.Errorf("%d token requests, want 1", k.redeems())
			}
		})
	}
}

func TestSeed_J5_denied(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			var seen []*middleware.Problem
			k := newKit(t, problems(&seen))
			b := k.browser()
			resp := b.back(b.deny(k.location(b.open(connect(b, provider, "half"))), "ada"))
			if len(seen) != 1 || seen[0].Reason != middleware.ReasonDenied || resp.StatusCode != http.StatusForbidden {
				t.Fatalf("status %d and %v, want 403 and one problem", resp.StatusCode, seen)
			}
			if got := fields(b, seen[0].BackURL); got != "half" {
				t.Errorf("back at %q the fields are %q, want half", seen[0].BackURL, got)
			}
			if k.redeems() != 0 {
				t.Errorf("%d token requests, want none", k.redeems())
			}
			landing := k.location(b.back(b.approve(k.location(b.open(seen[0].LoginURL)), "ada")))
			if got := fields(b, landing); got != "half" {
				t.Errorf("after trying again the fields are %q, want half", got)
			}
			b.is(ada)
		})
	}
}

func TestSeed_J6_stale(t *testing.T) {
	made := "/auth/plain/callback?code=old&state=" + strings.Repeat("b00kmark", 20)
	t.Run("signed in: home", func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/p")
		b.lands(made, "/", ada)
	})
	t.Run("signed out: a page to start at", func(t *testing.T) {
		var seen []*middleware.Problem
		k := newKit(t, problems(&seen))
		b := k.browser()
		resp := b.back(made)
		if len(seen) != 1 || resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Fatalf("status %d, %d problems, Location %q", resp.StatusCode, len(seen), resp.Header.Get("Location"))
		}
		b.lands(b.approve(k.location(b.open(seen[0].LoginURL)), "ada"), "/", ada)
	})
	t.Run("signed out since: where it landed, as nobody", func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		callback := b.approve(b.start("plain", "/p"), "ada")
		b.lands(callback, "/p", ada)
		k.location(b.post("/auth/logout", nil))
		b.lands(callback, "/p", nobody)
	})
}

// No tunnel, no second process and no switch: real sockets, the client that is made by default, and a
// browser that knows nothing of Sec-Fetch.
func TestSeed_J7_localhost(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "localhost"} {
		t.Run(host, func(t *testing.T) {
			server := httptest.NewUnstartedServer(nil)
			defer server.Close()
			_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
			base := "http://" + host + ":" + port
			k := newKit(t, func(k *kit, c *middleware.Config) {
				k.idp = providertest.NewServer(t)
				c.BaseURL, c.HTTPClient = base, nil
				c.Providers = []providers.Provider{k.idp.OIDC("idp"), k.idp.OAuth2("plain")}
			})
			server.Config.Handler = k.handler
			server.Start()
			k.idp.SignInAs("ada")
			for _, provider := range []string{"idp", "plain"} {
				jar, err := cookiejar.New(nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := (&http.Client{Jar: jar}).Get(base + "/auth/" + provider + "/login?return_to=/whoami")
				if err != nil {
					t.Fatal(err)
				}
				if got := text(resp); got != ada {
					t.Errorf("%s: the app sees %q, want %q; log:\n%s", provider, got, ada, k.log)
				}
				resp.Body.Close()
			}
		})
	}
}

func TestSeed_J8_crossTalk(t *testing.T) {
	const people = 100
	accounts := make([]providertest.Account, people)
	for i := range accounts {
		accounts[i] = providertest.Account{ID: fmt.Sprint("person", i), Name: fmt.Sprint("Person ", i)}
	}
	var mu sync.Mutex
	isNew := map[string]int{}
	k := newKit(t, func(k *kit, c *middleware.Config) {
		k.idp = providertest.New(providertest.Config{Issuer: "https://idp.example", Accounts: accounts})
		k.plain = providertest.New(providertest.Config{Issuer: "https://plain.example", Accounts: accounts})
		c.Providers = []providers.Provider{k.idp.OIDC("idp"), k.plain.OAuth2("plain")}
		c.OnLogin = func(_ context.Context, l *middleware.Login) error {
			mu.Lock()
			defer mu.Unlock()
			if l.IsNew {
				isNew[l.Account.Identity.Name]++
			}
			return nil
		}
	})
	k.handle("/api-name", func(w http.ResponseWriter, r *http.Request) {
		resp, err := middleware.Client(r.Context(), "").Get("/me")
		if err != nil {
			fmt.Fprint(w, err)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(w, resp.Body)
	})
	browsers, callbacks := make([]*browser, people), make([]string, people)
	for i := range people {
		browsers[i] = k.browser()
		provider := []string{"idp", "plain"}[i%2]
		callbacks[i] = browsers[i].approve(browsers[i].start(provider, fmt.Sprint("/p/", i)), accounts[i].ID)
	}
	together(people, func(i int) {
		b, want := browsers[i], accounts[i].Name
		if got := b.back(callbacks[i]).Header.Get("Location"); got != fmt.Sprint("/p/", i) {
			t.Errorf("%s landed at %q", want, got)
		}
		if got := b.whoami(); got != want {
			t.Errorf("%s is %q", want, got)
		}
		if got := text(b.open("/api-name")); !strings.Contains(got, `"`+want+`"`) {
			t.Errorf("the API takes %s for %s", want, got)
		}
	})
	if len(isNew) != people || k.redeems() != people {
		t.Errorf("%d new people and %d token requests, want %d of both", len(isNew), k.redeems(), people)
	}
}

func TestSeed_J9_pageState(t *testing.T) {
	const secret = "my unpublished title"
	for name, seal := range map[string]bool{"sealed": true, "in the clear": false} {
		t.Run(name, func(t *testing.T) {
			k := newArena(t, seal)
			b := k.browser()
			login := connect(b, "plain", secret)
			if got := strings.Contains(k.shelf.dump(), secret); got == seal {
				t.Errorf("the store shows it: %v", got)
			}
			landing := k.location(b.back(b.approve(k.location(b.open(login)), "ada")))
			if got := fields(b, landing); got != secret {
				t.Errorf("fields %q, want %q", got, secret)
			}
			b.inside(landing, func(ctx context.Context) {
				if err := middleware.ClearPage(ctx); err != nil {
					t.Error(err)
				}
			})
			if got := fields(b, landing); got != middleware.ErrNoPage.Error() {
				t.Errorf("fields %q after ClearPage", got)
			}
			if strings.Contains(k.shelf.dump(), secret) {
				t.Error("the store has it still")
			}
		})
	}
	t.Run("gone by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			landing := k.location(b.back(b.approve(k.location(b.open(connect(b, "plain", secret))), "ada")))
			for _, row := range []struct {
				wait time.Duration
				want string
			}{{10*time.Minute - time.Second, secret}, {time.Second, middleware.ErrNoPage.Error()}} {
				time.Sleep(row.wait)
				if got := fields(b, landing); got != row.want {
					t.Errorf("after %v: fields %q, want %q", row.wait, got, row.want)
				}
			}
			b.is(ada)
		})
	})
	t.Run("cap", func(t *testing.T) {
		k := newKit(t)
		k.browser().inside("/p", func(ctx context.Context) {
			for size, want := range map[int]error{16<<10 - 2: nil, 16<<10 - 1: middleware.ErrPageTooLarge} { // two quotes more as JSON
				if err := middleware.SavePage(ctx, strings.Repeat("x", size)); !errors.Is(err, want) {
					t.Errorf("%d bytes: %v, want %v", size, err, want)
				}
			}
		})
	})
}

func TestSeed_J10_videos(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			b.signIn(provider, "ada", "/p")
			if got := asks(b, provider, "/me/videos"); !strings.Contains(got, "Nanoseconds") {
				t.Fatalf("videos: %s", got)
			}
			const length, read = 1 << 30, 1 << 20
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			b.inside("/p", func(ctx context.Context) {
				resp, err := middleware.Client(ctx, provider).Get(fmt.Sprint("/me/videos/2/file?bytes=", length))
				if err != nil {
					t.Error(err)
					return
				}
				defer resp.Body.Close()
				n, err := io.CopyN(io.Discard, resp.Body, read)
				if err != nil || n != read {
					t.Errorf("read %d bytes: %v", n, err)
				}
			})
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > length/16 {
				t.Errorf("%d MB were allocated for the first %d of %d", got>>20, read>>20, length>>20)
			}
		})
	}
}

// replica returns another process of k's app: only the store and the keys are the same.
func replica(t *testing.T, k *kit, keys sessionstore.Keyring) *kit {
	t.Helper()
	return newKit(t, func(other *kit, c *middleware.Config) {
		other.idp, other.plain = k.idp, k.plain
		c.Providers = []providers.Provider{k.idp.OIDC("idp"), k.plain.OAuth2("plain")}
		c.Store, c.Keys = k.store, keys
	})
}

func TestSeed_J11_J12_anotherProcess(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		for _, row := range []string{"J11 restart between start and callback", "J12 callback at another instance"} {
			t.Run(row+" "+provider, func(t *testing.T) {
				keys := sessionstore.NewKeyring()
				rows := newShelf(&sessionstore.Memory{})
				one := newKit(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = rows, keys })
				two := replica(t, one, keys)
				b := one.browser()
				callback := b.approve(one.location(b.open(connect(b, provider, "my unpublished title"))), "ada")
				if strings.HasPrefix(row, "J11") {
					if err := one.auth.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				b.k = two
				landing := two.location(b.back(callback))
				if got := fields(b, landing); got != "my unpublished title" {
					t.Errorf("fields %q", got)
				}
				b.is(ada)
				if got := asks(b, provider, "/me"); !strings.Contains(got, ada) {
					t.Errorf("the API says %s", got)
				}
				var access string
				b.inside("/p", func(ctx context.Context) {
					if tok, err := middleware.Token(ctx, provider); err == nil {
						access = tok.Access
					}
				})
				for _, secret := range []string{"my unpublished title", ada, access} {
					if secret == "" || strings.Contains(rows.dump(), secret) {
						t.Errorf("the store shows %d bytes of a secret", len(secret))
					}
				}
				if strings.HasPrefix(row, "J11") {
					return
				}
				b.k = one // no sticky sessions, and a reload anywhere
				b.lands(callback, landing, ada)
				if got := one.redeems(); got != 1 {
					t.Errorf("%d token requests, want 1", got)
				}
			})
		}
	}
}

func TestSeed_J13_revoked(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		t.Run(provider, func(t *testing.T) {
			k := newArena(t, false)
			b := k.browser()
			b.signIn(provider, "ada", "/p")
			was := holds(b, provider)
			k.provider(provider).EndGrants("ada")
			var stepUp *middleware.StepUpError
			b.inside("/p", func(ctx context.Context) {
				resp, err := middleware.Client(ctx, provider).Get("/me")
				if err == nil {
					resp.Body.Close()
				}
				if !errors.Is(err, middleware.ErrReauthRequired) || !errors.As(err, &stepUp) {
					t.Fatalf("%v, want ErrReauthRequired in a StepUpError", err)
				}
			})
			b.is(ada) // the session here is not the grant there
			var login string
			b.inside("/p", func(ctx context.Context) {
				var err error
				if login, err = middleware.LoginURL(ctx, stepUp.Need, "/p"); err != nil {
					t.Fatal(err)
				}
			})
			b.lands(b.approve(k.location(b.open(login)), "ada"), "/p", ada)
			if got := asks(b, provider, "/me"); !strings.Contains(got, ada) {
				t.Errorf("after consent the API says %s", got)
			}
			if is := holds(b, provider); is.Access == was.Access {
				t.Error("the token is not replaced")
			}
			if got := len(k.shelf.of("account")); got != 1 {
				t.Errorf("%d rows, want 1", got)
			}
		})
	}
}

// holds returns the token of b's session.
func holds(b *browser, provider string) (tok providers.Token) {
	b.k.t.Helper()
	b.inside("/p", func(ctx context.Context) {
		t, err := middleware.Token(ctx, provider)
		if err != nil {
			b.k.t.Fatal(err)
		}
		tok = *t
	})
	return tok
}

// judged fails the test unless a callback that is not v's is refused before anything is redeemed.
func judged(k *kit, v *browser, callback, person string) {
	k.t.Helper()
	redeems, session := k.redeems(), v.session()
	resp := v.back(callback)
	if person == nobody {
		k.rejected(resp, "state")
	} else if got := k.location(resp); got != "/" {
		k.t.Errorf("sent to %q, want home", got)
	}
	if n := k.redeems() - redeems; n != 0 {
		k.t.Errorf("%d token requests, want none", n)
	}
	v.is(person)
	if v.session() != session {
		k.t.Error("the session cookie changed")
	}
}

func TestSeed_J14_J15_attacker(t *testing.T) {
	for _, provider := range []string{"idp", "plain"} {
		for _, person := range []string{nobody, ada} {
			setUp := func(t *testing.T) (k *kit, attacker, victim *browser) {
				k = newKit(t)
				notes(k)
				attacker, victim = k.browser(), k.browser()
				attacker.put("mine", "attacker")
				victim.put("mine", "victim")
				if person == ada {
					victim.signIn(provider, "ada", "/p")
				}
				return k, attacker, victim
			}
			t.Run(fmt.Sprintf("J14 pending URL, %s, victim is %s", provider, person), func(t *testing.T) {
				k, attacker, victim := setUp(t)
				bait := attacker.start(provider, "/p")
				judged(k, victim, victim.approve(bait, "ada"), person)
				attacker.is(nobody)
				if got := attacker.get("mine"); got != "attacker" {
					t.Errorf("the attacker's session has %q", got)
				}
			})
			t.Run(fmt.Sprintf("J15 code and state, %s, victim is %s", provider, person), func(t *testing.T) {
				k, attacker, victim := setUp(t)
				judged(k, victim, attacker.approve(attacker.start(provider, "/p"), "impostor"), person)
				if got := victim.get("mine"); got != "victim" {
					t.Errorf("the victim's session has %q", got)
				}
			})
		}
	}
}
