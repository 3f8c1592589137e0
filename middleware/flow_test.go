package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// Invariant 12: what nobody has asked to see starts nothing, neither at a gate nor at the address that
// starts a sign-in.
func TestFlow_notAsked(t *testing.T) {
	rows := []struct {
		name   string
		header map[string]string
	}{
		{"prefetch", map[string]string{"Sec-Purpose": "prefetch"}},
		{"prerender", map[string]string{"Sec-Purpose": "prefetch;prerender"}},
		{"old prefetch", map[string]string{"Purpose": "prefetch"}},
		{"image", map[string]string{"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}},
		{"frame", map[string]string{"Sec-Fetch-Dest": "iframe"}},
		{"fetch", map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachArena(t, func(t *testing.T, k *arena, provider string) {
				k.rejects(with(k.browser().request(http.MethodGet, "/auth/"+provider+"/login", nil), row.header), "not_a_navigation")
			})
		})
	}
}

// Apps that share their keys do not share their flows, nor what they seal into URLs.
func TestFlow_otherApp(t *testing.T) {
	keys := sessionstore.NewKeyring()
	shared := func(origin string) func(*kit, *middleware.Config) {
		return func(_ *kit, c *middleware.Config) { c.BaseURL, c.Keys = origin, keys }
	}
	k, other := newKit(t, shared(appURL)), newKit(t, shared("https://other.example"))
	b := k.browser()
	callback := b.approve(b.start("plain", "/x"), "ada")
	r := b.callback(callback)
	w := other.serve(r)
	other.rejected(w, "state")
	if n := k.redeems() + other.redeems(); n != 0 {
		t.Errorf("%d token requests", n)
	}

	var to string
	k.within(b, func(ctx context.Context) {
		var err error
		if to, err = middleware.LoginURL(ctx, middleware.Need{Provider: "plain", Scopes: []string{"upload"}}, "/x"); err != nil {
			t.Error(err)
		}
	})
	k.location(k.serve(b.request(http.MethodGet, to, nil)))
	other.rejected(other.serve(b.request(http.MethodGet, to, nil)), "parameter")
}

// An app that has moved the kit's addresses since a sign-in started sends nobody to one of them.
func TestFlow_prefixMoved(t *testing.T) {
	keys := sessionstore.NewKeyring()
	was := newKit(t, func(_ *kit, c *middleware.Config) { c.Prefix, c.Keys = "/sso", keys })
	b := was.browser()
	auth := was.location(b.open("/sso/plain/login?return_to=/auth/login"))
	k := newKit(t, func(_ *kit, c *middleware.Config) { c.Keys = keys })
	b.k = k
	denied := "/auth/plain/callback?error=access_denied&iss=https://plain.example&state=" + state(t, auth)
	if page := text(b.back(denied)); strings.Contains(page, `href="/auth/login"`) || !strings.Contains(page, `href="/"`) {
		t.Errorf("leads back beneath the prefix: %s", page)
	}
}

// A return path that was put aside is that of its flow, or none: another one has taken its slot.
func TestFlow_asideTaken(t *testing.T) {
	k := newArena(t, false)
	long := "/gated/" + strings.Repeat("a", 600)
	b, other := k.browser(), k.browser()
	callback := b.approve(b.start("plain", long), "ada")
	slot := k.shelf.of("aside")
	other.start("plain", "/gated/"+strings.Repeat("b", 600))
	for key, rec := range k.shelf.rows() {
		if f, ok := rec.Field("path"); ok && strings.HasSuffix(f.Value, "b") {
			if err := k.shelf.Update(t.Context(), slot[0], sessionstore.Change{Set: []sessionstore.Field{f}}); err != nil {
				t.Error(key, err)
			}
		}
	}
	b.lands(callback, "/", ada)
}

// What LoginURL seals is good for a day, and for nothing else that the kit seals into a URL.
func TestFlow_sealedNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		var to string
		k.within(b, func(ctx context.Context) {
			var err error
			if to, err = middleware.LoginURL(ctx, middleware.Need{Provider: "plain", Scopes: []string{"upload"}}, "/x"); err != nil {
				t.Error(err)
			}
		})
		need := query(t, to).Get("need")
		for _, target := range []string{"/auth/plain/callback?answer=" + need, "/auth/idp/callback?answer=" + need} {
			k.rejected(b.back(target), "state")
		}
		b.signIn("plain", "grace", "/")
		b.signIn("idp", "ada", "/")
		b.link("plain", "", "grace")
		taken := k.browser()
		taken.signIn("idp", "emmy", "/")
		page := text(taken.link("plain", "", "grace"))
		_, move, ok := strings.Cut(page, "move=")
		if !ok {
			t.Fatalf("no offer to move: %s", page)
		}
		move, _, _ = strings.Cut(move, "&")
		k.rejected(b.open("/auth/plain/login?need="+move), "parameter")
		k.rejected(taken.post("/auth/plain/login", url.Values{"purpose": {"link"}, "move": {need}}), "parameter")
		moves := url.Values{"purpose": {"link"}, "move": {move}}
		time.Sleep(10*time.Minute - time.Second)
		k.location(taken.post("/auth/plain/login", moves))
		time.Sleep(time.Second)
		k.rejected(taken.post("/auth/plain/login", moves), "parameter")

		k.location(k.browser().open(to))
		time.Sleep(24*time.Hour - 10*time.Minute - time.Second)
		k.location(k.browser().open(to))
		time.Sleep(time.Second)
		k.rejected(k.browser().open(to), "parameter")
	})
}

// A step-up or link belongs to the person who left, in the session that they left: not to a cookie from
// before they signed in, nor to who has signed in to a session of the same id since.
func TestFlow_belongs(t *testing.T) {
	eachArena(t, func(t *testing.T, k *arena, _ string) {
		b := k.browser()
		b.start("idp", "/") // gives a session that is not born yet
		first := b.session()
		b.signIn("idp", "ada", "/")
		second := b.session()
		id := func(cookie string) string { sid, _, _ := strings.Cut(cookie, "."); return sid }
		if id(first) != id(second) {
			t.Fatal("not the same session")
		}
		auth := k.location(b.post("/auth/plain/login", url.Values{"purpose": {"link"}, "return_to": {"/x"}}))
		callback := k.browser().approve(auth, "grace")
		b.setCookie("__Host-rl", first)
		k.rejects(b.callback(callback), "session_changed")

		b.setCookie("__Host-rl", second)
		b.post("/auth/logout", nil)
		b.setCookie("__Host-rl", first) // from a tab that was slow
		b.signIn("idp", "emmy", "/")
		if id(first) != id(b.session()) {
			t.Fatal("not the same session again")
		}
		k.rejects(b.callback(callback), "session_changed")
		b.is(emmy)
	})
}

// nameless is a provider of an app's own that does not look who is asked for, and forgets who came back.
type nameless struct {
	providers.Provider
	forget func(id *providers.Identity)
}

func (n nameless) Finish(ctx context.Context, f *providers.Flow, v url.Values) (*providers.Token, *providers.Identity, error) {
	anybody := *f
	anybody.Subject = ""
	t, id, err := n.Provider.Finish(ctx, &anybody, v)
	if err == nil {
		n.forget(id)
	}
	return t, id, err
}

func TestFlow_nobodyCameBack(t *testing.T) {
	for name, forget := range map[string]func(id *providers.Identity){
		"issuer":  func(id *providers.Identity) { id.Issuer = "" },
		"subject": func(id *providers.Identity) { id.Subject = "" },
	} {
		t.Run(name, func(t *testing.T) {
			k := newArena(t, true, func(k *kit, c *middleware.Config) {
				c.Providers = []providers.Provider{nameless{k.plain.OAuth2("plain"), forget}}
			})
			b := k.browser()
			resp := b.back(b.approve(b.start("plain", "/gated/x"), "ada"))
			if resp.StatusCode != http.StatusBadGateway || !strings.Contains(k.log.String(), "reason=token") {
				t.Errorf("status %d, log %s", resp.StatusCode, k.log)
			}
			b.is(nobody)
			if n := len(k.shelf.of("session")) + len(k.shelf.of("account")); n != 0 {
				t.Errorf("%d sessions and accounts", n)
			}
		})
	}
}

// What was posted is good for a minute, and at the address that it was posted to.
func TestFlow_posted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newArena(t, true, func(k *kit, c *middleware.Config) {
			plain, other := k.plain.OAuth2("plain"), k.plain.OAuth2("other")
			plain.ResponseMode, other.ResponseMode = "form_post", "form_post"
			c.Providers = []providers.Provider{plain, other}
		})
		b := k.browser()
		post := func() string {
			_, answer, _ := strings.Cut(b.approve(b.start("plain", "/gated/x"), "ada"), "?")
			r := b.request(http.MethodPost, "/auth/plain/callback", strings.NewReader(answer))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return k.location(k.serve(r))
		}
		to := post()
		k.rejects(b.callback(strings.Replace(to, "plain", "other", 1)), "provider_path")
		time.Sleep(time.Minute)
		k.rejects(b.callback(to), "expired")
		to = post()
		time.Sleep(time.Minute - time.Second)
		b.lands(to, "/gated/x", ada)
	})
}

// Any number of gates in a minute: what the browser holds of them is bounded, and every sign-in ends.
func TestFlow_manyGates(t *testing.T) {
	k := newArena(t, false)
	k.mux.Handle("/deep/", k.auth.Require(middleware.Need{Provider: "plain"})(http.NotFoundHandler()))
	b := k.browser()
	var callbacks []string
	for i := range 6 {
		callbacks = append(callbacks, b.approve(k.location(b.open(fmt.Sprint("/deep/", i))), "ada"))
	}
	k.rejected(b.open("/deep/5"), "sign_in_loop")
	if names := b.bindings(); len(names) != 1 || strings.Count(b.cookies()[names[0]], ".") > 1+4 {
		t.Errorf("binding cookies %q", b.cookies())
	}
	for i, callback := range callbacks {
		b.lands(callback, fmt.Sprint("/deep/", i), ada)
	}
}

// A sign-in that was refused, opened once more from the history by somebody who is signed in by now, is no
// error page.
func TestFlow_refusedBefore(t *testing.T) {
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		no := b.deny(b.start(provider, "/gated/no"), "ada")
		ours(t, b.back(no))
		b.signIn(provider, "ada", "/")
		b.lands(no, "/gated/no", ada)
	})
}

// A return address that is there twice is none, whichever of them somebody has added.
func TestFlow_returnTwice(t *testing.T) {
	k := newArena(t, false)
	b := k.browser()
	b.lands(b.approve(k.location(b.open("/auth/plain/login?return_to=/gated/a&return_to=/gated/b")), "ada"), "/", ada)
}

// A start with a cookie that does not open its session, or any more, gives a new one.
func TestFlow_staleStart(t *testing.T) {
	k := newArena(t, true)
	ada, b := k.browser(), k.browser()
	ada.signIn("plain", "ada", "/")
	sid, _, _ := strings.Cut(ada.session(), ".")
	b.setCookie("__Host-rl", sid+"."+strings.Repeat("A", 43))
	b.signIn("plain", "grace", "/")
	if got, _, _ := strings.Cut(b.session(), "."); got == sid {
		t.Error("the session is the other person's")
	}
	b.is(grace)
	ada.is("Ada Lovelace")
}

// Somebody whom OnLogin lets in without an ID is nobody.
func TestFlow_emptyID(t *testing.T) {
	k := newArena(t, true)
	k.onLogin(func(l loginContext) error { l.login.Account.ID = ""; return nil })
	b := k.browser()
	ours(t, b.back(b.approve(b.start("plain", "/gated/x"), "ada")))
	b.is(nobody)
}

// A sign-in of the same person at another level replaces the cookie: what was stolen before is not raised.
func TestFlow_levelRises(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		b := k.browser()
		b.signIn("idp", "ada", "/")
		b.is(ada)
		was := b.session()
		b.signIn("idp", "ada", "/")
		if b.session() != was {
			t.Error("the same person at the same level has another cookie")
		}
		k.idp.Set(func(b *providertest.Behavior) {
			b.Claims = func(_ *providertest.Draft, c map[string]any) { c["acr"] = "gold" }
		})
		b.signIn("idp", "ada", "/")
		if b.session() == was {
			t.Error("the cookie is the one from before")
		}
		b.is(ada)
	})
}

// A page tag is that of one session, and a label in a form is one that LoginURL could have made.
func TestFlow_forms(t *testing.T) {
	k := newArena(t, true)
	b, other := k.browser(), k.browser()
	b.signIn("plain", "ada", "/")
	other.signIn("plain", "ada", "/")
	tag := b.status()["page_tag"].(string)
	k.location(b.post("/auth/idp/disconnect", url.Values{"page_tag": {tag}}))
	k.rejected(other.post("/auth/idp/disconnect", url.Values{"page_tag": {tag}}), "page_tag")
	for _, label := range []string{"a:b", "A", "a b", strings.Repeat("a", 33)} {
		k.rejected(b.post("/auth/plain/disconnect", url.Values{"label": {label}}), "parameter")
	}
	b.is(ada)
}

// A provider that does not look whom a step-up asks for does not decide it, either.
func TestFlow_stepUpOfAnother(t *testing.T) {
	k := newArena(t, true, func(k *kit, c *middleware.Config) {
		c.Providers = []providers.Provider{nameless{k.plain.OAuth2("plain"), func(*providers.Identity) {}}}
	})
	k.mux.Handle("/more", k.auth.Require(middleware.Need{Scopes: []string{"upload"}})(http.NotFoundHandler()))
	b := k.browser()
	b.signIn("plain", "ada", "/")
	status := text(b.fetch("/auth/status"))
	resp := b.back(k.browser().approve(k.location(b.open("/more")), "grace"))
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(k.log.String(), "reason=identity") {
		t.Errorf("status %d, want 403; log:\n%s", resp.StatusCode, k.log)
	}
	b.is(ada)
	if text(b.fetch("/auth/status")) != status {
		t.Error("the session changed")
	}
}

// A cookie that was replaced under a key which is not the first any more: a sign-in of the same
// person gives the browser one that opens the session.
func TestFlow_keyReplaced(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		old, renewed := ringOf(1), ringOf(2)
		k := newKit(t, change, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = sealed{c.Store}, old })
		k.handle("/renew", func(_ http.ResponseWriter, r *http.Request) {
			if err := k.auth.Sessions().RenewToken(r.Context()); err != nil {
				t.Error(err)
			}
		})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		k.serve(b.request(http.MethodGet, "/renew", nil)) // and lost
		b.k = k.beside(func(_ *kit, c *middleware.Config) { c.Store, c.Keys = k.store, append(renewed[:1:1], old...) })
		b.is(nobody)
		b.signIn("idp", "ada", "/")
		b.is(ada)
	})
}

// What fails once the provider has the code: to wait and load the page again would not help, so nobody is
// told to, neither at once nor by that.
func TestFlow_codeSpent(t *testing.T) {
	faults := map[string]func(k *kit){
		"the provider": func(k *kit) {
			k.plain.Set(func(b *providertest.Behavior) { b.Token = providertest.Respond(503, "text/html", "down") })
		},
		"the store": func(k *kit) {
			watch(k).on(func(op string, key sessionstore.Key) error {
				if op == "update" && key.Kind == "account" {
					return sessionstore.ErrFull
				}
				return nil
			})
		},
	}
	for name, fail := range faults {
		t.Run(name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change)
				b := k.browser()
				callback := b.approve(b.start("plain", "/x"), "ada")
				fail(k)
				for range 2 {
					resp := b.back(callback)
					if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "" {
						t.Errorf("status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
					}
				}
				if k.redeems() != 1 {
					t.Errorf("%d token requests", k.redeems())
				}
			})
		})
	}
}

// Two step-ups that are under way at once, at a provider that does not say what it grants: what the one was
// given is not taken for what the other was.
func TestFlow_twoStepUps(t *testing.T) {
	eachTime(t, func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) func(time.Duration)) {
		k := newKit(t, change)
		pass := at(k)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		leave := func(scope string) (callback string) {
			k.within(b, func(ctx context.Context) {
				to, err := middleware.LoginURL(ctx, middleware.Need{Provider: "plain", Scopes: []string{scope}}, "/")
				if err != nil {
					t.Error(err)
				}
				callback = b.approve(k.location(b.open(to)), "ada")
			})
			return callback
		}
		granted := func() (scopes []string) {
			k.within(b, func(ctx context.Context) {
				token, err := middleware.Token(ctx, "")
				if err != nil {
					t.Error(err)
				} else {
					scopes = token.Scopes
				}
			})
			return scopes
		}
		k.plain.Set(func(b *providertest.Behavior) {
			b.Fields = func(_ *providertest.Draft, m map[string]any) { delete(m, "scope") }
		})
		k.location(b.back(leave("comment")))
		if got := granted(); !slices.Contains(got, "videos") || !slices.Contains(got, "comment") {
			t.Errorf("one after the other: %q", got)
		}
		first, second := leave("upload"), leave("likes")
		pass(10 * time.Second) // at the provider
		k.location(b.back(second))
		k.location(b.back(first))
		if got := granted(); slices.Contains(got, "likes") || !slices.Contains(got, "upload") {
			t.Errorf("the later token is said to be good for %q", got)
		}
	})
}

// A page may ask for many scopes at once: those of one provider are URLs that begin alike.
func TestFlow_manyScopes(t *testing.T) {
	var scopes []string
	for _, name := range []string{
		"calendar.events.readonly", "calendar.readonly", "contacts.readonly", "documents.readonly", "drive.file",
		"drive.metadata.readonly", "drive.readonly", "gmail.readonly", "spreadsheets.readonly", "youtube.readonly",
	} {
		scopes = append(scopes, "https://www.googleapis.com/auth/"+name)
	}
	need := middleware.Need{Provider: "idp", Scopes: scopes}
	k := newKit(t)
	k.mux.Handle("/many", k.auth.Require(need)(http.NotFoundHandler()))
	b := k.browser()
	b.signIn("idp", "ada", "/")
	out := k.location(b.open("/many"))
	u, err := url.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if n := len(q.Get("state")); n > 500 {
		t.Errorf("a state of %d characters, want 500 at most", n)
	}
	asked := strings.Fields(q.Get("scope"))
	for _, s := range scopes {
		if !slices.Contains(asked, s) {
			t.Errorf("%s was not asked for", s)
		}
	}
	// What was asked for is known when they come back, where the provider does not say what it granted.
	k.idp.Set(func(b *providertest.Behavior) {
		b.Fields = func(_ *providertest.Draft, m map[string]any) { delete(m, "scope") }
	})
	b.back(b.approve(out, "ada"))
	k.within(b, func(ctx context.Context) {
		if err := middleware.Check(ctx, need); err != nil {
			t.Errorf("back with all of them: %v", err)
		}
	})
}

// FAULTS F31: whose clock is behind that of who noted the last sign-in asks for what that granted all the
// same: the new token takes its place.
func TestFlow_clockBehind(t *testing.T) {
	k := newKit(t)
	k.gate("/comment", middleware.Need{Provider: "plain", Scopes: []string{"comment"}})
	k.gate("/upload", middleware.Need{Provider: "plain", Scopes: []string{"upload"}})
	b := k.browser()
	k.auth.SetNow(func() time.Time { return time.Now().Add(2 * time.Minute) })
	k.location(b.back(b.approve(k.location(b.open("/comment")), "ada")))
	k.auth.SetNow(time.Now)
	asked := strings.Fields(query(t, k.location(b.open("/upload"))).Get("scope"))
	if !slices.Contains(asked, "comment") || !slices.Contains(asked, "upload") {
		t.Errorf("asked for %q", asked)
	}
}
