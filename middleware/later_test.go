package middleware_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/internal/aead"
	"github.com/returnleg/returnleg/internal/packed"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/sessionstore"
)

// later is a store into which a later version writes records of one kind, in words of its own.
type later struct {
	sessionstore.Store
	kind  string
	words func(value string) string
}

func (l *later) Update(ctx context.Context, k sessionstore.Key, c sessionstore.Change) error {
	if k.Kind == l.kind {
		set := append([]sessionstore.Field(nil), c.Set...)
		for i := range set {
			set[i].Value = l.words(set[i].Value)
		}
		c.Set = set
	}
	return l.Store.Update(ctx, k, c)
}

// F38: a redemption that ended in a way, or for a reason, that only a later version has is over for
// this one as well: it sends no code, and answers with a page.
func TestLater_redemption(t *testing.T) {
	const phaseDone, phaseFailed = "\x02", "\x03"
	as := func(was, is string) func(string) string {
		return func(value string) string {
			if rest, ok := strings.CutPrefix(value, was); ok {
				return is + rest
			}
			return value
		}
	}
	rows := []struct {
		name   string
		denied bool
		words  func(value string) string
		status int
	}{
		{"a reason", true, func(v string) string { return strings.Replace(v, "denied", "refuse", 1) }, http.StatusServiceUnavailable},
		{"another end of what failed", true, as(phaseFailed, "\x09"), http.StatusServiceUnavailable},
		{"another end of what went well", false, as(phaseDone, "\x09"), http.StatusServiceUnavailable},
		{"a further member", true, func(v string) string { return string(packed.AppendString([]byte(v), "further")) }, http.StatusForbidden},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				k := newKit(t, change)
				k.auth.SetStore(&later{k.auth.Store(), "redemption", row.words})
				b := k.browser()
				out := b.start("idp", "/whoami")
				callback := ""
				if row.denied {
					callback = b.deny(out, "ada")
				} else {
					callback = b.approve(out, "ada")
				}
				k.serve(b.callback(callback)) // the answer is lost, so nobody is signed in
				sent := k.redeems()
				if resp := b.back(callback); resp.StatusCode != row.status || !strings.Contains(text(resp), "</html>") {
					t.Errorf("status %d, want a page with %d; body: %s", resp.StatusCode, row.status, text(resp))
				}
				if n := k.redeems(); n != sent {
					t.Errorf("%d token requests, want %d", n, sent)
				}
			})
		}
	})
}

// F38: what goes through the browser may go on where ours ends; to be sent for something that only a
// later version knows is nothing that this one acts on.
func TestLater_flow(t *testing.T) {
	purpose := len(packed.AppendString(nil, "plain")) // its place in the flow: behind the provider
	rows := []struct {
		name string
		flow func(plain []byte) []byte
		want bool
	}{
		{"as it was", func(b []byte) []byte { return b }, true},
		{"a further member", func(b []byte) []byte { return packed.AppendString(b, "further") }, true},
		{"another purpose", func(b []byte) []byte { b[purpose] = 4; return b }, false},
		{"no purpose", func(b []byte) []byte { b[purpose] = 0; return b }, false},
	}
	keys := sessionstore.NewKeyring()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := newKit(t, func(_ *kit, c *middleware.Config) { c.Keys = keys })
			b := k.browser()
			b.signIn("idp", "ada", "/")
			out := k.location(b.post("/auth/plain/login", url.Values{"purpose": {"link"}, "return_to": {"/whoami"}}))
			u, err := url.Parse(b.approve(out, "grace"))
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			q.Set("state", b.reseal(q.Get("state"), keys[0], row.flow))
			u.RawQuery = q.Encode()
			b.back(u.String())
			if n := k.plain.Ledger().Count("token"); n == 1 != row.want {
				t.Errorf("%d token requests, want one: %v", n, row.want)
			}
			if got := b.whoami(); got != "Ada Lovelace" {
				t.Errorf("signed in as %q", got)
			}
		})
	}
}

// reseal returns a state whose flow was changed, as the holder of the key would make it.
func (b *browser) reseal(state string, key sessionstore.RingKey, change func(plain []byte) []byte) string {
	b.k.t.Helper()
	sealed, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil {
		b.k.t.Fatal(err)
	}
	head, _, _ := strings.Cut(b.cookies()[b.bindings()[0]], ".")
	binding, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		b.k.t.Fatal(err)
	}
	ring := aead.NewSecret(key.Secret).Derive("middleware", "binding", appURL)
	bound := aead.NewSecret(ring[:]).Derive("secret", "__Host-rl-bind-", string(binding[18:]))
	aad := packed.AppendString(packed.AppendString(nil, appURL), string(bound[:]))
	derived := aead.NewSecret(key.Secret).Derive("middleware", "state", appURL)
	secret := aead.NewSecret(derived[:])
	seed, plain, err := secret.OpenOnce(sealed[3:], aad)
	if err != nil {
		b.k.t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(sealed[:3:3], secret.SealOnce(seed, change(plain), aad)...))
}

// F38: the cookie that binds a sign-in to its browser may have parts that only a later version reads.
func TestLater_binding(t *testing.T) {
	k := newKit(t)
	k.mux.Handle("/gated", k.auth.Require(middleware.Need{Provider: "idp"})(http.NotFoundHandler()))
	b := k.browser()
	callback := b.approve(k.location(b.open("/gated")), "ada")
	name := b.bindings()[0]
	b.setCookie(name, b.cookies()[name]+".~further.1.further-still")
	if got := k.location(b.back(callback)); got != "/gated" {
		t.Errorf("landed at %q, want /gated", got)
	}
	// Nor does it hide what is there: the guard against a loop knows the path.
	b.setCookie("__Host-rl", "")
	if resp := b.open("/gated"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a second automatic sign-in within a minute: status %d, want 403", resp.StatusCode)
	}
}
