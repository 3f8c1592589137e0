package providers_test

import (
	"context"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// Rows of group E: whatever the token endpoint answers, a code is sent once.
func TestFinish_once(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault providertest.Fault
		want  error // besides, for the protocol's own: code and status
		code  string
		stat  int
	}{
		{"59 400", providertest.Fail(400, "invalid_grant"), nil, "invalid_grant", 400},
		{"59 401", providertest.Fail(401, "invalid_client"), nil, "invalid_client", 401},
		{"59 403 with an empty body", providertest.Respond(403, "text/plain", ""), nil, "", 403},
		{"59 400 with other JSON", providertest.Respond(400, "application/json", `{"message":"no"}`), nil, "", 400},
		{"59 500", providertest.Fail(500, "server_error"), providers.ErrUnavailable, "", 500},
		{"59 503 of HTML", providertest.Respond(503, "text/html", "<p>invalid_grant"), providers.ErrUnavailable, "", 503},
		{"59 429", providertest.Fail(429, "slow_down"), providers.ErrUnavailable, "", 429},
		{"60 reset after the request", providertest.Reset, providers.ErrUnavailable, "", 0},
		{"60 answer lost", providertest.LoseAnswer, providers.ErrUnavailable, "", 0},
		{"60, 73 answer cut", providertest.Truncate, providers.ErrUnavailable, "", 0},
		{"61 301", providertest.Redirect(301, "/elsewhere"), providers.ErrToken, "", 0},
		{"61 302", providertest.Redirect(302, "/elsewhere"), providers.ErrToken, "", 0},
		{"61 303", providertest.Redirect(303, "/elsewhere"), providers.ErrToken, "", 0},
		{"61 307", providertest.Redirect(307, "/elsewhere"), providers.ErrToken, "", 0},
		{"61 308", providertest.Redirect(308, "/elsewhere"), providers.ErrToken, "", 0},
		{"61 307 to another host", providertest.Redirect(307, "https://elsewhere.example/elsewhere"), providers.ErrToken, "", 0},
		{"73 more than 1 MiB", providertest.Pad(2 << 20), providers.ErrToken, "", 0},
		{"73 gzip bomb", providertest.GzipBomb(8 << 20), providers.ErrToken, "", 0},
	} {
		for _, listen := range []bool{false, true} {
			name := row.name + ", in process"
			if listen {
				name = row.name + ", over sockets"
			}
			t.Run(name, func(t *testing.T) {
				v := newVisit(t, providertest.Behavior{})
				if listen {
					v.s = providertest.NewServer(t)
					v.p, v.ctx = newOIDC(v.s), t.Context()
				}
				// A connection that was used before is one that net/http would retry on.
				v.mustFinish()
				v.s.ResetLedger()
				v.s.Set(func(b *providertest.Behavior) { b.Token = row.fault })
				tok, id, err := v.finish()
				if err == nil || tok != nil || id != nil {
					t.Fatalf("Finish: got %v", err)
				}
				if row.want != nil {
					is(t, err, row.want)
				}
				if row.stat != 0 {
					refused(t, err, row.code, row.stat)
				}
				v.requests("token", 1)
				v.requests("elsewhere", 0)
				v.requests("other", 0)
			})
		}
	}
}

func TestFinish_retryAfter(t *testing.T) {
	for _, row := range []struct {
		name, header string
		want         time.Duration
	}{
		{"seconds", "7", 7 * time.Second},
		{"capped", "86400", time.Hour},
		{"a date that has passed", "Wed, 21 Oct 2015 07:28:00 GMT", 0},
		{"nonsense", "-3", 0},
		{"more than fits", "99999999999999999999", time.Hour},
		{"a date that is far ahead", "Fri, 31 Dec 9999 23:59:59 GMT", time.Hour},
		{"a fraction, which is none", "7.5", 0},
		{"none", "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newVisit(t, providertest.Behavior{Token: providertest.Respond(503, "text/plain", "", "Retry-After", row.header)})
			_, _, err := v.finish()
			if e := refused(t, err, "", 503); e.RetryAfter != row.want {
				t.Errorf("RetryAfter: got %v, want %v", e.RetryAfter, row.want)
			}
		})
	}
}

// Row 62, conformance oidcc-client-test-client-secret-basic.
func TestFinish_basic(t *testing.T) {
	const id, secret = "app:1 é", "s p:a%c+e/~é&="
	p, s := tokenServer(always(200, "application/json", `{"access_token":"a","token_type":"Bearer"}`))
	p.ClientID, p.ClientSecret = id, secret
	if _, _, err := p.Finish(with(t.Context(), s), newFlow(), good()); err != nil {
		t.Fatal(err)
	}
	encoded, _ := strings.CutPrefix(s.sent[0].Header.Get("Authorization"), "Basic ")
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(b), ":")
	if strings.ContainsAny(user+password, " :é&=") {
		t.Error("credentials are not form-encoded")
	}
	gotID, _ := url.QueryUnescape(user)
	gotSecret, _ := url.QueryUnescape(password)
	if gotID != id || gotSecret != secret {
		t.Errorf("credentials: got %q %q", gotID, gotSecret)
	}
	for _, name := range []string{"client_id", "client_secret"} {
		if s.forms[0].Has(name) {
			t.Errorf("%s is in the form too", name)
		}
	}
}

func TestFinish_tokenParams(t *testing.T) {
	p, s := tokenServer(always(200, "application/json", `{"access_token":"a","token_type":"Bearer"}`))
	p.TokenParams = url.Values{"audience": {"api"}}
	p.AuthMethod = providers.ClientSecretPost
	if _, _, err := p.Finish(with(t.Context(), s), newFlow(), good("code", "a&redirect_uri=x😀")); err != nil { // 27
		t.Fatal(err)
	}
	want := url.Values{
		"grant_type": {"authorization_code"}, "code": {"a&redirect_uri=x😀"}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"client_id": {"app"}, "client_secret": {"app-secret"}, "audience": {"api"},
	}
	if got := s.forms[0]; got.Encode() != want.Encode() {
		t.Errorf("form:\n got %s\nwant %s", got.Encode(), want.Encode())
	}
	if got := s.sent[0].URL.RawQuery; got != "" {
		t.Error("something is in the query")
	}
}

// Row 65: every phase is bounded, by 10 s in all unless configured.
func TestFinish_timeout(t *testing.T) {
	for _, row := range []struct {
		name    string
		fault   providertest.Fault
		timeout time.Duration
		want    time.Duration
	}{
		{"no answer", providertest.Hang, 0, 10 * time.Second},
		{"no answer, 2 s", providertest.Hang, 2 * time.Second, 2 * time.Second},
		{"no body", providertest.HangBody, 0, 10 * time.Second},
		{"73 a byte each second", providertest.Drip(time.Second), 0, 10 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVisit(t, providertest.Behavior{Token: row.fault})
				v.p.Timeout = row.timeout
				a := v.answer()
				start := time.Now()
				_, _, err := v.p.Finish(v.ctx, v.f, a)
				is(t, err, providers.ErrUnavailable)
				if got := time.Since(start); got != row.want {
					t.Errorf("took %v, want %v", got, row.want)
				}
				v.requests("token", 1)
			})
		})
	}
}

// Row 64: a certificate that does not verify is the end, and the code is not sent.
func TestFinish_certificate(t *testing.T) {
	var sent atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent.Add(1) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	p, _ := tokenServer(nil)
	p.TokenURL = server.URL
	_, _, err := p.Finish(t.Context(), newFlow(), good())
	is(t, err, providers.ErrUnavailable)
	if got := sent.Load(); got != 0 {
		t.Errorf("requests: got %d, want 0", got)
	}
}

// The client that the context carries may follow redirects and keep cookies: for us it does neither.
func TestFinish_foreignClient(t *testing.T) {
	jar := &countingJar{}
	s := providertest.New(providertest.Config{Behavior: providertest.Behavior{Token: providertest.Redirect(307, "/elsewhere")}})
	client := &http.Client{Transport: s.Transport(), Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	v := &visit{t, s, newOIDC(s), newFlow(), context.WithValue(t.Context(), oauth2.HTTPClient, client)}
	_, _, err := v.finish()
	is(t, err, providers.ErrToken)
	v.requests("elsewhere", 0)
	if jar.asked > 0 {
		t.Error("cookies of one sign-in are sent with another")
	}
}

type countingJar struct{ asked int }

func (j *countingJar) SetCookies(*url.URL, []*http.Cookie) { j.asked++ }

func (j *countingJar) Cookies(*url.URL) []*http.Cookie {
	j.asked++
	return nil
}
