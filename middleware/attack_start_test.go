package middleware_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Group A of the attacks: the start of a sign-in, and gates that start one. 14 pushed requests and
// 15 private_key_jwt come with the FAPI profile.

func TestAttack_A1_entropy(t *testing.T) { // ASVS 10.1.2, 7.2.3; CVE-2022-31034, CVE-2024-52801, CVE-2026-34511
	k := newArena(t, true, func(_ *kit, c *middleware.Config) { c.Logger = silent })
	seen := map[string]string{}
	fresh := func(kind, value string) {
		if was, ok := seen[value]; ok {
			t.Fatalf("%s %q was a %s before", kind, value, was)
		}
		if len(value) < 22 { // 128 bits
			t.Fatalf("%s %q is too short", kind, value)
		}
		seen[value] = kind
	}
	var set [256]int // of the first byte of each state's seed
	n := trials(t, 20_000)
	for range n {
		r := httptest.NewRequest(http.MethodGet, appURL+"/auth/idp/login?return_to=/", nil)
		resp := k.serve(r)
		q := query(t, resp.Header.Get("Location"))
		// The states are 300 characters: what of one is in another matters, not where. The first
		// byte names the key, the seed follows.
		fresh("state", q.Get("state"))
		fresh("seed", q.Get("state")[2:24])
		fresh("nonce", q.Get("nonce"))
		fresh("challenge", q.Get("code_challenge"))
		set[q.Get("state")[4]]++
		if len(resp.Cookies()) != 2 {
			t.Fatalf("%d cookies, want 2", len(resp.Cookies()))
		}
		for _, c := range resp.Cookies() {
			first, second, _ := strings.Cut(c.Value, ".")
			fresh(c.Name[:9]+" first part", first)
			if len(second) == 43 {
				fresh("session secret", second)
			}
			for _, v := range []string{first, second} {
				if len(v) >= 22 && strings.Contains(resp.Header.Get("Location"), v) {
					t.Fatal("a cookie's value is in the URL")
				}
			}
		}
	}
	for c, got := range set {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", rune(c)) {
			continue
		}
		if want := n / 64; n >= 20_000 && (got < want/2 || got > 2*want) {
			t.Errorf("seeds have %q %d times, want some %d", rune(c), got, want)
		}
	}
	if rows := k.shelf.rows(); len(rows) > 0 {
		t.Errorf("%d rows in the store, want none: a start costs nothing", len(rows))
	}
}

var errDry = errors.New("the random source is dry")

func TestAttack_A2_randomSource(t *testing.T) { // CVE-2025-66565
	rows := []struct {
		name   string
		prefix int // bytes before it fails
	}{
		{"2 fails at once", 0},
		{"2 fails within the binding", 20},
		{"2 fails after the binding", 38},
		{"2 fails within the session id", 45},
		{"2 fails within the seed", 60},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newArena(t, false)
			b := k.browser()
			k.auth.SetRandom(io.MultiReader(bytes.NewReader(make([]byte, row.prefix)), iotest.ErrReader(errDry)))
			resp := b.open("/auth/idp/login?return_to=/")
			if resp.StatusCode != http.StatusInternalServerError || resp.Header.Get("Location") != "" {
				t.Errorf("status %d, Location %q, want 500 and none", resp.StatusCode, resp.Header.Get("Location"))
			}
			if !strings.Contains(k.log.String(), "reason=random") {
				t.Errorf("log:\n%s", k.log)
			}
		})
	}
}

func TestAttack_A3_PKCE(t *testing.T) { // RFC 7636, sections 4.1 and 4.2; RFC 9700, sections 2.1.1 and 4.8
	rows := []struct {
		name     string
		behavior providertest.Behavior
	}{
		{"3 offered", providertest.Behavior{}},
		{"3 not offered", providertest.Behavior{IgnorePKCE: true}},
		{"3 only plain offered", providertest.Behavior{Metadata: func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} }}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newArena(t, false)
			k.idp.SetBehavior(row.behavior)
			b := k.browser()
			to := b.start("idp", "/")
			q := query(t, to)
			if q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 {
				t.Errorf("method %q, challenge %q", q.Get("code_challenge_method"), q.Get("code_challenge"))
			}
			b.lands(b.approve(to, "ada"), "/", ada)
			form := k.idp.Ledger().Redeems()[0].Form
			v := form.Get("code_verifier")
			if !regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`).MatchString(v) || v == q.Get("state") || v == q.Get("nonce") {
				t.Errorf("verifier of %d characters is not one", len(v))
			}
			if form.Get("redirect_uri") != q.Get("redirect_uri") { // row 63
				t.Errorf("redirect_uri %q and %q", form.Get("redirect_uri"), q.Get("redirect_uri"))
			}
		})
	}
}

func TestAttack_A4_parameters(t *testing.T) { // CVE of goth: state from the query; mod_auth_openidc 08/07/2026
	planted := url.Values{
		"state": {"planted"}, "nonce": {"planted"}, "redirect_uri": {"https://evil.example/"}, "client_id": {"planted"},
		"scope": {"planted admin"}, "response_type": {"token"}, "response_mode": {"fragment"}, "request_uri": {"https://evil.example/r"},
		"request": {"planted"}, "prompt": {"none"}, "login_hint": {"planted"}, "code_challenge": {"planted"}, "code_challenge_method": {"plain"},
		"acr_values": {"planted"}, "max_age": {"1"}, "purpose": {"link"}, "iss": {"https://evil.example"}, "provider": {"plain"},
		"auth_session_id": {"planted"}, "sid": {"planted"}, "session": {"planted"},
	}
	allowed := map[string]bool{
		"response_type": true, "client_id": true, "redirect_uri": true, "state": true, "code_challenge": true,
		"code_challenge_method": true, "scope": true, "nonce": true,
	}
	for _, provider := range []string{"idp", "plain"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run("4 5 "+method+" "+provider, func(t *testing.T) {
				k := newArena(t, false)
				b := k.browser()
				clean := query(t, b.start(provider, "/"))
				resp := b.open("/auth/" + provider + "/login?" + planted.Encode())
				if method == http.MethodPost {
					form := url.Values{"purpose": {""}}
					for name, vs := range planted {
						if name != "purpose" { // of a form it is a parameter: see 49
							form[name] = vs
						}
					}
					resp = b.post("/auth/"+provider+"/login?"+planted.Encode(), form)
				}
				to := k.location(resp)
				for name, vs := range query(t, to) {
					if len(vs) != 1 || !allowed[name] || strings.Contains(vs[0], "planted") || strings.Contains(vs[0], "evil") {
						t.Errorf("%s=%q", name, vs)
					}
					if name != "state" && name != "nonce" && name != "code_challenge" && vs[0] != clean.Get(name) {
						t.Errorf("%s=%q, want %q", name, vs, clean.Get(name))
					}
				}
				if strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "planted") {
					t.Error("a session was planted")
				}
				b.lands(b.approve(to, "ada"), "/", ada)
			})
		}
	}
}

func TestAttack_A6_spoofed(t *testing.T) { // CVE-2026-53523, CVE-2026-40575
	spoofs := []struct {
		name  string
		spoof func(r *http.Request)
	}{
		{"6 Host", func(r *http.Request) { r.Host = "evil.example" }},
		{"6 X-Forwarded-Host", func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "evil.example") }},
		{"6 X-Forwarded-Proto", func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http"); r.TLS = nil }},
		{"6 X-Forwarded-Uri", func(r *http.Request) { r.Header.Set("X-Forwarded-Uri", "/public") }},
		{"6 X-Original-URL", func(r *http.Request) {
			r.Header.Set("X-Original-Url", "/public")
			r.Header.Set("X-Rewrite-Url", "/public")
		}},
		{"6 X-Forwarded-Prefix", func(r *http.Request) { r.Header.Set("X-Forwarded-Prefix", "//evil.example") }},
		{"6 Forwarded", func(r *http.Request) { r.Header.Set("Forwarded", `for=1.2.3.4;host=evil.example;proto=http`) }},
		{"6 absolute-form request line", func(r *http.Request) {
			r.URL.Scheme, r.URL.Host, r.RequestURI = "http", "evil.example", "http://evil.example"+r.RequestURI
		}},
	}
	for _, row := range spoofs {
		t.Run(row.name, func(t *testing.T) {
			k := newArena(t, false)
			b := k.browser()
			for _, path := range []string{"/auth/idp/login?return_to=/", "/gated/x"} {
				r := b.request(http.MethodGet, path, nil)
				row.spoof(r)
				resp := k.serve(r)
				to := k.location(resp)
				if path == "/gated/x" { // two providers: a page lets the person choose
					if to != "/auth/login?return_to=%2Fgated%2Fx" {
						t.Errorf("the gate sends to %q", to)
					}
					continue
				}
				if got := query(t, to).Get("redirect_uri"); got != appURL+"/auth/idp/callback" {
					t.Errorf("redirect_uri %q", got)
				}
				for _, c := range resp.Cookies() {
					if !c.Secure || !strings.HasPrefix(c.Name, "__Host-") {
						t.Errorf("cookie %s: Secure %v", c.Name, c.Secure)
					}
				}
			}
			if k.gated.Load() != 0 {
				t.Error("the gate opened")
			}
		})
	}
}

func TestAttack_A8_gate(t *testing.T) { // oauth2-proxy #1784; ASVS 16.5.3; CVE-2025-31492, CVE-2025-3891
	big := bytes.Repeat([]byte("x"), 10<<20)
	rows := []struct {
		name   string
		method string
		header map[string]string
		body   io.Reader
	}{
		{"8 fetch", "GET", map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "*/*"}, nil},
		{"8 fetch that accepts HTML", "GET", map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "text/html"}, nil},
		{"8 XHR of an old browser", "GET", map[string]string{"Sec-Fetch-Dest": "", "Sec-Fetch-Mode": "", "X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}, nil},
		{"8 SSE", "GET", map[string]string{"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Accept": "text/event-stream"}, nil},
		{"8 WebSocket", "GET", map[string]string{"Sec-Fetch-Dest": "websocket", "Sec-Fetch-Mode": "websocket", "Upgrade": "websocket", "Connection": "Upgrade"}, nil},
		{"8 WebSocket without metadata", "GET", map[string]string{"Sec-Fetch-Dest": "", "Sec-Fetch-Mode": "", "Accept": "", "Upgrade": "websocket", "Connection": "Upgrade"}, nil},
		{"8 image", "GET", map[string]string{"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}, nil},
		{"8 frame", "GET", map[string]string{"Sec-Fetch-Dest": "iframe"}, nil},
		{"8 curl", "GET", map[string]string{"Sec-Fetch-Dest": "", "Sec-Fetch-Mode": "", "Accept": "*/*"}, nil},
		{"8 HEAD", "HEAD", nil, nil},
		{"8 prefetch", "GET", map[string]string{"Sec-Purpose": "prefetch;prerender"}, nil},
		{"9 POST without a body", "POST", nil, nil},
		{"9 POST of 0 bytes", "POST", nil, strings.NewReader("")},
		{"9 POST of 10 MB", "POST", nil, bytes.NewReader(big)},
		{"9 POST in chunks", "POST", nil, struct{ io.Reader }{bytes.NewReader(big)}},
		{"9 POST of a form", "POST", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, strings.NewReader("a=b")},
		{"9 PUT by a script", "PUT", map[string]string{"Sec-Fetch-Dest": "empty"}, bytes.NewReader(big)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newArena(t, true)
			b := k.browser()
			r := b.request(row.method, "/gated/x?q=1", row.body)
			for name, v := range row.header {
				if r.Header.Del(name); v != "" {
					r.Header.Set(name, v)
				}
			}
			resp := k.serve(r)
			if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Location") != "" {
				t.Errorf("status %d, Location %q, want 401", resp.StatusCode, resp.Header.Get("Location"))
			}
			if resp.Header.Get("Www-Authenticate") == "" || resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", resp.Header)
			}
			if body := text(resp); strings.Contains(body, "protected") || !strings.Contains(body, "/login?return_to=%2Fgated%2Fx%3Fq%3D1") {
				t.Errorf("body %s", body)
			}
			if len(resp.Cookies()) > 0 || len(k.shelf.rows()) > 0 || k.gated.Load() > 0 {
				t.Errorf("%d cookies, %d rows, %d calls, want nothing", len(resp.Cookies()), len(k.shelf.rows()), k.gated.Load())
			}
			if n := k.idp.Ledger().Count("authorize"); n > 0 {
				t.Errorf("%d authorization requests", n)
			}
		})
	}
	t.Run("10 denied by a redirect", func(t *testing.T) {
		k := newArena(t, false, func(k *kit, c *middleware.Config) { c.Providers = []providers.Provider{k.idp.OIDC("idp")} })
		k.mux.Handle("/panic", k.auth.Require(middleware.Need{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("called") })))
		resp := k.browser().open("/panic")
		if to := k.location(resp); !strings.HasPrefix(to, "https://idp.example/authorize?") || text(resp) != "" {
			t.Errorf("sent to %q with body %q", to, text(resp))
		}
	})
	t.Run("10 a gate without the middleware is closed", func(t *testing.T) {
		k := newArena(t, false)
		w := httptest.NewRecorder()
		k.mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/gated/x", nil))
		if w.Code != http.StatusInternalServerError || k.gated.Load() > 0 {
			t.Errorf("status %d", w.Code)
		}
	})
}

func TestAttack_A12_redirect(t *testing.T) { // RFC 9700, section 4.12; mod_auth_openidc #321
	for _, provider := range []string{"idp", "plain"} {
		k := newArena(t, false)
		b := k.browser()
		states := map[string]bool{}
		for _, resp := range []*http.Response{
			b.open("/auth/" + provider + "/login"), b.open("/auth/" + provider + "/login"), // and with the back button
			b.post("/auth/"+provider+"/login", url.Values{"return_to": {"/"}}),
		} {
			states[state(t, k.location(resp))] = true
			if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("headers %v", resp.Header)
			}
		}
		if len(states) != 3 {
			t.Errorf("%d states of 3 starts", len(states))
		}
	}
}

func TestAttack_A13_lengths(t *testing.T) { // FAPI2
	scopes := make([]string, 200)
	for i := range scopes {
		scopes[i] = fmt.Sprintf("scope-number-%d", i)
	}
	k := newArena(t, false)
	k.handle("/many", func(w http.ResponseWriter, r *http.Request) {
		to, err := middleware.LoginURL(r.Context(), middleware.Need{Provider: "idp", Scopes: scopes}, "/")
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, to)
	})
	long := "/" + strings.Repeat("l", 8<<10-1)
	b := k.browser()
	t.Run("13 return_to of 8 KB", func(t *testing.T) {
		to := b.start("idp", long)
		if len(to) > 2048+len("https://idp.example/authorize?") {
			t.Errorf("URL of %d bytes", len(to))
		}
		if q := query(t, to); len(q.Get("state")) > 500 || len(q.Get("nonce")) > 64 || len(q.Get("nonce")) < 22 {
			t.Errorf("state of %d, nonce of %d characters", len(q.Get("state")), len(q.Get("nonce")))
		}
		b.lands(b.approve(to, "ada"), long, ada)
	})
	t.Run("13 return_to of more", func(t *testing.T) { // is not cut short: it goes home
		b := k.browser()
		b.lands(b.approve(b.start("idp", long+"x"), "ada"), "/", ada)
	})
	t.Run("13 200 scopes", func(t *testing.T) { // refused, not cut short
		b := k.browser()
		r := b.request(http.MethodGet, text(b.open("/many")), nil)
		k.rejected(b.do(r), "parameter")
		if tokens, rows := k.redeems(), len(k.shelf.of("aside")); tokens != 2 || rows != 1 { // of the two rows above
			t.Errorf("%d token requests, %d return paths aside, want 2 and 1", tokens, rows)
		}
	})
}
