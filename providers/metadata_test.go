package providers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// field returns a behavior whose metadata has another value.
func field(name string, v any) providertest.Behavior {
	return providertest.Behavior{Metadata: func(m map[string]any) { m[name] = v }}
}

// Rows of group I: a document that is not as it should be is not used.
func TestDiscovery(t *testing.T) {
	var down = providers.ErrUnavailable
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		want error
	}{
		{"97 issuer with a slash", field("issuer", "https://idp.example/"), down},
		{"97 issuer in another case", field("issuer", "https://IDP.example"), down},
		{"97 issuer of http", field("issuer", "http://idp.example"), down},
		{"97 issuer missing", providertest.Behavior{Metadata: func(m map[string]any) { delete(m, "issuer") }}, down},
		{"97 issuer twice", providertest.Behavior{Discovery: providertest.RewriteBody(func(b string) string { return `{"issuer":"x",` + b[1:] })}, down},
		{"98 redirect to another host", providertest.Behavior{Discovery: providertest.Redirect(302, "https://elsewhere.example/elsewhere")}, down},
		{"98 redirect to http", providertest.Behavior{Discovery: providertest.Redirect(302, "http://idp.example/elsewhere")}, down},
		{"98 redirect to loopback", providertest.Behavior{Discovery: providertest.Redirect(302, "https://127.0.0.1/elsewhere")}, down},
		{"98 redirect to another port", providertest.Behavior{Discovery: providertest.Redirect(302, "https://idp.example:8443/elsewhere")}, down},
		{"98 redirects without end", providertest.Behavior{Discovery: providertest.Redirect(302, "/.well-known/openid-configuration")}, down},
		{"98 redirect to the same host", providertest.Behavior{Discovery: providertest.First(1, providertest.Redirect(301, "/.well-known/oauth-authorization-server"))}, nil},
		{"99 token_endpoint of http", field("token_endpoint", "http://idp.example/token"), down},
		{"99 token_endpoint of file", field("token_endpoint", "file:///etc/passwd"), down},
		{"99 jwks_uri of gopher", field("jwks_uri", "gopher://idp.example/jwks"), down},
		{"99 cloud metadata", field("jwks_uri", "https://169.254.169.254/latest"), down},
		{"99 loopback", field("userinfo_endpoint", "https://[::1]/userinfo"), down},
		{"99 loopback of http", field("userinfo_endpoint", "http://127.0.0.1/userinfo"), down},
		{"99 a private address", field("token_endpoint", "https://10.0.0.1/token"), down},
		{"99 hexadecimal", field("token_endpoint", "https://0x7f000001/token"), down},
		{"99 decimal", field("token_endpoint", "https://2130706433/token"), down},
		{"99 short", field("token_endpoint", "https://127.1/token"), down},
		{"99 localhost with a dot", field("token_endpoint", "https://localhost./token"), down},
		{"99 a name below localhost", field("token_endpoint", "https://a.localhost/token"), down},
		{"99 localhost in wide letters", field("token_endpoint", "https://%EF%BD%8Cocalhost/token"), down},
		{"99 an address with wide dots", field("token_endpoint", "https://a%EF%BC%8E127%EF%BC%8E1/token"), down},
		{"99 port 6379", field("token_endpoint", "https://idp.example:6379/token"), down},
		{"99 a user", field("token_endpoint", "https://a:b@idp.example/token"), down},
		{"99 a fragment", field("authorization_endpoint", "https://idp.example/authorize#x"), down},
		{"99 relative", field("token_endpoint", "/token"), down},
		{"99 a number", field("revocation_endpoint", 7), down},
		{"99 another public host", field("revocation_endpoint", "https://oauth.example:443/revoke"), nil},
		{"token_endpoint missing", providertest.Behavior{Metadata: func(m map[string]any) { delete(m, "token_endpoint") }}, down},
		{"101 more than 1 MiB", providertest.Behavior{Discovery: providertest.Pad(2 << 20)}, down},
		{"101 gzip bomb", providertest.Behavior{Discovery: providertest.GzipBomb(8 << 20)}, down},
		{"101 text/html", providertest.Behavior{Discovery: providertest.Rewrite(func(a *providertest.Answer) { a.Header.Set("Content-Type", "text/html") })}, down},
		{"101 404", providertest.Behavior{Discovery: providertest.Fail(404, "x")}, down},
		{"101 404 with a good body", providertest.Behavior{Discovery: providertest.Rewrite(func(a *providertest.Answer) { a.Status = 404 })}, down},
		{"101 more than 1 MiB, the end of it", providertest.Behavior{Discovery: providertest.RewriteBody(func(b string) string { return b + strings.Repeat(" ", 2<<20) })}, down},
		{"101 cut", providertest.Behavior{Discovery: providertest.Truncate}, down},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			_, err := v.p.Begin(v.ctx, v.f)
			is(t, err, row.want)
			var e *providers.Error
			if errors.As(err, &e) {
				t.Error("a document that cannot be had is not the provider's refusal")
			}
			v.requests("elsewhere", 0)
			v.requests("token", 0)
			if got := v.s.Ledger().Count("discovery"); got > 4 {
				t.Errorf("discovery requests: got %d, want 4 at most", got)
			}
		})
	}
}

// Row 102: what is usable is used.
func TestKeys(t *testing.T) {
	type jwk = map[string]any
	around := func(more ...jwk) providertest.Behavior {
		return providertest.Behavior{Keys: func(set []map[string]any) any { return append(more, append(set, more...)...) }}
	}
	small := jwk{"kty": "RSA", "alg": "RS256", "e": "AQAB", "n": strings.Repeat("A", 85) + "w"}
	refused := providers.ErrToken
	for _, row := range []struct {
		name string
		b    providertest.Behavior
		want error
	}{
		{"102 oct beside", around(jwk{"kty": "oct", "k": "AAAA", "alg": "HS256"}), nil},
		{"102 use enc beside", around(jwk{"kty": "RSA", "use": "enc", "e": "AQAB", "n": "AQAB"}), nil},
		{"102 RSA-512 beside", around(small), nil},
		{"102 off the curve beside", around(jwk{"kty": "EC", "crv": "P-256", "x": b64(strings.Repeat("x", 32)), "y": b64(strings.Repeat("y", 32))}), nil},
		{"102 broken beside", around(jwk{"kty": 7}, jwk{}, jwk{"kty": "RSA"}, jwk{"kty": "OKP", "crv": "X25519", "x": "AAAA"}), nil},
		{"102 no objects beside", providertest.Behavior{Keys: func(set []map[string]any) any { return []any{"x", nil, 7, set[0]} }}, nil},
		{"102 a broken certificate in it", providertest.Behavior{Keys: func(set []map[string]any) any { set[0]["x5c"] = []string{"AAAA"}; return set }}, nil},
		{"102 another key of the same kid", around(jwk{}), nil},
		{"102 only for encryption", providertest.Behavior{Keys: func(set []map[string]any) any { set[0]["use"] = "enc"; return set }}, providers.ErrUnavailable},
		{"102 private parts", providertest.Behavior{Keys: func(set []map[string]any) any { set[0]["d"] = "AAAA"; return set }}, providers.ErrUnavailable},
		{"102 for another algorithm", providertest.Behavior{Keys: func(set []map[string]any) any { set[0]["alg"] = "RS512"; return set }}, refused},
		{"102 none", providertest.Behavior{Keys: func([]map[string]any) any { return []any{} }}, providers.ErrUnavailable},
		{"102 an object", providertest.Behavior{Keys: func([]map[string]any) any { return jwk{} }}, providers.ErrUnavailable},
		{"102 no keys", providertest.Behavior{JWKS: providertest.Respond(200, "application/json", "{}")}, providers.ErrUnavailable},
		{"102 type of JWKS", providertest.Behavior{JWKS: providertest.Rewrite(func(a *providertest.Answer) { a.Header.Set("Content-Type", "application/jwk-set+json") })}, nil},
		{"102 5,000 keys", providertest.Behavior{Keys: func(set []map[string]any) any {
			all := make([]any, 0, 5001)
			for i := range 5000 {
				all = append(all, jwk{"kty": "OKP", "crv": "Ed25519", "kid": fmt.Sprint(i), "x": b64(strings.Repeat("x", 32))})
			}
			return append(all, set[0])
		}}, nil},
		{"102 RSA of more than 8192 bits only", providertest.Behavior{Keys: func(set []map[string]any) any {
			set[0]["n"] = b64(strings.Repeat("\xff", 1025))
			return set
		}}, providers.ErrUnavailable},
		{"102 sixteen keys without kid, ours last", unnamed(15), nil},
		{"102 seventeen keys without kid, ours last", unnamed(16), refused},
		{"98 redirect to another host", providertest.Behavior{JWKS: providertest.Redirect(302, "https://elsewhere.example/elsewhere")}, providers.ErrUnavailable},
		{"101 text/html", providertest.Behavior{JWKS: providertest.Rewrite(func(a *providertest.Answer) { a.Header.Set("Content-Type", "text/html") })}, providers.ErrUnavailable},
		{"101 404", providertest.Behavior{JWKS: providertest.Rewrite(func(a *providertest.Answer) { a.Status = 404 })}, providers.ErrUnavailable},
		{"101 more than 1 MiB", providertest.Behavior{JWKS: providertest.Pad(2 << 20)}, providers.ErrUnavailable},
		{"105 down", providertest.Behavior{JWKS: providertest.Fail(503, "x")}, providers.ErrUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, row.b)
			_, _, err := v.finish()
			is(t, err, row.want)
			v.requests("elsewhere", 0)
			v.requests("token", 1)
		})
	}
}

// unnamed publishes more keys of ours' kind in front of it, and names none.
func unnamed(more int) providertest.Behavior {
	return providertest.Behavior{
		Keys: func(set []map[string]any) any {
			all := make([]any, 0, more+1)
			for i := range more {
				all = append(all, map[string]any{"kty": "RSA", "e": "AQAB", "n": b64(strings.Repeat("\xff", 256-1) + string([]byte{byte(2*i + 1)}))})
			}
			delete(set[0], "kid")
			return append(all, set[0])
		},
		Header: providertest.Without("kid"),
	}
}

// Row 104: unknown key ids cause one request a minute, and a rotation is followed all the same.
func TestKeys_refetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{})
		v.mustFinish()
		v.requests("jwks", 1)
		v.s.Set(func(b *providertest.Behavior) { b.Header = providertest.With("kid", "made-up") })
		for range 100 {
			_, _, err := v.finish()
			is(t, err, providers.ErrToken)
		}
		v.requests("jwks", 2)
		time.Sleep(time.Minute)
		v.s.DropKeys() // C4, with a copy that is warm
		v.s.Set(func(b *providertest.Behavior) { b.Header = nil })
		v.mustFinish()
		v.requests("jwks", 3)
		time.Sleep(time.Minute)
		v.s.DropKeys() // and by a token that names none of them
		v.s.Set(func(b *providertest.Behavior) { b.Header = providertest.Without("kid") })
		v.mustFinish()
		v.requests("jwks", 4)
		v.s.Set(func(b *providertest.Behavior) { b.Header = nil })
		// A bad signature of a known key may be a good one of a new key with its name.
		time.Sleep(time.Minute)
		v.s.Set(func(b *providertest.Behavior) { b.IDToken = providertest.Flipped })
		for range 100 {
			_, _, err := v.finish()
			is(t, err, providers.ErrToken)
		}
		v.requests("jwks", 5)
	})
}

// A provider that changes a key, and not its name, is asked for the new one: of whatever kind, with a copy that is
// warm, and also where the change happens while people sign in.
func TestKeys_sameName(t *testing.T) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		synctest.Test(t, func(t *testing.T) {
			s := providertest.New(providertest.Config{Algorithm: alg, Behavior: providertest.Behavior{
				Keys: func(set []map[string]any) any {
					for _, k := range set {
						k["kid"] = "key"
					}
					return set
				},
				Header: providertest.With("kid", "key"),
			}})
			v := &visit{t, s, newOIDC(s), newFlow(), with(t.Context(), s.Transport())}
			v.p.Algorithms = []string{alg}
			v.mustFinish()
			for n := range 3 {
				s.DropKeys()
				tok, _ := v.mustFinish()
				if _, err := v.p.Refresh(v.ctx, tok); err != nil {
					t.Errorf("%s: refresh: %v", alg, err)
				}
				v.requests("jwks", n+2)
				s.DropKeys() // once more within a minute: that is what the limit costs
				_, _, err := v.finish()
				is(t, err, providers.ErrToken)
				v.requests("jwks", n+2)
				time.Sleep(time.Minute)
			}
		})
	}
}

// While the keys cannot be had, a signature that does not verify is not called a forgery.
func TestKeys_sameNameDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{})
		v.mustFinish()
		v.s.Set(func(b *providertest.Behavior) { b.IDToken, b.JWKS = providertest.Flipped, providertest.Fail(503, "x") })
		_, _, err := v.finish()
		is(t, err, providers.ErrUnavailable)
		v.s.Set(func(b *providertest.Behavior) { b.JWKS = nil })
		time.Sleep(time.Minute)
		_, _, err = v.finish()
		is(t, err, providers.ErrToken)
	})
}

// FAULTS F23: keys that were rotated while nobody can fetch them are no signature that is wrong. Nobody
// comes in unverified meanwhile, and everybody within seconds of its end.
func TestKeys_refetchDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{})
		v.mustFinish()
		v.s.RotateKey()
		v.s.Set(func(b *providertest.Behavior) { b.JWKS = providertest.Fail(503, "x") })
		for range 10 { // half a second apart
			_, _, err := v.finish()
			is(t, err, providers.ErrUnavailable)
			time.Sleep(500 * time.Millisecond)
		}
		v.requests("jwks", 4) // at 0, 1 and 3 s, after the first
		v.s.Set(func(b *providertest.Behavior) { b.JWKS = nil })
		time.Sleep(2 * time.Second)
		v.mustFinish()
		v.requests("jwks", 5)
	})
}

// Row 105: a program starts while its provider is down, asks with pauses, and goes on with what it has
// for a day.
func TestDiscovery_down(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outage := func(b *providertest.Behavior) {
			b.Discovery, b.JWKS = providertest.Fail(503, "x"), providertest.Fail(503, "x")
		}
		v := newVisit(t, providertest.Behavior{})
		v.s.Set(outage)
		for range 1000 {
			_, err := v.p.Begin(v.ctx, v.f)
			is(t, err, providers.ErrUnavailable)
		}
		v.requests("discovery", 1)
		for range 600 { // ten minutes, asked each second
			time.Sleep(time.Second)
			_, err := v.p.Begin(v.ctx, v.f)
			is(t, err, providers.ErrUnavailable)
		}
		if got := v.s.Ledger().Count("discovery"); got < 10 || got > 16 {
			t.Errorf("discovery requests in ten minutes: got %d, want 10 to 16", got)
		}
		v.s.SetBehavior(providertest.Behavior{})
		time.Sleep(time.Minute)
		v.mustFinish()
		v.s.Set(outage)
		for range 23 {
			time.Sleep(time.Hour)
			v.mustFinish()
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		_, err := v.p.Begin(v.ctx, v.f)
		is(t, err, providers.ErrUnavailable)
		v.s.SetBehavior(providertest.Behavior{})
		time.Sleep(time.Minute)
		v.mustFinish()
	})
}

// Row 106: what was pinned stays, whatever the metadata says later.
func TestDiscovery_pinned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{})
		v.mustFinish()
		v.s.SetBehavior(providertest.Behavior{
			Metadata: func(m map[string]any) {
				m["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "ES256"}
				delete(m, "code_challenge_methods_supported")
			},
		})
		time.Sleep(2 * time.Hour)
		v.mustFinish()
		synctest.Wait()
		v.requests("discovery", 2)
		for name, forge := range map[string]func(*draft) string{
			"none": providertest.Unsigned, "HS256": providertest.HS256Secret, "ES256": providertest.WithAlgorithm("ES256"),
		} {
			v.s.Set(func(b *providertest.Behavior) { b.IDToken = forge })
			if _, _, err := v.finish(); !errors.Is(err, providers.ErrToken) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		a := v.s.Ledger().Of("authorize")
		if got := a[len(a)-1].Query.Get("code_challenge_method"); got != "S256" {
			t.Errorf("code_challenge_method: got %q", got)
		}
	})
}

// One discovery serves all who wait for it, and the one who asked first may leave.
func TestDiscovery_shared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{Discovery: providertest.Delay(5 * time.Second)})
		first, leave := context.WithCancel(v.ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := v.p.Begin(first, v.f)
			is(t, err, context.Canceled)
			is(t, err, providers.ErrUnavailable)
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				_, err := v.p.Begin(v.ctx, v.f)
				is(t, err, nil)
			})
		}
		synctest.Wait()
		leave()
		wg.Wait()
		v.requests("discovery", 1)
	})
}

func TestDiscovery_hang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{Discovery: providertest.Hang})
		start := time.Now()
		_, err := v.p.Begin(v.ctx, v.f)
		is(t, err, providers.ErrUnavailable)
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("took %v, want 10 s", got)
		}
	})
}

// Row 100: nothing in an answer or a flow leads to another issuer.
func TestDiscovery_chosen(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	a := v.answer()
	a.Set("iss", "https://elsewhere.example")
	a.Set("issuer", "https://elsewhere.example")
	is(t, v.p.Check(v.ctx, v.f, a), providers.ErrAnswer)
	v.requests("elsewhere", 0)
	for _, r := range v.s.Ledger().Requests {
		if r.Method == http.MethodGet && strings.Contains(r.URL, "elsewhere") {
			t.Errorf("asked %s", r.URL)
		}
	}
}

// broken is a transport of the app's own, with a mistake in it.
type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) { panic("not yet written") }

// What fetches a document for everybody takes nobody along when it panics, and is tried again.
func TestDiscovery_panic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := providertest.New(providertest.Config{})
		p := newOIDC(s)
		if _, err := p.Begin(with(t.Context(), broken{}), newFlow()); !errors.Is(err, providers.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		time.Sleep(time.Minute)
		if _, err := p.Begin(with(t.Context(), s.Transport()), newFlow()); err != nil {
			t.Error(err)
		}
	})
}
