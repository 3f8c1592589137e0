package frameworks_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/metadata"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

func TestPrograms(t *testing.T) {
	for _, row := range []struct {
		name string
		app  func(*middleware.Auth) http.Handler
		path string
		want string
	}{
		{"net/http", netHTTP, "/members/me", "Hello, Ada Lovelace"},
		{"chi", chiRouter, "/members/me", "Hello, Ada Lovelace"},
		{"gorilla/mux", gorillaRouter, "/members/me", "Hello, Ada Lovelace"},
		{"connect-go", connectService, "/members/me", "Hello, Ada Lovelace"},
		{"templ", templPage, "/members/me", "<p>Hello, Ada Lovelace</p>"},
		{"CSRF", crossOrigin, "/members/me", "Hello, Ada Lovelace"},
		{"OpenTelemetry", traced, "/members/me", "Hello, Ada Lovelace"},
		{"SSE", events, "/members/events", "data: 0 for Ada Lovelace\n\ndata: 1 for Ada Lovelace\n\ndata: 2 for Ada Lovelace\n\n"},
		{"WebSocket", socket, "/members/me", "Hello, Ada Lovelace"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := open(t, row.app)
			if resp, got := b.do(http.MethodGet, row.path, ""); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("a script that is signed out: %s %q", resp.Status, got)
			}
			if resp, got := b.page(row.path); got != row.want || resp.Request.URL.Path != row.path {
				t.Errorf("a page: %s %s %q", resp.Request.URL, resp.Status, got)
			}
		})
	}
}

func TestConnect(t *testing.T) {
	const procedure = "/practice.v1.MemberService/Name"
	b := open(t, connectService)
	if resp, got := b.do(http.MethodPost, procedure, "{}", "Content-Type: application/json"); resp.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(got, `"unauthenticated"`) {
		t.Errorf("signed out: %s %q", resp.Status, got)
	}
	b.page("/members/me")
	if resp, got := b.do(http.MethodPost, procedure, "{}", "Content-Type: application/json"); got != `"Ada Lovelace"` {
		t.Errorf("signed in: %s %q", resp.Status, got)
	}
	if resp, _ := b.do(http.MethodPost, procedure, "{}", "Content-Type: application/json", "Sec-Fetch-Site: cross-site"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site: %s", resp.Status)
	}
}

// The route stands for one that generated code registers: it asks for the metadata as that does.
func TestGateway(t *testing.T) {
	b := open(t, func(auth *middleware.Auth) http.Handler {
		gateway := gatewayMux()
		err := gateway.HandlePath(http.MethodGet, "/v1/me", func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
			ctx, err := runtime.AnnotateContext(r.Context(), gateway, r, "/practice.v1.MemberService/Name")
			if err != nil {
				t.Error(err)
			}
			md, _ := metadata.FromOutgoingContext(ctx)
			_, _ = w.Write([]byte(strings.Join(md.Get("user-id"), ",")))
		})
		if err != nil {
			t.Fatal(err)
		}
		return grpcGateway(auth, gateway)
	})
	if resp, _ := b.do(http.MethodGet, "/v1/me", "", "Grpc-Metadata-User-Id: mallory"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("signed out: %s", resp.Status)
	}
	if resp, got := b.page("/v1/me"); !strings.HasSuffix(got, "|practice-ada") {
		t.Errorf("signed in: %s %q", resp.Status, got)
	}
	if _, got := b.do(http.MethodGet, "/v1/me", "", "Grpc-Metadata-User-Id: mallory"); strings.Contains(got, "mallory") {
		t.Errorf("a user id that the client made up: %q", got)
	}
}

func TestSocket(t *testing.T) {
	b := open(t, socket)
	b.page("/members/me")
	for _, row := range []struct{ origin, want string }{
		{b.url, "Hello, Ada Lovelace"},
		{"https://evil.example", ""},
	} {
		conn, _, err := websocket.Dial(t.Context(), b.url+"/members/socket", &websocket.DialOptions{
			HTTPClient: b.client, HTTPHeader: http.Header{"Origin": {row.origin}},
		})
		if err != nil {
			if row.want != "" {
				t.Errorf("%s: %v", row.origin, err)
			}
			continue
		}
		_, got, _ := conn.Read(t.Context())
		_ = conn.CloseNow()
		if string(got) != row.want {
			t.Errorf("%s: %q", row.origin, got)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	b := open(t, crossOrigin)
	b.page("/members/me")
	if resp, _ := b.do(http.MethodPost, "/members/note", "", "Sec-Fetch-Site: cross-site"); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another site: %s", resp.Status)
	}
	if resp, _ := b.do(http.MethodPost, "/members/note", "", "Sec-Fetch-Site: same-origin"); resp.StatusCode != http.StatusConflict {
		t.Errorf("without a page tag: %s", resp.Status)
	}
}

// leave loads a page of the app that browsers see at url, and returns where the sign-in sends the browser, the redirect URI
// that it asks for, and the page that the login path is to come back to.
func leave(t *testing.T, app http.Handler, url, target string) (to *url.URL, cookies []*http.Cookie) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = strings.TrimPrefix(url, "https://")
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	resp := w.Result()
	to, err := resp.Location()
	if err != nil {
		t.Fatalf("%s %s: %s, %v", url, target, resp.Status, err)
	}
	return to, resp.Cookies()
}

func TestBelowPath(t *testing.T) {
	b := providers.GitHub("id", "secret")
	for _, row := range []struct {
		name   string
		app    func([]providers.Provider) (http.Handler, error)
		target string
	}{
		{"kept", belowPath, "/shop/members/me?x=1"},
		{"stripped", strippedPath, "/members/me?x=1"},
	} {
		app, err := row.app([]providers.Provider{b})
		if err != nil {
			t.Fatal(err)
		}
		to, cookies := leave(t, app, "https://www.example.com", row.target)
		if got := to.Query().Get("redirect_uri"); got != "https://www.example.com/shop/auth/github/callback" {
			t.Errorf("%s: %s", row.name, to)
		}
		for _, c := range cookies {
			if !strings.HasPrefix(c.Name, "__Host-rl.shop.auth") || !c.Secure {
				t.Errorf("%s: cookie %s, Secure %v", row.name, c.Name, c.Secure)
			}
		}
	}
}

func TestTenants(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	app, err := tenants([]middleware.Config{
		{BaseURL: "https://a.example.com", Providers: []providers.Provider{providers.GitHub("client-a", "secret")}, Logger: quiet},
		{BaseURL: "https://b.example.com", Providers: []providers.Provider{providers.GitHub("client-b", "secret")}, Logger: quiet},
	}, netHTTP)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		to, _ := leave(t, app, "https://"+name+".example.com", "/members/me")
		if q := to.Query(); q.Get("client_id") != "client-"+name ||
			q.Get("redirect_uri") != "https://"+name+".example.com/auth/github/callback" {
			t.Errorf("%s: %s", name, to)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/members/me", nil)
	r.Host = "c.example.com"
	if app.ServeHTTP(w, r); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", w.Code)
	}
}

func TestBehindTLS(t *testing.T) {
	t.Setenv("GITHUB_CLIENT_ID", "id")
	t.Setenv("GITHUB_CLIENT_SECRET", "secret")
	server, err := behindTLS()
	if err != nil {
		t.Fatal(err)
	}
	to, cookies := leave(t, server.Handler, "https://app.example.com", "/members/me")
	if got := to.Query().Get("redirect_uri"); got != "https://app.example.com/auth/github/callback" {
		t.Errorf("redirect_uri %q", got)
	}
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure {
			t.Errorf("cookie %s, Secure %v", c.Name, c.Secure)
		}
	}
}

// A span has neither the code nor the state of a callback.
func TestTraced(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	b := open(t, traced)
	b.page("/members/me")
	callback := false
	for _, span := range spans.Ended() {
		for _, a := range span.Attributes() {
			callback = callback || a.Value.AsString() == "/auth/practice/callback"
			if v := a.Value.String(); strings.Contains(v, "code=") || strings.Contains(v, "state=") {
				t.Errorf("%s is %s", a.Key, v)
			}
		}
	}
	if !callback {
		t.Errorf("no span of the callback among %d", len(spans.Ended()))
	}
}
