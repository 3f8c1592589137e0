package main

import (
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// A stage is the app beside a practice provider.
type stage struct {
	t    *testing.T
	app  *app
	base string
	idp  *providertest.Server
	logs *strings.Builder
	stop func()
}

// newStage starts the app, with the services that change makes of the practice provider's.
func newStage(t *testing.T, change func(service) []service) *stage {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, base: "http://" + l.Addr().String(), idp: providertest.NewServer(t), logs: &strings.Builder{}}
	c := config{baseURL: s.base, services: []service{practice(s.idp)}}
	if change != nil {
		c.services = change(c.services[0])
	}
	logs := slog.NewTextHandler(writer{s.logs}, nil)
	if s.app, err = newApp(c, slog.New(logs)); err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: newServer(s.app)}
	srv.Start()
	t.Cleanup(srv.Close)
	return s
}

// newStageWith returns a stage on a store that outlives the app.
func newStageWith(t *testing.T, store string, keys sessionstore.Keyring) *stage {
	t.Helper()
	s := &stage{t: t, idp: providertest.NewServer(t), logs: &strings.Builder{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.base = "http://" + l.Addr().String()
	s.serve(l, store, keys)
	return s
}

// restart ends the app of s, and returns a stage on which another one runs in its place.
func (s *stage) restart(t *testing.T, store string, keys sessionstore.Keyring) *stage {
	t.Helper()
	s.stop()
	next := &stage{t: t, idp: s.idp, base: s.base, logs: s.logs}
	l, err := net.Listen("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	next.serve(l, store, keys)
	return next
}

func (s *stage) serve(l net.Listener, store string, keys sessionstore.Keyring) {
	s.t.Helper()
	b, err := openStore(s.t.Context(), store)
	if err != nil {
		s.t.Fatal(err)
	}
	c := config{baseURL: s.base, services: []service{practice(s.idp)}, store: b.Store, keys: keys}
	if s.app, err = newApp(c, slog.New(slog.NewTextHandler(writer{s.logs}, nil))); err != nil {
		s.t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: newServer(s.app)}
	srv.Start()
	s.stop = sync.OnceFunc(func() {
		srv.Close()
		if err := b.close(); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
}

// A writer hides what else a strings.Builder has. The log handler locks.
type writer struct{ io.Writer }

// A browser is one cookie jar, and no memory besides: every request is a tab of its own.
type browser struct {
	*stage
	c     *http.Client
	agent string // User-Agent; "": Go's
}

func (s *stage) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{stage: s, c: &http.Client{Jar: jar, CheckRedirect: stay}}
}

// A view is an answer as a tab shows it.
type view struct {
	status int
	at     string // path and query
	to     string // Location
	header http.Header
	body   string
}

// send makes a request as a page load does, which follows a page that loads itself again, and no redirect.
func (b *browser) send(method, path string, form url.Values, header ...string) (v view) {
	b.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = b.base + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"}}
	if b.agent != "" {
		r.Header.Set("User-Agent", b.agent)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.base)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			r.Header.Del(header[i])
		}
	}
	for began := time.Now(); r != nil; r = pagetest.Next(began, r, v.status, v.header) {
		resp, err := b.c.Do(r.Clone(r.Context())) // the client adds its cookies to it
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		v = view{resp.StatusCode, r.URL.RequestURI(), resp.Header.Get("Location"), resp.Header, string(body)}
	}
	return v
}

// open loads a page and goes where it sends the browser, within the app.
func (b *browser) open(path string) view {
	b.t.Helper()
	return b.follow(b.send(http.MethodGet, path, nil))
}

// submit sends a form and goes where it leads, within the app.
func (b *browser) submit(path string, form url.Values) view {
	b.t.Helper()
	v := b.send(http.MethodPost, path, form)
	if v.status == http.StatusTemporaryRedirect {
		v = b.send(http.MethodPost, v.to, form)
	}
	return b.follow(v)
}

func (b *browser) follow(v view) view {
	b.t.Helper()
	for range 5 {
		to, inside := strings.CutPrefix(v.to, b.base)
		if v.to == "" || !inside && !strings.HasPrefix(v.to, "/") {
			return v
		}
		v = b.send(http.MethodGet, to, nil)
	}
	b.t.Fatalf("redirected without end, last to %s", v.to)
	return v
}

// approve does the person's part at the provider, to which v leads, and comes back.
func (b *browser) approve(v view, account string) view {
	b.t.Helper()
	back, err := b.idp.Approve(b.t.Context(), nil, v.to, account)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(b.send(http.MethodGet, back, nil, "Sec-Fetch-Site", "cross-site"))
}

// deny says no to the provider, to which v leads, and comes back.
func (b *browser) deny(v view) view {
	b.t.Helper()
	back, err := b.idp.Deny(b.t.Context(), nil, v.to, "ada")
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(b.send(http.MethodGet, back, nil, "Sec-Fetch-Site", "cross-site"))
}

// acceptTerms walks from home to the form.
func (b *browser) acceptTerms() view {
	b.t.Helper()
	v := b.open("/terms")
	return b.submit("/terms", url.Values{"agree": {"yes"}, "page_tag": {v.tag()}})
}

// shows checks for texts on a page.
func (b *browser) shows(v view, status int, want ...string) {
	b.t.Helper()
	if v.status != status {
		b.t.Errorf("%s: got status %d, want %d", v.at, v.status, status)
	}
	text := html.UnescapeString(v.body)
	for _, w := range want {
		if !strings.Contains(text, w) {
			b.t.Errorf("%s: got no %q on the page", v.at, w)
		}
	}
	if b.t.Failed() {
		b.t.Fatalf("the page:\n%s", v.body)
	}
}

var (
	tagInput = regexp.MustCompile(`name="page_tag" value="([^"]*)"`)
	button   = regexp.MustCompile(`<a class="button[^"]*" href="([^"]*)">([^<]*)<`)
)

// tag is what the forms of the page carry.
func (v view) tag() string {
	if m := tagInput.FindStringSubmatch(v.body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// link returns where a button of the page leads.
func (v view) link(text string) string {
	for _, m := range button.FindAllStringSubmatch(v.body, -1) {
		if m[2] == text {
			return html.UnescapeString(m[1])
		}
	}
	return ""
}
