package middleware_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
)

// pipes is a listener whose connections are in memory, so that their deadlines go by the clock of a bubble.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error { close(p); return nil }

func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p pipes) dial() net.Conn {
	client, server := net.Pipe()
	p <- server
	return client
}

// serveOn serves the app as a server without timeouts does.
func (k *kit) serveOn(t *testing.T) pipes {
	p := make(pipes)
	srv := &http.Server{Handler: k.handler}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(p) }()
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	})
	return p
}

// slowly are requests with a body that never ends.
var slowly = []struct {
	name, target, kind string
	status             int
}{
	{"a start", "/auth/idp/login", "application/x-www-form-urlencoded", 408},
	{"a start, another kind of body", "/auth/idp/login", "multipart/form-data; boundary=x", 408},
	{"a start, no kind", "/auth/idp/login", "", 408},
	{"a sign-out", "/auth/logout", "application/x-www-form-urlencoded", 408},
	{"a disconnection", "/auth/idp/disconnect", "application/x-www-form-urlencoded", 408},
	{"an answer by form_post", "/auth/post/callback", "application/x-www-form-urlencoded", 408},
	{"an answer that is no form", "/auth/post/callback", "text/plain", 400},
	{"a callback that takes none", "/auth/idp/callback", "application/x-www-form-urlencoded", 405},
	{"the status", "/auth/status", "application/x-www-form-urlencoded", 405},
	{"an address that is not there", "/auth/nothing", "application/x-www-form-urlencoded", 404},
}

func newPoster(t *testing.T) *kit {
	return newKit(t, func(k *kit, c *middleware.Config) {
		post := k.idp.OIDC("post")
		post.ResponseMode = "form_post"
		c.Providers = append([]providers.Provider{post}, c.Providers...)
	})
}

// A body that drips holds no address of the kit, whatever the timeouts of the app's server are.
func TestForm_drips(t *testing.T) {
	for _, row := range slowly {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newPoster(t)
				c := k.serveOn(t).dial()
				began, dripped := time.Now(), make(chan struct{})
				defer func() { c.Close(); <-dripped }()
				go func() {
					defer close(dripped)
					fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: app.example\r\nOrigin: %s\r\nContent-Type: %s\r\nContent-Length: 60000\r\n\r\n", row.target, appURL, row.kind)
					for {
						if _, err := io.WriteString(c, "x"); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				r := bufio.NewReader(c)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				body := text(resp)
				if resp.StatusCode != row.status {
					t.Errorf("status %d, want %d; body: %s", resp.StatusCode, row.status, body)
				}
				if _, err := r.ReadByte(); err == nil {
					t.Error("the connection is still there, with the rest of the body")
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Where the server takes no deadline, nobody waits longer than it.
func TestForm_withoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newPoster(t)
		for _, row := range slowly {
			body, rest := io.Pipe()
			r := k.browser().request(http.MethodPost, row.target, body)
			r.Header.Set("Content-Type", row.kind)
			r.Header.Set("Origin", appURL)
			began := time.Now()
			if resp := k.serve(r); resp.StatusCode != row.status {
				t.Errorf("%s: status %d, want %d", row.name, resp.StatusCode, row.status)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("%s: took %v", row.name, took)
			}
			rest.Close() // as the server does after the answer
		}
	})
}

// The deadline of one request is not that of the next on its connection, nor of what is done with the form.
func TestForm_keepsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newPoster(t)
		p := k.serveOn(t)
		client := &http.Client{
			Transport:     &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return p.dial(), nil }, DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		defer client.CloseIdleConnections()
		for i := range 3 {
			form := url.Values{"return_to": {"/x"}}.Encode()
			r, err := http.NewRequest(http.MethodPost, "http://app.example/auth/idp/login", strings.NewReader(form))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", appURL)
			r.GetBody = nil // it is not sent again
			resp, err := client.Do(r)
			if err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			if resp.StatusCode != http.StatusSeeOther {
				t.Errorf("request %d: status %d, want 303: %s", i, resp.StatusCode, text(resp))
			}
			resp.Body.Close()
			time.Sleep(time.Minute)
		}
	})
}

// What the kit seals into its URLs is good for one purpose. An answer that a provider's page may post is written by
// anybody, byte for byte as a need would be.
func TestFlow_answerAsNeed(t *testing.T) {
	eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		k := newKit(t, change, func(k *kit, c *middleware.Config) {
			post := k.idp.OIDC("x") // as a need: one scope
			post.ResponseMode = "form_post"
			c.Providers = append([]providers.Provider{post}, c.Providers...)
		})
		b := k.browser()
		scope := 'x' - len("\x04code") - 2 // what is left of the scope, whose length is the name's letter
		code := strings.Repeat("a", scope) + strings.Repeat("\x00", 200)
		r := b.request(http.MethodPost, "/auth/x/callback", strings.NewReader(url.Values{"code": {code}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://idp.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		answer := query(t, k.location(b.do(r))).Get("answer")
		if answer == "" {
			t.Fatal("no answer was sealed")
		}
		for _, provider := range []string{"x", "idp", "plain"} {
			k.rejected(b.open("/auth/"+provider+"/login?need="+url.QueryEscape(answer)), "parameter")
		}
		if page := text(b.open("/auth/login?need=" + url.QueryEscape(answer))); strings.Contains(page, "need=") {
			t.Errorf("the list of providers carries it on: %s", page)
		}
		k.rejected(b.post("/auth/plain/login", url.Values{"purpose": {"link"}, "move": {answer}}), "")
	})
}

// http.CrossOriginProtection belongs inside of Handler: around it, it refuses the answer that a provider's page posts.
func TestCrossOriginProtection(t *testing.T) {
	for _, around := range []bool{false, true} {
		t.Run(fmt.Sprint("around Handler: ", around), func(t *testing.T) {
			eachStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
				k := newKit(t, change, func(k *kit, c *middleware.Config) {
					post := k.idp.OIDC("idp")
					post.ResponseMode = "form_post"
					c.Providers = []providers.Provider{post}
				})
				k.handle("/change", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
				same := http.NewCrossOriginProtection()
				if around {
					k.handler = same.Handler(k.handler)
				} else {
					k.handler = k.auth.Handler(same.Handler(k.mux))
				}
				b := k.browser()
				evil := b.request(http.MethodPost, "/change", nil)
				evil.Header.Set("Origin", "https://evil.example")
				evil.Header.Set("Sec-Fetch-Site", "cross-site")
				if got := b.do(evil).StatusCode; got != http.StatusForbidden {
					t.Errorf("another site's form: got %d, want 403", got)
				}
				answer := b.approve(b.start("idp", "/x"), "ada")
				r := b.request(http.MethodPost, "/auth/idp/callback", strings.NewReader(query(t, answer).Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("Origin", "https://idp.example")
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				resp := b.do(r)
				if around {
					if resp.StatusCode != http.StatusForbidden {
						t.Errorf("the provider's form: got %d, want 403", resp.StatusCode)
					}
					return
				}
				if got := k.location(b.open(k.location(resp))); got != "/x" {
					t.Errorf("landed at %q", got)
				}
			})
		})
	}
}
