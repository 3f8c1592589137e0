package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Group B of the attacks: what comes to the callback. Rows 16 to 27 with a provider that answers so
// are in TestAttack_BEFGHI_provider; here they are what somebody writes into the address.

func TestAttack_B_parameters(t *testing.T) {
	rows := []struct {
		name, reason string
		change       func(q url.Values)
	}{
		{"16 state missing", "state", func(q url.Values) { q.Del("state") }},
		{"16 state empty", "state", func(q url.Values) { q.Set("state", "") }},
		{"16 state of 1 MB", "parameter", func(q url.Values) { q.Set("state", strings.Repeat("s", 1<<20)) }},
		{"16 state of 501", "state", func(q url.Values) { q.Set("state", strings.Repeat("s", 501)) }},
		{"16 state with NUL", "state", func(q url.Values) { q.Set("state", q.Get("state")+"\x00") }},
		{"16 state with CRLF", "state", func(q url.Values) { q.Set("state", q.Get("state")+"\r\n") }},
		{"16 state with a line break inside", "state", func(q url.Values) { s := q.Get("state"); q.Set("state", s[:40]+"\n"+s[40:]) }},
		{"16 state not UTF-8", "state", func(q url.Values) { q.Set("state", q.Get("state")+"\xff\xfe") }},
		{"16 state padded", "state", func(q url.Values) { q.Set("state", q.Get("state")+"=") }},
		{"17 state twice, good one first", "parameter", func(q url.Values) { q.Add("state", "bad") }},
		{"17 state twice, good one last", "parameter", func(q url.Values) { q["state"] = []string{"bad", q.Get("state")} }},
		{"17 state twice, the same", "parameter", func(q url.Values) { q.Add("state", q.Get("state")) }},
		{"17 code twice", "answer", func(q url.Values) { q.Add("code", "another-code") }},
		{"17 iss twice", "answer", func(q url.Values) { q.Add("iss", q.Get("iss")) }},
		{"17 error twice", "answer", func(q url.Values) { q.Del("code"); q["error"] = []string{"access_denied", "access_denied"} }},
		{"20 code and error", "answer", func(q url.Values) { q.Set("error", "access_denied") }},
		{"22 error with unknown state", "state", func(q url.Values) { q.Del("code"); q.Set("error", "access_denied"); q.Set("state", "made-up-state") }},
		{"24 iss missing", "answer", func(q url.Values) { q.Del("iss") }},
		{"25 iss of another", "answer", func(q url.Values) { q.Set("iss", "https://other.example") }},
		{"25 iss with a slash", "answer", func(q url.Values) { q.Set("iss", q.Get("iss")+"/") }},
		{"26 access_token", "answer", func(q url.Values) { q.Set("access_token", "injected-token") }},
		{"26 id_token in place of a code", "answer", func(q url.Values) { q.Del("code"); q.Set("id_token", "injected-token") }},
		{"26 response of JARM", "answer", func(q url.Values) { q.Set("response", "injected-response") }},
		{"27 code missing", "answer", func(q url.Values) { q.Del("code") }},
		{"27 code empty", "answer", func(q url.Values) { q.Set("code", "") }},
		{"27 code of 8 KB", "answer", func(q url.Values) { q.Set("code", strings.Repeat("c", 8<<10)) }},
		{"27 code with CRLF", "answer", func(q url.Values) { q.Set("code", "some-code\r\nX: y") }},
		{"18 answer made up", "state", func(q url.Values) { clear(q); q.Set("answer", "made-up-answer") }},
		{"18 answer and more", "parameter", func(q url.Values) { q.Set("answer", "made-up-answer") }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachArena(t, func(t *testing.T, k *arena, provider string) {
				b := k.browser()
				good := b.approve(b.start(provider, "/gated/b"), "ada")
				q := query(t, good)
				row.change(q)
				k.rejects(b.callback("/auth/"+provider+"/callback?"+q.Encode()), row.reason)
				b.lands(good, "/gated/b", ada)
			})
		})
	}
	t.Run("26 fragment parameters", func(t *testing.T) { // never reach a server; as a path they are no address
		k := newArena(t, false)
		b := k.browser()
		k.rejects(b.callback("/auth/idp/callback/code=injected"), "not_found")
	})
	t.Run("16 malformed query", func(t *testing.T) {
		eachArena(t, func(t *testing.T, k *arena, provider string) {
			b := k.browser()
			good := b.approve(b.start(provider, "/gated/b"), "ada")
			for _, more := range []string{"&x=%zz", "&a;b=c", "&%"} {
				r := b.callback(good)
				r.URL.RawQuery += more
				k.rejects(r, "parameter")
			}
			b.lands(good, "/gated/b", ada)
		})
	})
	t.Run("27 code is one value", func(t *testing.T) {
		for _, code := range []string{"a&redirect_uri=x", "a%0d%0ab", "😀 + %26", "a=b;c"} {
			k := newArena(t, false)
			b := k.browser()
			q := query(t, b.approve(b.start("idp", "/gated/b"), "ada"))
			q.Set("code", code)
			ours(t, b.back("/auth/idp/callback?"+q.Encode()))
			sent := k.idp.Ledger().Redeems()
			if len(sent) != 1 || sent[0].Form.Get("code") != code || len(sent[0].Form["code"]) != 1 || len(sent[0].Form["redirect_uri"]) != 1 {
				t.Errorf("code %q was sent as %d requests", code, len(sent))
			}
			b.is(nobody)
		}
	})
}

func TestAttack_B18_post(t *testing.T) { // Go's FormValue reads the body first
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		good := b.approve(b.start(provider, "/gated/p"), "ada")
		_, q, _ := strings.Cut(good, "?")
		for _, target := range []string{"/auth/" + provider + "/callback", good} {
			r := b.request(http.MethodPost, target, strings.NewReader(q))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			k.rejects(r, "method")
		}
		b.lands(good, "/gated/p", ada)
	})
	t.Run("18 form_post", func(t *testing.T) {
		k := newArena(t, true, func(k *kit, c *middleware.Config) {
			p := k.plain.OAuth2("plain")
			p.ResponseMode = "form_post"
			c.Providers = []providers.Provider{p}
		})
		b := k.browser()
		good := b.approve(b.start("plain", "/gated/p"), "ada")
		to, q, _ := strings.Cut(good, "?")
		post := func(target, body, kind string) *http.Request {
			r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body)) // no cookies: it comes from another site
			r.Header.Set("Content-Type", kind)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Dest", "document")
			return r
		}
		const form = "application/x-www-form-urlencoded"
		k.rejects(post(to+"?state=another-state", q, form), "parameter")
		k.rejects(post(good, q, form), "parameter")
		k.rejects(post(to, "%zz", form), "parameter")
		k.rejects(post(to, q, "text/plain"), "parameter")
		k.rejects(post(to, q, ""), "parameter")
		k.rejects(post(to, "code="+strings.Repeat("c", 5<<10), form), "parameter")
		k.rejects(post(to, "other="+strings.Repeat("c", 70<<10), form), "parameter")
		hop := func(body string) string { return k.location(k.serve(post(to, body, form))) }
		k.rejects(b.callback(hop(q+"&state=bad")), "parameter")
		k.rejects(b.callback(hop("code=some-code&state=")), "parameter")
		k.rejects(b.callback(hop("code=some-code&state=made-up-state")), "state")
		k.rejects(b.callback(hop(q+"&access_token=injected")), "answer")
		stranger := k.browser()
		next := hop(q + "&ignored=" + strings.Repeat("i", 5<<10))
		k.rejects(stranger.callback(next), "state")
		if n := k.redeems(); n != 0 {
			t.Errorf("%d token requests", n)
		}
		b.lands(next, "/gated/p", ada)
		b.lands(next, "/gated/p", ada) // a reload
		// An error is shown, too: module form-post-error.
		k.plain.Set(func(bh *providertest.Behavior) { bh.Answer = providertest.AnswerError("access_denied", "") })
		other := k.browser()
		_, q, _ = strings.Cut(other.approve(other.start("plain", "/gated/p"), "grace"), "?")
		k.rejected(other.back(hop(q)), "denied")
	})
}

func TestAttack_B21_declined(t *testing.T) { // RFC 6749, section 4.1.2.1; OIDC Core, section 3.1.2.6
	for _, code := range []string{"access_denied", "login_required", "server_error", "made_up_<b>code</b>"} {
		t.Run("21 "+code, func(t *testing.T) {
			eachArena(t, func(t *testing.T, k *arena, provider string) {
				k.provider(provider).Set(func(b *providertest.Behavior) {
					b.Answer = providertest.AnswerError(code, "a description <script>alert(1)</script>")
				})
				b := k.browser()
				b.open("/put?key=cart&value=book")
				session := b.session()
				to := b.start(provider, "/gated/d")
				callback := b.approve(to, "ada")
				for range 2 { // a reload shows it again
					resp := b.back(callback)
					ours(t, resp)
					page := text(resp)
					if strings.Contains(page, "<script>") || strings.Contains(page, "<b>") || strings.Contains(page, "description") {
						t.Errorf("the provider writes into our page:\n%s", page)
					}
					if known := !strings.Contains(code, "<"); known != strings.Contains(page, code) {
						t.Errorf("the page shows the code: %v, want %v", !known, known)
					}
					if !strings.Contains(page, "/gated/d") {
						t.Error("the page does not lead back")
					}
				}
				if b.session() != session || text(b.open("/get?key=cart")) != "book" || k.redeems() != 0 {
					t.Errorf("the session changed, or %d token requests", k.redeems())
				}
				b.is(nobody)
				// It is over: a code for the same flow that turns up later is not sent.
				k.provider(provider).SetBehavior(providertest.Behavior{})
				ours(t, b.back(b.approve(to, "ada")))
				if k.redeems() != 0 {
					t.Error("the flow had ended, and a code was sent")
				}
				b.signIn(provider, "ada", "/gated/d") // try again
			})
		})
	}
}

func TestAttack_B28_notAsked(t *testing.T) { // FAPI2, note on preloading
	rows := []struct {
		name, method, reason string
		header               map[string]string
	}{
		{"28 HEAD", "HEAD", "method", nil},
		{"28 OPTIONS", "OPTIONS", "method", nil},
		{"28 PUT", "PUT", "method", nil},
		{"28 DELETE", "DELETE", "method", nil},
		{"28 prefetch", "GET", "not_a_navigation", map[string]string{"Sec-Purpose": "prefetch"}},
		{"28 prerender", "GET", "not_a_navigation", map[string]string{"Sec-Purpose": "prefetch;prerender"}},
		{"28 old prefetch", "GET", "not_a_navigation", map[string]string{"Purpose": "prefetch"}},
		{"28 older prefetch", "GET", "not_a_navigation", map[string]string{"X-Moz": "prefetch"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			eachArena(t, func(t *testing.T, k *arena, provider string) {
				b := k.browser()
				good := b.approve(b.start(provider, "/gated/m"), "ada")
				r := b.callback(good)
				r.Method = row.method
				for name, v := range row.header {
					r.Header.Set(name, v)
				}
				k.rejects(r, row.reason)
				b.lands(good, "/gated/m", ada)
			})
		})
	}
	t.Run("28 mail scanner", func(t *testing.T) { // opens every link twice, without cookies
		eachArena(t, func(t *testing.T, k *arena, provider string) {
			b := k.browser()
			good := b.approve(b.start(provider, "/gated/m"), "ada")
			for range 2 {
				k.rejects(httptest.NewRequest(http.MethodGet, good, nil), "state")
			}
			b.lands(good, "/gated/m", ada)
		})
	})
}

func TestAttack_B30_plainHTTP(t *testing.T) { // RFC 9700, section 2.6; RFC 8252, section 7.3
	eachArena(t, func(t *testing.T, k *arena, provider string) {
		b := k.browser()
		good := b.approve(b.start(provider, "/gated/h"), "ada")
		u, err := url.Parse(strings.Replace(good, "https:", "http:", 1))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, u.String(), nil)
		for _, c := range b.jar.Cookies(u) { // none: they are Secure
			r.AddCookie(c)
		}
		k.rejects(r, "state")
		b.lands(good, "/gated/h", ada)
	})
}
