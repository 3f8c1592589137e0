package faults_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
)

// A browser is one person's. Several requests of it may be under way at once.
type browser struct {
	t       testing.TB
	w       *world
	who     string // the account
	client  *http.Client
	idp     *http.Client
	network *network
}

// network leads everything that is for the app to the process that answers for it.
type network struct {
	http.Transport
	mu   sync.Mutex
	addr string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	addr := n.addr
	n.mu.Unlock()
	out := r.Clone(r.Context())
	out.URL.Host = addr
	return n.Transport.RoundTrip(out)
}

// browser returns a new one of a person, whose requests go to addr.
func (w *world) browser(who, addr string) *browser {
	w.t.Helper()
	b := &browser{t: w.t, w: w, who: who, network: &network{addr: addr}}
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	idpJar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{}
	b.idp = &http.Client{Jar: idpJar, Transport: transport}
	b.client = &http.Client{
		Transport: b.network, Jar: jar, Timeout: 3 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.browsers = append(w.browsers, b)
	w.t.Cleanup(func() { b.network.CloseIdleConnections(); transport.CloseIdleConnections() })
	return b
}

// to makes another process answer from now on.
func (b *browser) to(addr string) {
	b.network.mu.Lock()
	defer b.network.mu.Unlock()
	b.network.addr = addr
}

// subject is the person's at the provider.
func (b *browser) subject() string { return "practice-" + b.who }

// An answer is a response that was read to its end.
type answer struct {
	status  int
	body    string
	header  http.Header
	took    time.Duration
	err     error
	cleared []string // names of cookies that it takes away
	late    bool     // the sign-in took so long that a page came first, which loaded itself again
}

func (a answer) String() string {
	return fmt.Sprintf("status %d, Location %q, error %v, body %.300q", a.status, a.header.Get("Location"), a.err, a.body)
}

func (b *browser) request(method, target string, form url.Values) *http.Request {
	u, err := url.Parse(target)
	if err != nil {
		panic(err) // a mistake in the test
	}
	base, _ := url.Parse(baseURL)
	r, err := http.NewRequest(method, base.ResolveReference(u).String(), strings.NewReader(form.Encode()))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", baseURL)
	}
	return r
}

// do sends a request. A page that loads itself again is followed.
func (b *browser) do(r *http.Request) answer {
	began := time.Now()
	a := b.once(r)
	for r = pagetest.Next(began, r, a.status, a.header); r != nil; r = pagetest.Next(began, r, a.status, a.header) {
		cleared := a.cleared
		a = b.once(r)
		a.cleared, a.took, a.late = append(cleared, a.cleared...), time.Since(began), true
	}
	return a
}

// once sends a request, and follows nothing.
func (b *browser) once(r *http.Request) answer {
	began := time.Now()
	resp, err := b.client.Do(r.Clone(r.Context())) // the client adds its cookies to it
	if err != nil {
		return answer{err: err, took: time.Since(began), header: http.Header{}}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, body: string(body), header: resp.Header, err: err, took: time.Since(began)}
	for _, c := range resp.Cookies() {
		// A sign-in that has ended, or another secret, takes the place of the bindings before it. A failure takes none.
		replaced := strings.Contains(c.Name, "-bind-") && resp.StatusCode < http.StatusBadRequest
		if (c.MaxAge < 0 || c.Value == "") && !replaced {
			a.cleared = append(a.cleared, c.Name)
		}
	}
	return a
}

// open loads a page, and follows no redirect.
func (b *browser) open(target string) answer { return b.do(b.request(http.MethodGet, target, nil)) }

func (b *browser) post(target string, form url.Values) answer {
	return b.do(b.request(http.MethodPost, target, form))
}

// start begins a sign-in and returns the provider's URL.
func (b *browser) start(returnTo string) (authURL string, err error) {
	a := b.open("/auth/idp/login?" + url.Values{"return_to": {returnTo}}.Encode())
	if a.status != http.StatusSeeOther {
		return "", fmt.Errorf("start: %v", a)
	}
	return a.header.Get("Location"), nil
}

// approve does the person's part at the provider, and returns the callback URL.
func (b *browser) approve(authURL string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.w.idp.Approve(ctx, b.idp, authURL, b.who)
}

// leave starts a sign-in, and returns the callback URL with which the person comes back.
func (b *browser) leave(returnTo string) string {
	b.t.Helper()
	authURL, err := b.start(returnTo)
	if err != nil {
		b.t.Fatal(err)
	}
	callback, err := b.approve(authURL)
	if err != nil {
		b.t.Fatal(err)
	}
	return callback
}

// signIn goes all the way, and says what went wrong.
func (b *browser) signIn(returnTo string) error {
	authURL, err := b.start(returnTo)
	if err != nil {
		return err
	}
	callback, err := b.approve(authURL)
	if err != nil {
		return err
	}
	a := b.open(callback)
	if a.status != http.StatusSeeOther || a.header.Get("Location") != returnTo {
		return fmt.Errorf("callback: %v", a)
	}
	return nil
}

// sure is signIn that must go well.
func (b *browser) sure() *browser {
	b.t.Helper()
	if err := b.signIn("/who"); err != nil {
		b.t.Fatalf("%s: %v", b.who, err)
	}
	if got := b.open("/who"); got.body != b.subject() {
		b.t.Fatalf("%s: signed in as %v", b.who, got)
	}
	return b
}

// cookies returns what the browser holds for the app.
func (b *browser) cookies() map[string]string {
	u, _ := url.Parse(baseURL)
	m := map[string]string{}
	for _, c := range b.client.Jar.Cookies(u) {
		m[c.Name] = c.Value
	}
	return m
}
