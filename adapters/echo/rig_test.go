package echoauth_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
)

// rig is an app, a provider that answers at once, and a browser.
type rig struct {
	t      *testing.T
	auth   *middleware.Auth
	idp    *providertest.Server
	url    string
	client *http.Client
}

// newRig returns a rig whose app is served by serve.
func newRig(t *testing.T, serve func(auth *middleware.Auth, l net.Listener)) *rig {
	t.Helper()
	idp := providertest.NewServer(t)
	idp.SignInAs("ada")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	auth, err := middleware.New(middleware.Config{
		BaseURL: url, Providers: []providers.Provider{idp.OIDC("practice")}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(auth, l)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, auth: auth, idp: idp, url: url, client: &http.Client{Jar: jar}}
}

// do sends a request with headers, each as "Name: value", and returns the answer with its body.
func (g *rig) do(method, path string, headers ...string) (*http.Response, string) {
	g.t.Helper()
	r, err := http.NewRequest(method, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusAccepted { // the sign-in takes longer than three seconds: this waits for its end
		resp.Body.Close()
		if resp, err = g.client.Get(resp.Request.URL.String()); err != nil {
			g.t.Fatal(err)
		}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp, string(body)
}

// page loads a page, and signs in where that is asked for.
func (g *rig) page(path string) (*http.Response, string) {
	g.t.Helper()
	return g.do(http.MethodGet, path, "Accept: text/html")
}

// upgrade opens a connection that echoes lines, with the cookies of the browser, and returns what line became.
func (g *rig) upgrade(path, line string) (status, got string) {
	g.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	r, err := http.NewRequest(http.MethodGet, g.url+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, cookie := range g.client.Jar.Cookies(r.URL) {
		r.AddCookie(cookie)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	if err := r.Write(c); err != nil {
		g.t.Fatal(err)
	}
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, r)
	if err != nil {
		g.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp.Status, ""
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		g.t.Fatal(err)
	}
	got, err = in.ReadString('\n')
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.Status, strings.TrimSuffix(got, "\n")
}
