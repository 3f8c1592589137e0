package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers/providertest"
)

// link connects an account of a provider under a label, as a button of the app's pages would.
func (b *browser) link(provider, label, account string) *http.Response {
	b.k.t.Helper()
	auth := b.k.location(b.post("/auth/"+provider+"/login", url.Values{"purpose": {"link"}, "label": {label}, "return_to": {"/linked"}}))
	return b.back(b.k.browser().approve(auth, account))
}

// connections returns the names of what b is connected with.
func (b *browser) connections() string {
	var got string
	b.k.within(b, func(ctx context.Context) {
		cs, err := middleware.Connections(ctx)
		if err != nil {
			got = err.Error()
			return
		}
		for _, c := range cs {
			got += fmt.Sprint(c.Provider, ":", c.Label, " ", c.Name, " ", c.Ended, "; ")
		}
	})
	return got
}

// userID returns the app's id of whoever is signed in.
func (b *browser) userID() string {
	id := ""
	b.k.within(b, func(ctx context.Context) {
		if acc, err := middleware.User(ctx); err == nil {
			id = acc.ID
		}
	})
	return id
}

// me asks the API of a provider who the token is for.
func (b *browser) me(provider, label string) string {
	got := ""
	b.k.within(b, func(ctx context.Context) {
		resp, err := middleware.Client(middleware.WithConnection(ctx, label), provider).Get("/me")
		if err != nil {
			got = err.Error()
			return
		}
		defer resp.Body.Close()
		got = regexp.MustCompile(`"name":"([^"]*)"`).FindString(text(resp))
	})
	return got
}

// Seed F27: several providers, and several accounts at one, in one session.
func TestConnections(t *testing.T) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			k := newKit(t, change)
			b := k.browser()
			b.signIn("plain", "ada", "/")
			user := b.userID()
			for _, c := range []struct{ provider, label, account string }{{"idp", "", "grace"}, {"plain", "work", "emmy"}, {"plain", "old", "ada"}} {
				if got := k.location(b.link(c.provider, c.label, c.account)); got != "/linked" {
					t.Errorf("%v: landed at %q", c, got)
				}
			}
			b.is(ada)
			if b.userID() != user {
				t.Error("a link changed who is signed in")
			}
			want := "plain: Ada Lovelace false; idp: Grace Hopper false; plain:old Ada Lovelace false; plain:work Emmy Noether false; "
			if got := b.connections(); got != want {
				t.Errorf("connections %s, want %s", got, want)
			}
			time.Sleep(time.Hour) // each is renewed by itself
			for _, c := range []struct{ provider, label, name string }{{"", "", ada}, {"idp", "", grace}, {"plain", "work", emmy}, {"plain", "old", ada}} {
				if got := b.me(c.provider, c.label); got != `"name":"`+c.name+`"` {
					t.Errorf("%v: the API says %s", c, got)
				}
			}
			if got := k.refreshes(k.plain) + k.refreshes(k.idp); got != 4 {
				t.Errorf("%d refreshes, want 4", got)
			}
			// One client, another account for one request.
			k.within(b, func(ctx context.Context) {
				req, _ := http.NewRequestWithContext(middleware.WithConnection(ctx, "work"), http.MethodGet, "/me", nil)
				resp, err := middleware.Client(ctx, "plain").Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if !strings.Contains(text(resp), emmy) {
					t.Errorf("the API says %s", text(resp))
				}
			})
			// Whoever was linked signs in as the same user from now on.
			other := k.browser()
			other.signIn("idp", "grace", "/")
			if got := other.userID(); got != user {
				t.Errorf("a linked account signs in as %q, want %q", got, user)
			}
		})
	})
}

// Who may begin a link, and with what.
func TestLink_start(t *testing.T) {
	rows := []struct {
		name     string
		signedIn bool
		method   string
		form     url.Values
		header   map[string]string
		status   int
	}{
		{"by a button", true, "POST", url.Values{"purpose": {"link"}}, nil, 303},
		{"nobody signed in", false, "POST", url.Values{"purpose": {"link"}}, nil, 401},
		{"from another site", true, "POST", url.Values{"purpose": {"link"}}, map[string]string{"Origin": "https://evil.example"}, 403},
		{"a label that is none", true, "POST", url.Values{"purpose": {"link"}, "label": {"Work:1"}}, nil, 400},
		{"a label twice", true, "POST", url.Values{"purpose": {"link"}, "label": {"a", "b"}}, nil, 400},
		{"a move that nobody offered", true, "POST", url.Values{"purpose": {"link"}, "move": {"AAAA"}}, nil, 400},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t)
			b := k.browser()
			if row.signedIn {
				b.signIn("plain", "ada", "/")
			}
			r := b.request(row.method, "/auth/idp/login", strings.NewReader(row.form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", appURL)
			if resp := b.do(with(r, row.header)); resp.StatusCode != row.status {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, row.status, text(resp))
			}
		})
	}
	t.Run("a link to it is a sign-in, and a labeled need a button", func(t *testing.T) {
		k := newKit(t)
		b := k.browser()
		b.signIn("plain", "ada", "/")
		k.gate("/work", middleware.Need{Provider: "plain", Label: "work"})
		resp := b.open("/work")
		form := regexp.MustCompile(`action="([^"]*)"`).FindStringSubmatch(text(resp))
		if resp.StatusCode != http.StatusForbidden || form == nil {
			t.Fatalf("status %d: %s", resp.StatusCode, text(resp))
		}
		action := strings.ReplaceAll(form[1], "&amp;", "&")
		if resp := b.open(strings.Replace(action, "purpose=link", "", 1)); resp.StatusCode != http.StatusForbidden {
			t.Errorf("by GET: status %d, want a button", resp.StatusCode)
		}
		if got := k.location(b.back(k.browser().approve(k.location(b.post(action, nil)), "emmy"))); got != "/work" {
			t.Errorf("landed at %q", got)
		}
		if got := text(b.open("/work")); got != "inside" {
			t.Errorf("afterwards: %s", got)
		}
	})
}

// An account that belongs to somebody else here changes hands when the person has pressed the button
// that says so, and not before.
func TestLink_move(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change)
		theirs := k.browser()
		theirs.signIn("idp", "grace", "/") // grace has an account of her own
		b := k.browser()
		b.signIn("plain", "ada", "/")
		user := b.userID()

		resp := b.link("idp", "", "grace")
		k.rejected(resp, "identity_taken")
		if got := b.connections(); strings.Contains(got, "idp") {
			t.Errorf("connected: %s", got)
		}
		form := regexp.MustCompile(`<form method="post" action="([^"]*)"><input type="hidden" name="page_tag" value="[^"]+"><button class="button">Move it`).FindStringSubmatch(text(resp))
		if form == nil {
			t.Fatalf("no button: %s", text(resp))
		}
		action := strings.ReplaceAll(form[1], "&amp;", "&")
		theirs.is(grace)

		// The button is this person's, in this session, and is no link.
		if resp := b.open(action); resp.StatusCode == http.StatusSeeOther && strings.Contains(k.location(b.back(k.browser().approve(k.location(resp), "grace"))), "linked") && b.userID() == user {
			t.Error("a link moved the account")
		}
		b = k.browser()
		b.signIn("plain", "ada", "/")
		if resp := b.post(action, nil); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("in another session: status %d, want 400", resp.StatusCode)
		}
		resp = b.link("idp", "", "grace")
		form = regexp.MustCompile(`<form method="post" action="([^"]*)"><input type="hidden" name="page_tag" value="[^"]+"><button class="button">Move it`).FindStringSubmatch(text(resp))
		action = strings.ReplaceAll(form[1], "&amp;", "&")

		// Who comes back with another account than the one that the page was about moves nothing.
		emmys := k.browser()
		emmys.signIn("idp", "emmy", "/")
		k.rejected(b.back(k.browser().approve(k.location(b.post(action, nil)), "emmy")), "identity_taken")

		if got := k.location(b.back(k.browser().approve(k.location(b.post(action, nil)), "grace"))); got != "/linked" {
			t.Errorf("landed at %q", got)
		}
		if got := b.connections(); !strings.Contains(got, "idp: Grace Hopper") {
			t.Errorf("connections %s", got)
		}
		theirs.is(nobody) // signed in by an account that is not theirs any more
		emmys.is(emmy)
		theirs.signIn("idp", "grace", "/")
		if got := theirs.userID(); got != user {
			t.Errorf("grace signs in as %q, want %q", got, user)
		}
	})
}

// Two accounts with one address are two people: nothing is linked by e-mail.
func TestLink_neverByEmail(t *testing.T) {
	k := newKit(t)
	byMail := map[string][]providertest.Account{}
	for _, a := range providertest.Accounts() {
		byMail[a.Email] = append(byMail[a.Email], a)
	}
	tried := 0
	for mail, as := range byMail {
		if mail == "" || len(as) < 2 {
			continue
		}
		tried++
		one, two := k.browser(), k.browser()
		one.signIn("idp", as[0].ID, "/")
		two.signIn("idp", as[1].ID, "/")
		if one.userID() == two.userID() {
			t.Errorf("%s: two accounts became one", mail)
		}
		three := k.browser()
		three.signIn("plain", as[0].ID, "/")
		if three.userID() == one.userID() {
			t.Errorf("%s: the same address at another provider became the same user", mail)
		}
	}
	if tried == 0 {
		t.Error("no two accounts have one address")
	}
}

// Seed S10: disconnecting ends the connection here at once, and over there without keeping the person
// waiting.
func TestDisconnect(t *testing.T) {
	rows := []struct {
		name    string
		revoke  providertest.Fault
		revoked bool
	}{
		{"revoked", nil, true},
		{"146 revocation hangs", providertest.Hang, false},
		{"146 revocation is down", providertest.Respond(503, "text/html", "down"), false},
		{"146 revocation redirects", providertest.Redirect(302, ""), false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				synctest.Test(t, func(t *testing.T) {
					k := newKit(t, change)
					k.plain.Set(func(b *providertest.Behavior) { b.Revoke = row.revoke })
					b := k.browser()
					b.signIn("idp", "ada", "/")
					b.link("plain", "", "grace")
					b.link("plain", "work", "emmy")
					c := k.clientOf(b, "plain")
					began := time.Now()
					resp := b.post("/auth/plain/disconnect", url.Values{"return_to": {"/settings"}})
					if got := k.location(resp); got != "/settings" || time.Since(began) != 0 {
						t.Errorf("went to %q after %v", got, time.Since(began))
					}
					if _, err := c.Get("/me"); !errors.Is(err, middleware.ErrNotConnected) {
						t.Errorf("a client that was kept: %v", err)
					}
					if got, want := b.connections(), "idp: Ada Lovelace false; plain:work Emmy Noether false; "; got != want {
						t.Errorf("connections %s, want %s", got, want)
					}
					b.is(ada)
					if err := k.auth.Close(t.Context()); err != nil {
						t.Error(err)
					}
					if got := k.plain.Ledger().Revoked > 0; got != row.revoked {
						t.Errorf("revoked: %v, want %v", got, row.revoked)
					}
					if k.plain.Ledger().Count("elsewhere") != 0 {
						t.Error("a token went elsewhere")
					}
				})
			})
		})
	}
}

// What is disconnected is somebody's own again; what is not there is no error; nobody has nothing.
func TestDisconnect_edges(t *testing.T) {
	k := newKit(t)
	b := k.browser()
	b.signIn("idp", "ada", "/")
	user := b.userID()
	b.link("plain", "", "grace")
	k.within(b, func(ctx context.Context) {
		for range 2 {
			if err := middleware.Disconnect(ctx, "plain"); err != nil {
				t.Error(err)
			}
			if _, err := middleware.Token(ctx, "plain"); !errors.Is(err, middleware.ErrNotConnected) {
				t.Errorf("in the same request: %v", err)
			}
		}
	})
	other := k.browser()
	other.signIn("plain", "grace", "/")
	if got := other.userID(); got == user || got == "" {
		t.Errorf("a disconnected account signs in as %q", got)
	}
	// The provider of the sign-in, too: the person stays.
	k.within(b, func(ctx context.Context) {
		if err := middleware.Disconnect(ctx, ""); err != nil {
			t.Error(err)
		}
	})
	b.is(ada)
	if got := b.me("", ""); !strings.Contains(got, "not connected") {
		t.Errorf("the API says %s", got)
	}
	b.signIn("idp", "ada", "/")
	if got := b.userID(); got != user {
		t.Errorf("signed in as %q, want %q", got, user)
	}
	// What can be no name is not connected. It is the app's to hand in, perhaps from a form.
	b.link("plain", "work", "emmy")
	for _, id := range [][2]string{{"plain", strings.Repeat("x", 4096)}, {"plain", "a:b"}, {"plain", "\x00"}, {"plain:work", ""}} {
		k.within(b, func(ctx context.Context) {
			ctx = middleware.WithConnection(ctx, id[1])
			if err := middleware.Disconnect(ctx, id[0]); err != nil {
				t.Errorf("%.20q: %v", id, err)
			}
			if _, err := middleware.Client(ctx, id[0]).Get("/me"); !errors.Is(err, middleware.ErrNotConnected) {
				t.Errorf("%.20q: a client of it: %v", id, err)
			}
			if _, err := middleware.Token(middleware.WithConnection(ctx, "work"), "plain"); err != nil {
				t.Errorf("%.20q ended another connection: %v", id, err)
			}
		})
	}
	stranger := k.browser()
	k.within(stranger, func(ctx context.Context) {
		if err := middleware.Disconnect(ctx, ""); !errors.Is(err, middleware.ErrSignedOut) {
			t.Errorf("nobody: %v", err)
		}
	})
	for name, resp := range map[string]*http.Response{
		"nobody":  stranger.post("/auth/plain/disconnect", nil),
		"by link": b.open("/auth/plain/disconnect"),
		"from another site": b.do(with(b.request(http.MethodPost, "/auth/plain/disconnect", nil),
			map[string]string{"Origin": "https://evil.example"})),
	} {
		if resp.StatusCode < 400 {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
}

// A step-up keeps what was granted, of whichever connection; what the person declines is remembered,
// and not asked for again without a word.
func TestStepUp_connection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.gate("/upload", middleware.Need{Provider: "plain", Label: "work", Scopes: []string{"upload"}})
		k.gate("/likes", middleware.Need{Provider: "plain", Label: "work", Scopes: []string{"likes"}})
		b := k.browser()
		b.signIn("idp", "ada", "/")
		b.link("plain", "work", "emmy")
		auth := k.location(b.open("/upload"))
		if !strings.Contains(auth, "scope=videos+upload") {
			t.Errorf("asked for %s", auth)
		}
		k.rejected(b.back(k.browser().approve(auth, "grace")), "identity") // not her account
		time.Sleep(time.Minute)
		if got := k.location(b.back(k.browser().approve(k.location(b.open("/upload")), "emmy"))); got != "/upload" {
			t.Errorf("landed at %q", got)
		}
		if got := text(b.open("/upload")); got != "inside" {
			t.Errorf("afterwards: %s", got)
		}
		time.Sleep(time.Hour)
		k.plain.Set(func(b *providertest.Behavior) { b.Fields = providertest.With("scope", "videos") })
		auth = k.location(b.open("/likes"))
		if !strings.Contains(auth, "scope=videos+upload+likes") {
			t.Errorf("asked for %s", auth)
		}
		k.location(b.back(k.browser().approve(auth, "emmy")))
		for range 3 {
			if resp := b.open("/likes"); resp.StatusCode != http.StatusForbidden {
				t.Errorf("status %d, want a button", resp.StatusCode)
			}
			if got := text(b.open("/upload")); got != "inside" {
				t.Errorf("what was granted before: %s", got)
			}
			time.Sleep(2 * time.Minute)
		}
		k.within(b, func(ctx context.Context) {
			cs, err := middleware.Connections(ctx)
			if err != nil || len(cs) != 2 || fmt.Sprint(cs[1].Scopes, cs[1].Declined) != "[videos upload] [likes]" {
				t.Errorf("connections %+v, %v", cs, err)
			}
		})
	})
}

// A linked connection that has ended is renewed by its person, and nobody is signed in as somebody else.
func TestStepUp_linkedEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.mux.Handle("/page", middleware.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			_, err := middleware.Token(r.Context(), "plain")
			if err == nil {
				fmt.Fprint(w, "shown")
			}
			return err
		}))
		b := k.browser()
		b.signIn("idp", "ada", "/")
		b.link("plain", "", "grace")
		k.plain.EndGrants("grace")
		time.Sleep(time.Hour)
		doc := text(b.fetch("/page"))
		m := regexp.MustCompile(`"login_url":"([^"]*)"`).FindStringSubmatch(doc)
		if m == nil {
			t.Fatalf("no URL: %s", doc)
		}
		for _, target := range []string{"/page", strings.ReplaceAll(m[1], `\u0026`, "&"), "/auth/plain/login?return_to=/page"} {
			k.plain.EndGrants("grace")
			time.Sleep(2 * time.Hour)
			b.fetch("/page")
			if got := k.location(b.back(k.browser().approve(k.location(b.open(target)), "grace"))); got != "/page" {
				t.Errorf("%s: landed at %q", target, got)
			}
			b.is(ada)
			if got := text(b.open("/page")); got != "shown" {
				t.Errorf("%s: afterwards %s", target, got)
			}
		}
	})
}
