package middleware_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// listen has every connection to a new address answered by serve, and returns the address.
func listen(t *testing.T, serve func(c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

// answers returns what answers a request, once it was read, with these bytes and the end of the connection.
func answers(answer string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, answer)
		}
	}
}

// apiAt returns a transport that reaches the API, and nothing else, at this address over plain http, by
// real connections.
func apiAt(k *kit, address string, real *http.Transport) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, "/me") {
			return k.RoundTrip(r)
		}
		r = r.Clone(r.Context())
		r.URL.Host = address
		if !strings.HasPrefix(r.URL.Path, "/me/tls") {
			r.URL.Scheme = "http"
		}
		return real.RoundTrip(r)
	})
}

var errOfTheApp = errors.New("of the app")

// An API that cannot be reached, or does not speak HTTP, is down, like one that hangs. What the app did
// itself, or what the kit refused, is not.
func TestClient_apiDown(t *testing.T) {
	nobody := listen(t, func(*net.TCPConn) {})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	two := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/me/tls" {
			_, _ = io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	}))
	two.EnableHTTP2 = true
	two.Config.ErrorLog = log.New(io.Discard, "", 0)
	two.StartTLS()
	t.Cleanup(two.Close)
	trusting := two.Client().Transport.(*http.Transport)

	get := func(ctx context.Context, path string) error {
		resp, err := middleware.Client(ctx, "").Get(path)
		if err != nil {
			return err
		}
		return readAll(resp)
	}
	me := func(ctx context.Context) error { return get(ctx, "/me") }
	tls := func(ctx context.Context) error { return get(ctx, "/me/tls") }
	send := func(change func(*http.Request) *http.Request) func(context.Context) error {
		return func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/me", nil)
			if err != nil {
				return err
			}
			resp, err := middleware.Client(ctx, "").Do(change(r))
			if err != nil {
				return err
			}
			return readAll(resp)
		}
	}
	canceled := func(after time.Duration) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			if after == 0 {
				cancel()
			}
			time.AfterFunc(after, cancel)
			return send(func(r *http.Request) *http.Request { return r.WithContext(ctx) })(ctx)
		}
	}
	rows := []struct {
		name string
		at   string
		real *http.Transport // nil: one with its defaults
		ask  func(context.Context) error
		want string // reason
	}{
		{"connection refused", closed.Addr().String(), nil, me, "api_down"},
		{"connection reset", listen(t, func(c *net.TCPConn) { _ = c.SetLinger(0) }), nil, me, "api_down"},
		{"closed without an answer", listen(t, answers("")), nil, me, "api_down"},
		{"garbage", listen(t, answers("\x00\x01 secret\r\n\r\n")), nil, me, "api_down"},
		{"a malformed status", listen(t, answers("HTTP/1.1 secret OK\r\n\r\n")), nil, me, "api_down"},
		{"a malformed header", listen(t, answers("HTTP/1.1 200 OK\r\nsecret\r\n\r\n")), nil, me, "api_down"},
		{"cut off in the header", listen(t, answers("HTTP/1.1 200 OK\r\nA: b")), nil, me, "api_down"},
		{"cut off in the body", listen(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret")), nil, me, "api_down"},
		{"cut off in a chunk", listen(t, answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nsecret")), nil, me, "api_down"},
		{"a body that is not gzip", listen(t, answers("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nsecret")), nil, me, "api_down"},
		{"no head in time", listen(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), &http.Transport{ResponseHeaderTimeout: 10 * time.Millisecond}, me, "api_down"},
		{"no TLS", listen(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, "HTTP/1.1 400 secret\r\n\r\n") }), nil, tls, "api_down"},
		{"another's certificate", two.Listener.Addr().String(), &http.Transport{}, tls, "api_down"},
		{"HTTP/2 cut off", two.Listener.Addr().String(), trusting, tls, "api_down"},
		{"HTTP/2 without an answer", two.Listener.Addr().String(), trusting, func(ctx context.Context) error { return get(ctx, "/me/tls/2") }, "api_down"},
		{"no such name", nobody, &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}
		}}, me, "api_down"},
		{"another address than the API's", closed.Addr().String(), nil, func(ctx context.Context) error {
			return get(ctx, "http://127.0.0.1:1/me")
		}, "handler"}, // [middleware.ErrOrigin]
		{"without the token", closed.Addr().String(), nil, send(func(r *http.Request) *http.Request {
			r = r.WithContext(middleware.WithoutToken(r.Context()))
			r.URL, _ = url.Parse("https://files.example/me")
			return r
		}), "api_down"},
		{"out of time", nobody, &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, context.DeadlineExceeded
		}}, me, "api_down"},

		{"another origin", nobody, nil, func(ctx context.Context) error { return get(ctx, "https://other.example/me") }, "handler"},
		{"a redirect to another origin", listen(t, answers("HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n")), nil, me, "handler"},
		{"given up by the app", nobody, nil, canceled(0), "handler"},
		{"given up by the app while it waits", listen(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), nil, canceled(10 * time.Millisecond), "handler"},
		{"a body of the app's that fails", listen(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), nil, send(func(r *http.Request) *http.Request {
			r.Method, r.Body = http.MethodPost, io.NopCloser(iotest.ErrReader(errOfTheApp))
			return r
		}), "handler"},
		{"a header that cannot be sent", nobody, nil, send(func(r *http.Request) *http.Request {
			r.Header.Set("X", "a\nb")
			return r
		}), "handler"},
		{"a method that cannot be sent", nobody, nil, send(func(r *http.Request) *http.Request {
			r.Method = "GET IT"
			return r
		}), "handler"},
		{"an answer that the app cannot read", listen(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{")), nil, func(ctx context.Context) error {
			resp, err := middleware.Client(ctx, "").Get("/me")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			return json.NewDecoder(resp.Body).Decode(&struct{}{})
		}, "handler"},
		{"read after it was closed", listen(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{")), nil, func(ctx context.Context) error {
			resp, err := middleware.Client(ctx, "").Get("/me")
			if err != nil {
				return err
			}
			_ = resp.Body.Close()
			_, err = io.ReadAll(resp.Body)
			return err
		}, "handler"},
	}
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				real := row.real
				if real == nil {
					real = &http.Transport{}
				}
				t.Cleanup(real.CloseIdleConnections)
				k := newKit(t, change, func(k *kit, c *middleware.Config) {
					c.HTTPClient = &http.Client{Transport: apiAt(k, row.at, real)}
				})
				var got error
				k.mux.Handle("/page", middleware.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
					got = row.ask(r.Context())
					return got
				}))
				b := k.browser()
				b.signIn("idp", "ada", "/")
				resp := b.fetch("/page")
				var p middleware.Problem
				if err := json.Unmarshal([]byte(text(resp)), &p); err != nil {
					t.Fatal(err)
				}
				status := map[string]int{"api_down": 503, "handler": 500}[row.want]
				if string(p.Reason) != row.want || resp.StatusCode != status {
					t.Errorf("%d %s, want %d %s: %v", resp.StatusCode, p.Reason, status, row.want, got)
				}
				if down := errors.Is(got, providers.ErrUnavailable); down != (row.want == "api_down") {
					t.Errorf("unavailable: %v: %v", down, got)
				}
				if strings.Contains(k.log.String(), "secret") {
					t.Errorf("the log repeats the answer:\n%s", k.log)
				}
				b.is(ada)
			})
		}
	})
}

// A connection that the API has switched to another protocol is the app's, to read and to write.
func TestClient_switched(t *testing.T) {
	at := listen(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.CopyN(c, in, 4)
	})
	real := &http.Transport{}
	t.Cleanup(real.CloseIdleConnections)
	k := newKit(t, func(k *kit, c *middleware.Config) {
		c.HTTPClient = &http.Client{Transport: apiAt(k, at, real)}
	})
	b := k.browser()
	b.signIn("idp", "ada", "/")
	k.within(b, func(ctx context.Context) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := middleware.Client(ctx, "").Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		both, ok := resp.Body.(io.ReadWriteCloser)
		if !ok {
			t.Fatalf("the body is a %T, which cannot be written", resp.Body)
		}
		got := make([]byte, 4)
		if _, err := io.WriteString(both, "ping"); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(both, got); err != nil || string(got) != "ping" {
			t.Errorf("got %q, %v, want what was sent", got, err)
		}
	})
}

// A transport that has given up closes the app's body, perhaps while it still reads: what it reads then is no
// failure of the app's.
func TestClient_bodyClosed(t *testing.T) {
	k := newKit(t, func(k *kit, c *middleware.Config) {
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/me" {
				return k.RoundTrip(r)
			}
			_ = r.Body.Close()
			if _, err := r.Body.Read(make([]byte, 1)); err == nil {
				t.Error("read after it was closed")
			}
			return nil, &net.OpError{Op: "write", Net: "tcp", Err: errors.New("broken pipe")}
		})}
	})
	b := k.browser()
	b.signIn("idp", "ada", "/")
	k.within(b, func(ctx context.Context) {
		body, _ := io.Pipe()
		if _, err := middleware.Client(ctx, "").Post("/me", "text/plain", body); !errors.Is(err, providers.ErrUnavailable) {
			t.Errorf("error %v, want one of the API's", err)
		}
	})
}
