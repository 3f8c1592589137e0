package providers_test

import (
	"context"
	"encoding/json"
	"net"
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

// Row 99: what a name resolves to is judged when it is dialed.
func TestNewClient_addresses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, url string
		issuer    string // whose metadata names the URL; "" if it is configured
		ok        bool
	}{
		{"loopback, configured", server.URL, "", true},
		{"loopback of a loopback issuer", server.URL, "127.0.0.1", true},
		{"loopback of an issuer that resolves to it", server.URL, "localhost", true},
		{"99 loopback of an issuer elsewhere", server.URL, "idp.invalid", false},
		{"99 a name that resolves to loopback", "http://localhost:" + u.Port(), "idp.invalid", false},
		{"99 private, of an issuer elsewhere", "http://10.255.255.1/", "idp.invalid", false},
		{"99 a carrier's own network, of an issuer elsewhere", "http://100.64.0.1/", "idp.invalid", false},
		{"99 cloud metadata of Alibaba", "http://100.100.100.200/", "", false},
		{"99 broadcast", "http://255.255.255.255/", "", false},
		{"99 cloud metadata, configured", "http://169.254.169.254/latest/meta-data", "", false},
		{"99 cloud metadata of itself", "http://169.254.169.254/latest/meta-data", "169.254.169.254", false},
		{"99 cloud metadata as IPv6", "http://[::ffff:169.254.169.254]/", "", false},
		{"99 cloud metadata of AWS as IPv6", "http://[fd00:ec2::254]/", "", false},
		{"99 link-local", "http://[fe80::1]/", "", false},
		{"99 multicast", "http://224.0.0.1/", "", false},
		{"99 unspecified", "http://0.0.0.0:" + u.Port(), "", false},
		{"99 unspecified as IPv6", "http://[::]:" + u.Port(), "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := t.Context()
			if row.issuer != "" {
				ctx = providers.Within(ctx, row.issuer)
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, row.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			client := providers.NewClient()
			defer client.CloseIdleConnections()
			resp, err := client.Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != row.ok {
				t.Fatalf("got %v, want success: %v", err, row.ok)
			}
			if err != nil && !strings.Contains(err.Error(), "not one to connect to") {
				t.Errorf("got %v: it was tried", err)
			}
		})
	}
}

// No environment sends secrets through somebody else.
func TestNewClient_proxy(t *testing.T) {
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	resp, err := providers.NewClient().Get("http://idp.invalid/")
	if err == nil {
		_ = resp.Body.Close()
	}
	if err == nil || asked.Load() > 0 {
		t.Error("168: the proxy of the environment is used")
	}
}

// Row 65: a server that takes the connection and says nothing, where TLS is expected.
func TestFinish_stall(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	p, _ := tokenServer(nil)
	p.TokenURL = "https://" + l.Addr().String() + "/token"
	p.Timeout = 50 * time.Millisecond
	start := time.Now()
	_, _, err = p.Finish(t.Context(), newFlow(), good())
	is(t, err, providers.ErrUnavailable)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("took %v", took)
	}
}

// Row 64: plain http is refused before anything is looked up or connected to.
func TestInsecure(t *testing.T) {
	p, s := tokenServer(nil)
	p.TokenURL = "http://id.example/token"
	_, _, err := p.Finish(with(t.Context(), s), newFlow(), good())
	is(t, err, providers.ErrInsecure)
	o := &providers.OIDC{ID: "corp", Issuer: "http://id.example", ClientID: "app"}
	_, err = o.Begin(with(t.Context(), s), newFlow())
	is(t, err, providers.ErrInsecure)
	if len(s.sent) > 0 {
		t.Error("something was sent")
	}
}

// Connections are kept, however many sign in at once: a new one with TLS costs fifty times a kept one.
func TestNewClient_keepsConnections(t *testing.T) {
	const together, rounds = 32, 10
	var opened atomic.Int64
	gate := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-gate }))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := providers.NewClient()
	defer client.CloseIdleConnections()
	for range rounds {
		done := make(chan error, together)
		for range together {
			go func() {
				resp, err := client.Get(server.URL)
				if err == nil {
					err = resp.Body.Close()
				}
				done <- err
			}()
		}
		for range together {
			gate <- struct{}{}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := opened.Load(); got > 2*together {
		t.Errorf("connections: got %d for %d requests", got, together*rounds)
	}
}

// noting is a transport that notes which issuer's metadata led each request.
type noting struct {
	http.RoundTripper
	led []string
}

func (n *noting) RoundTrip(r *http.Request) (*http.Response, error) {
	n.led = append(n.led, providers.LedBy(r.Context()))
	return n.RoundTripper.RoundTrip(r)
}

// Row 99: every request of an OIDC provider goes where metadata says, and is dialed accordingly.
func TestOIDC_led(t *testing.T) {
	v := newVisit(t, providertest.Behavior{})
	n := &noting{RoundTripper: v.s.Transport()}
	v.ctx, v.p.UserInfo = with(t.Context(), n), true
	tok, _ := v.mustFinish()
	if _, err := v.p.Refresh(v.ctx, tok); err != nil {
		t.Fatal(err)
	}
	if err := v.p.Revoke(v.ctx, tok); err != nil {
		t.Fatal(err)
	}
	if len(n.led) < 7 { // metadata, token, keys, userinfo, token, and two tokens to revoke
		t.Errorf("%d requests", len(n.led))
	}
	for _, issuer := range n.led {
		if issuer != "idp.example" {
			t.Errorf("led by %q, want the issuer", n.led)
		}
	}
}

// The timeout of a client in the context holds, if it is shorter than the provider's own.
func TestFinish_clientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisit(t, providertest.Behavior{Token: providertest.Hang})
		v.ctx = context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: v.s.Transport(), Timeout: time.Second})
		began := time.Now()
		_, _, err := v.finish()
		is(t, err, providers.ErrUnavailable)
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// What is configured is not what the metadata would rather have, and what is signed is not what userinfo
// says.
func TestOIDC_configured(t *testing.T) {
	v := newVisit(t, providertest.Behavior{
		Metadata: func(m map[string]any) {
			m["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
		},
		Person: func(_ providertest.Account, c map[string]any) { c["name"], c["zone"] = "Somebody Else", "UTC" },
	})
	v.p.AuthMethod, v.p.UserInfo = providers.ClientSecretBasic, true
	_, id := v.mustFinish()
	if got := v.s.Ledger().Redeems()[0].Auth; got != "client_secret_basic" {
		t.Errorf("authenticated by %s", got)
	}
	var claims struct{ Name, Zone string }
	if err := json.Unmarshal(id.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Name != "Ada Lovelace" || claims.Zone != "UTC" || id.Name != "Ada Lovelace" {
		t.Errorf("name %q, %q and zone %q", claims.Name, id.Name, claims.Zone)
	}
}
