package providers_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers"
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
