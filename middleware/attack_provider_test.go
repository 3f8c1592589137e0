package middleware_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Groups B and E to I of the attacks, and the conformance modules, through the whole middleware: a
// provider that misbehaves, and what a person and the app see of it.
//
// Not here, because the kit cannot be asked for it: 14 pushed requests, 15 private_key_jwt and 67
// sender-constrained tokens come with the FAPI profile.

func TestConformance(t *testing.T) {
	for _, c := range providertest.Conformance() {
		t.Run(c.Name, func(t *testing.T) { meets(t, c, "idp") })
	}
}

func TestQuirks(t *testing.T) {
	for _, c := range providertest.Quirks() {
		t.Run(c.Name, func(t *testing.T) { meets(t, c, "idp") })
	}
}

func TestAttack_BEFGHI_provider(t *testing.T) {
	for _, c := range providertest.Attacks() {
		t.Run(c.Name, func(t *testing.T) { meets(t, c, "idp") })
		if c.OIDC || c.UserInfo {
			continue
		}
		t.Run(c.Name+", plain OAuth", func(t *testing.T) { meets(t, c, "plain") })
	}
}

// meets signs in at a provider that behaves as c says, and judges what comes of it. Time is
// synctest's: a provider that hangs costs nothing.
func meets(t *testing.T, c providertest.Case, provider string) {
	synctest.Test(t, func(t *testing.T) {
		k := newArena(t, false, func(k *kit, cfg *middleware.Config) {
			k.idp = providertest.New(providertest.Config{Issuer: "https://idp.example", Algorithm: c.Algorithm})
			k.provider(provider).SetBehavior(c.Behavior)
			p := k.idp.OIDC("idp")
			p.UserInfo = c.UserInfo
			cfg.Providers = []providers.Provider{p, k.plain.OAuth2("plain")}
		})
		k.mux.Handle("/page", k.auth.Require(middleware.Need{})(http.NotFoundHandler()))
		s := k.provider(provider)
		b := k.browser()
		b.open("/put?key=cart&value=book")
		session, status, stored := b.session(), text(b.fetch("/auth/status")), k.shelf.dump()

		visits := 1
		if c.Rotate {
			visits = 2
		}
		got, authURL := b.visit(provider)
		if c.Rotate && got == providertest.SignedIn {
			s.RotateKey()
			got, authURL = b.visit(provider)
		}
		synctest.Wait() // tokens are revoked meanwhile
		want := c.Outcome
		refresh := want == providertest.RefreshRefused || want == providertest.RefreshForeign || want == providertest.RefreshFailed
		if refresh {
			want = providertest.SignedIn
		}
		if !want.Allows(got) {
			t.Fatalf("got %v, want %v; log:\n%s", got, want, k.log)
		}

		l := s.Ledger()
		if len(l.Repeated()) > 0 || l.Count("token") > visits {
			t.Errorf("%d token requests, codes %+v", l.Count("token"), l.Codes)
		}
		if n := l.Count("elsewhere"); n > 0 {
			t.Errorf("%d requests elsewhere", n)
		}
		if strings.Contains(k.log.String(), "panic") {
			t.Error("a panic in the log")
		}
		if got == providertest.SignedIn {
			b.is(ada)
			if refresh {
				k.renewed(b, provider, c.Outcome)
			}
			return
		}
		b.is(nobody)
		if b.session() != session {
			t.Error("the session cookie changed")
		}
		if after := text(b.fetch("/auth/status")); got != providertest.Declined && after != status {
			t.Errorf("status %s, before %s", after, status)
		}
		if cart := text(b.open("/get?key=cart")); cart != "book" {
			t.Errorf("the session has %q, want book", cart)
		}
		if redeemed := issued(l); redeemed && l.Revoked == 0 && understood(c) {
			t.Error("tokens were issued and not revoked")
		}
		if got == providertest.Unredeemed && k.shelf.dump() != stored {
			t.Error("the store changed")
		}
		k.goesOn(b, provider, authURL, got)
	})
}

// visit goes through a sign-in and returns what came of it, and the URL at which it left.
func (b *browser) visit(provider string) (providertest.Outcome, string) {
	k, t := b.k, b.k.t
	start := b.open("/auth/" + provider + "/login?return_to=/page")
	if start.StatusCode != http.StatusSeeOther {
		ours(t, start)
		return providertest.Refused, ""
	}
	authURL := k.location(start)
	callback, err := k.at(authURL).Approve(t.Context(), b.idp, authURL, "ada")
	if err != nil {
		t.Fatal(err)
	}
	mark := len(k.log.String())
	resp := b.back(callback)
	if resp.StatusCode == http.StatusSeeOther {
		if to := k.location(resp); to != "/page" {
			t.Errorf("landed at %q, want /page", to)
		}
		return providertest.SignedIn, authURL
	}
	ours(t, resp)
	events := k.log.String()[mark:]
	if strings.Count(events, `"returnleg: refused" reason=`) != 1 {
		t.Errorf("events, want one refusal:\n%s", events)
	}
	for name, vs := range query(t, callback) {
		for _, v := range vs {
			if (name == "code" || name == "state") && len(v) > 7 && (strings.Contains(events, v) || strings.Contains(text(resp), v)) {
				t.Errorf("%s is repeated", name)
			}
		}
	}
	switch {
	case k.provider(provider).Ledger().Count("token") > 0:
		return providertest.Refused, authURL
	case strings.Contains(events, "reason=denied") || strings.Contains(events, "reason=provider_error"):
		return providertest.Declined, authURL
	}
	return providertest.Unredeemed, authURL
}

// renewed judges what becomes of the session and its token, once that has ended and is renewed.
func (k *arena) renewed(b *browser, provider string, o providertest.Outcome) {
	k.t.Helper()
	want := map[providertest.Outcome]struct {
		now, later error  // of Token: while the provider misbehaves, and when it does no more
		person     string // who is signed in
		api        int    // requests that a client sends once it does no more
	}{
		providertest.RefreshRefused: {middleware.ErrReauthRequired, middleware.ErrReauthRequired, ada, 0},
		providertest.RefreshForeign: {middleware.ErrSignedOut, middleware.ErrSignedOut, nobody, 0},
		providertest.RefreshFailed:  {providers.ErrUnavailable, nil, ada, 1},
	}[o]
	s := k.provider(provider)
	client, before := k.clientOf(b, provider), s.Count("api")
	time.Sleep(time.Hour)
	for range 2 {
		if got := k.token(b, provider); !errors.Is(got.err, want.now) {
			k.t.Errorf("error %v, want %v", got.err, want.now)
		}
		if _, err := client.Get("/me"); !errors.Is(err, want.now) {
			k.t.Errorf("a client that was kept: %v, want %v", err, want.now)
		}
	}
	b.is(want.person)
	if got := s.Count("userinfo") + s.Count("api") - before; got != 0 {
		k.t.Errorf("%d requests with a token after the refresh", got)
	}
	s.SetBehavior(providertest.Behavior{})
	time.Sleep(time.Minute + time.Second)
	if got := k.token(b, provider); !errors.Is(got.err, want.later) {
		k.t.Errorf("later: error %v, want %v", got.err, want.later)
	}
	if resp, err := client.Get("/me"); err == nil {
		_ = resp.Body.Close()
	}
	if got := s.Count("api") - before; got != want.api {
		k.t.Errorf("later: %d requests to the API, want %d", got, want.api)
	}
	b.is(want.person)
	k.refreshes(s)
}

// goesOn shows that a sign-in that was refused before redeeming can still be finished by the right
// answer, and that one that ended has ended.
func (k *arena) goesOn(b *browser, provider, authURL string, got providertest.Outcome) {
	k.t.Helper()
	if authURL == "" {
		return
	}
	s := k.provider(provider)
	s.SetBehavior(providertest.Behavior{})
	redeems := k.redeems()
	resp := b.back(b.approve(authURL, "ada"))
	if got == providertest.Unredeemed {
		if to := resp.Header.Get("Location"); to != "/page" || k.redeems() != redeems+1 {
			k.t.Errorf("the right answer lands at %q, status %d; log:\n%s", to, resp.StatusCode, k.log)
		}
	} else {
		ours(k.t, resp)
		if k.redeems() != redeems {
			k.t.Error("the sign-in had ended, and its next code was sent")
		}
	}
}

// ours fails the test unless resp is a page of the kit's own that says no.
func ours(t testing.TB, resp *http.Response) {
	t.Helper()
	if resp.StatusCode < 400 || resp.StatusCode > 599 || resp.Header.Get("Cache-Control") != "no-store" ||
		resp.Header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(text(resp), "<h1>") {
		t.Errorf("status %d, headers %v: not a page of ours", resp.StatusCode, resp.Header)
	}
}

// issued reports that the provider traded a code for tokens.
func issued(l providertest.Ledger) bool {
	for _, c := range l.Codes {
		if c.Redeemed > 0 {
			return true
		}
	}
	return false
}

// understood reports that the tokens of c arrive, so that they can be given back: it is what
// comes behind them that is wrong, and the metadata still says where to revoke.
func understood(c providertest.Case) bool {
	b := c.Behavior
	return b.Token == nil && b.Fields == nil && b.Metadata == nil && b.Discovery == nil
}

// outbound counts requests by host, and fails those that no provider answers.
type outbound struct {
	http.RoundTripper
	mu    sync.Mutex
	hosts map[string]int
}

func (o *outbound) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.hosts[r.URL.Host]++
	o.mu.Unlock()
	return o.RoundTripper.RoundTrip(r)
}

func TestAttack_I100_outbound(t *testing.T) { // CVE-2025-52477; CVE-2026-33679, CVE-2026-23603
	inside := "http://169.254.169.254/latest"
	claims := func(_ *providertest.Draft, c map[string]any) {
		c["picture"], c["profile"], c["website"], c["jku"] = inside, inside, inside, inside
		c["_claim_names"] = map[string]any{"x": "src"}
		c["_claim_sources"] = map[string]any{"src": map[string]any{"endpoint": inside, "access_token": "x"}}
	}
	rows := []struct{ name, query string }{
		{"100 issuer in the query", url.Values{"iss": {"https://evil.example"}, "issuer": {"https://evil.example"}, "domain_hint": {"evil.example"}}.Encode()},
		{"100 WebFinger and tenants", url.Values{"resource": {"acct:me@evil.example"}, "tenant": {"evil.example"}, "login_hint": {"me@evil.example"}}.Encode()},
		{"110 claims that are URLs", ""},
	}
	for _, row := range rows {
		for _, provider := range []string{"idp", "plain"} {
			t.Run(row.name+" "+provider, func(t *testing.T) {
				out := &outbound{hosts: map[string]int{}}
				k := newArena(t, true, func(k *kit, c *middleware.Config) {
					out.RoundTripper = k
					c.HTTPClient = &http.Client{Transport: out}
				})
				k.idp.Set(func(b *providertest.Behavior) { b.Claims = claims })
				b := k.browser()
				r := b.request(http.MethodGet, "/auth/"+provider+"/login?return_to=/&"+row.query, nil)
				r.Header.Set("X-Tenant", "evil.example")
				r.Header.Set("X-Issuer", "https://evil.example")
				b.lands(b.approve(k.location(b.do(r)), "ada"), "/", ada)
				delete(out.hosts, provider+".example")
				if len(out.hosts) > 0 {
					t.Errorf("requests to %v", out.hosts)
				}
			})
		}
	}
}

func TestAttack_I105_down(t *testing.T) { // ASVS 16.5.2
	synctest.Test(t, func(t *testing.T) {
		k := newArena(t, true, func(k *kit, _ *middleware.Config) { // the process starts all the same
			k.idp.Set(func(b *providertest.Behavior) { b.Discovery = providertest.Respond(503, "text/html", "down") })
		})
		b := k.browser()
		for range 20 { // impatient people are no load
			resp := b.open("/auth/idp/login?return_to=/")
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Fatalf("105 status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
			}
		}
		if n := k.idp.Ledger().Count("discovery"); n > 2 {
			t.Errorf("105 %d requests for 20 starts, want a backoff", n)
		}
		b.signIn("plain", "ada", "/") // the other provider is not concerned
		k.idp.SetBehavior(providertest.Behavior{})
		time.Sleep(2 * time.Minute)
		b.signIn("idp", "grace", "/")
		// The copy is used while the provider is down again.
		k.idp.Set(func(b *providertest.Behavior) { b.Discovery, b.JWKS = providertest.Hang, providertest.Hang })
		time.Sleep(2 * time.Hour)
		k.browser().signIn("idp", "emmy", "/")
		time.Sleep(time.Minute) // what asks in the background gives up
	})
}
