package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/internal/redistest"
	"github.com/returnleg/returnleg/middleware"
	"github.com/returnleg/returnleg/providers"
	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

const appURL = "https://app.example"

// kit is an app behind the middleware, two providers, and what they saw.
type kit struct {
	t       testing.TB
	auth    *middleware.Auth
	mux     *http.ServeMux
	handler http.Handler
	idp     *providertest.Server // OpenID Connect, named "idp"
	plain   *providertest.Server // OAuth 2.0, named "plain"
	store   sessionstore.Store
	log     *logBuffer
}

// newKit returns a kit whose config was changed by change. The app answers /whoami and what a test
// adds to mux.
func newKit(t testing.TB, change ...func(*kit, *middleware.Config)) *kit {
	t.Helper()
	k := &kit{t: t, mux: http.NewServeMux(), log: &logBuffer{}}
	k.idp = providertest.New(providertest.Config{Issuer: "https://idp.example"})
	k.plain = providertest.New(providertest.Config{Issuer: "https://plain.example"})
	k.store = &sessionstore.Memory{}
	cfg := middleware.Config{
		BaseURL:    appURL,
		Providers:  []providers.Provider{k.idp.OIDC("idp"), k.plain.OAuth2("plain")},
		Store:      k.store,
		Logger:     slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		HTTPClient: &http.Client{Transport: k},
	}
	for _, f := range change {
		f(k, &cfg)
	}
	k.store = cfg.Store
	auth, err := middleware.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k.auth = auth
	k.mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		acc, err := middleware.User(r.Context())
		if err != nil {
			fmt.Fprint(w, "nobody")
			return
		}
		fmt.Fprint(w, acc.Identity.Name)
	})
	k.handler = auth.Handler(k.mux)
	return k
}

// RoundTrip reaches the providers without sockets.
func (k *kit) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Host {
	case "idp.example":
		return k.idp.Transport().RoundTrip(r)
	case "plain.example":
		return k.plain.Transport().RoundTrip(r)
	}
	return nil, fmt.Errorf("no route to %s", r.URL.Host)
}

func (k *kit) provider(name string) *providertest.Server {
	if name == "plain" {
		return k.plain
	}
	return k.idp
}

// redeems returns how many token requests either provider saw.
func (k *kit) redeems() int { return k.idp.Ledger().Count("token") + k.plain.Ledger().Count("token") }

// handle adds a handler to the app.
func (k *kit) handle(pattern string, f http.HandlerFunc) { k.mux.HandleFunc(pattern, f) }

// browser is one browser: a cookie jar for the app, and one for the providers.
type browser struct {
	k      *kit
	jar    http.CookieJar
	idp    *http.Client
	header http.Header // added to every request
}

func (k *kit) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	idp, err := cookiejar.New(nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return &browser{k: k, jar: jar, idp: &http.Client{Transport: k, Jar: idp}, header: http.Header{}}
}

// request returns a request as the browser would send it, cookies included.
func (b *browser) request(method, target string, body io.Reader) *http.Request {
	u, err := url.Parse(target)
	if err != nil {
		b.k.t.Fatal(err)
	}
	base, _ := url.Parse(appURL)
	u = base.ResolveReference(u)
	r := httptest.NewRequest(method, u.String(), body)
	r.RequestURI = u.RequestURI()
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Accept", "text/html")
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
	for name, vs := range b.header {
		r.Header[name] = vs
	}
	return r
}

// do sends r, and keeps the cookies of the answer.
func (b *browser) do(r *http.Request) *http.Response {
	resp := b.k.serve(r)
	b.keep(resp)
	return resp
}

// serve answers r without touching a jar: an answer that may be lost on the way. As with a server, the context of r ends
// with the handler.
func (k *kit) serve(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	k.handler.ServeHTTP(w, r.WithContext(ctx))
	return w.Result()
}

func (b *browser) keep(resp *http.Response) {
	base, _ := url.Parse(appURL)
	b.jar.SetCookies(base, resp.Cookies())
}

// open loads a page. It does not follow redirects.
func (b *browser) open(target string) *http.Response {
	return b.do(b.request(http.MethodGet, target, nil))
}

// fetch asks like a script does.
func (b *browser) fetch(target string) *http.Response {
	r := b.request(http.MethodGet, target, nil)
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Accept", "*/*")
	return b.do(r)
}

// post submits a form of the app's own pages.
func (b *browser) post(target string, form url.Values) *http.Response {
	r := b.request(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", appURL)
	return b.do(r)
}

// start begins a sign-in and returns the provider's URL.
func (b *browser) start(provider, returnTo string) string {
	b.k.t.Helper()
	resp := b.open("/auth/" + provider + "/login?" + url.Values{"return_to": {returnTo}}.Encode())
	return b.k.location(resp)
}

// approve does the person's part at the provider, and returns the callback URL.
func (b *browser) approve(authURL, account string) string {
	b.k.t.Helper()
	cb, err := b.k.at(authURL).Approve(context.Background(), b.idp, authURL, account)
	if err != nil {
		b.k.t.Fatal(err)
	}
	return cb
}

func (b *browser) deny(authURL, account string) string {
	b.k.t.Helper()
	cb, err := b.k.at(authURL).Deny(context.Background(), b.idp, authURL, account)
	if err != nil {
		b.k.t.Fatal(err)
	}
	return cb
}

func (k *kit) at(authURL string) *providertest.Server {
	if strings.HasPrefix(authURL, "https://plain.example/") {
		return k.plain
	}
	return k.idp
}

// back opens a callback URL, as a navigation that comes from the provider's page, and stays for as long as the page
// loads itself again.
func (b *browser) back(callback string) *http.Response {
	resp := b.do(b.callback(callback))
	for resp.StatusCode == http.StatusAccepted {
		callback = pendingAt(resp, callback)
		resp = b.open(callback)
	}
	return resp
}

// pendingAt waits for as long as a page does before it loads itself again, and returns where that is.
func pendingAt(resp *http.Response, target string) string {
	rest, to, elsewhere := strings.Cut(resp.Header.Get("Refresh"), ";url=")
	seconds, _ := strconv.Atoi(rest)
	time.Sleep(time.Duration(seconds) * time.Second)
	if elsewhere {
		return to
	}
	return target
}

func (b *browser) callback(callback string) *http.Request {
	r := b.request(http.MethodGet, callback, nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return r
}

// signIn goes all the way, and fails the test if it does not land at returnTo.
func (b *browser) signIn(provider, account, returnTo string) {
	b.k.t.Helper()
	resp := b.back(b.approve(b.start(provider, returnTo), account))
	if got := b.k.location(resp); got != returnTo {
		b.k.t.Fatalf("landed at %q, want %q", got, returnTo)
	}
}

// location returns where a redirect goes, and fails the test if there is none.
func (k *kit) location(resp *http.Response) string {
	k.t.Helper()
	if resp.StatusCode != http.StatusSeeOther {
		k.t.Fatalf("status %d, want 303; body: %s; log:\n%s", resp.StatusCode, text(resp), k.log)
	}
	return resp.Header.Get("Location")
}

// whoami returns who the app sees.
func (b *browser) whoami() string { return text(b.open("/whoami")) }

func text(resp *http.Response) string {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	resp.Body = io.NopCloser(bytes.NewReader(b))
	return string(b)
}

// cookies returns what the browser holds for the app, by name.
func (b *browser) cookies() map[string]string {
	base, _ := url.Parse(appURL)
	m := map[string]string{}
	for _, c := range b.jar.Cookies(base) {
		m[c.Name] = c.Value
	}
	return m
}

// session returns the session cookie's value.
func (b *browser) session() string { return b.cookies()["__Host-rl"] }

// setCookie plants a cookie.
func (b *browser) setCookie(name, value string) {
	base, _ := url.Parse(appURL)
	c := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true}
	if value == "" {
		c.MaxAge = -1
	}
	b.jar.SetCookies(base, []*http.Cookie{c})
}

// sessionCookies returns the cookies that resp sets, without those of bindings.
func sessionCookies(resp *http.Response) []*http.Cookie {
	return slices.DeleteFunc(resp.Cookies(), func(c *http.Cookie) bool { return strings.Contains(c.Name, "-bind-") })
}

// bindings returns the names of the binding cookies.
func (b *browser) bindings() []string {
	var names []string
	for name := range b.cookies() {
		if strings.HasPrefix(name, "__Host-rl-bind-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// status asks /auth/status.
func (b *browser) status() map[string]any {
	var m map[string]any
	if err := json.Unmarshal([]byte(text(b.fetch("/auth/status"))), &m); err != nil {
		b.k.t.Fatal(err)
	}
	return m
}

// rejected fails the test unless resp is a refusal of our own for that reason: a 4xx that no cache may
// keep.
func (k *kit) rejected(resp *http.Response, reason string) {
	k.t.Helper()
	if resp.StatusCode < 400 || resp.StatusCode > 499 {
		k.t.Errorf("status %d, want 4xx", resp.StatusCode)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		k.t.Errorf("Cache-Control %q, want no-store", got)
	}
	if reason != "" && !strings.Contains(k.log.String(), "reason="+reason) {
		k.t.Errorf("no event with reason %s in the log:\n%s", reason, k.log)
	}
}

// logBuffer is a log that many goroutines write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sealed is a store that New takes for one that other processes share: its values are sealed.
type sealed struct{ sessionstore.Store }

// eachStore runs a test on the memory store, on one whose values are sealed, and on real Redis.
func eachStore(t *testing.T, f func(t *testing.T, change func(*kit, *middleware.Config))) {
	eachLocalStore(t, f)
	t.Run("redis", func(t *testing.T) {
		store, keys := realRedis(t), sessionstore.NewKeyring()
		f(t, func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, keys })
	})
}

// eachTime is eachStore for a test in which time goes by, which it does by pass: on the local stores in a
// bubble of testing/synctest, and on Redis, whose clock nobody moves, by a clock of the app that stands
// still otherwise. The provider's does not move there.
func eachTime(t *testing.T, f func(t *testing.T, change func(*kit, *middleware.Config), at func(*kit) (pass func(time.Duration)))) {
	eachLocalStore(t, func(t *testing.T, change func(*kit, *middleware.Config)) {
		synctest.Test(t, func(t *testing.T) {
			f(t, change, func(*kit) func(time.Duration) { return time.Sleep })
		})
	})
	t.Run("redis", func(t *testing.T) {
		store, keys := realRedis(t), sessionstore.NewKeyring()
		change := func(_ *kit, c *middleware.Config) { c.Store, c.Keys = store, keys }
		f(t, change, func(k *kit) func(time.Duration) {
			began, passed := time.Now(), new(atomic.Int64)
			k.auth.SetNow(func() time.Time { return began.Add(time.Duration(passed.Load())) })
			return func(d time.Duration) { passed.Add(int64(d)) }
		})
	})
}

// realRedis returns a store on a server of its own.
func realRedis(t testing.TB) *redisstore.Store {
	t.Helper()
	pool, err := redisstore.NewPool(redisstore.Server{URL: "redis://" + redistest.Start(t).Addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	store := redisstore.New(pool)
	store.Timeout = 10 * time.Second // of a busy machine
	return store
}

// eachLocalStore leaves Redis out: a test in a bubble of testing/synctest has a clock of its own,
// which no server shares.
func eachLocalStore(t *testing.T, f func(t *testing.T, change func(*kit, *middleware.Config))) {
	keys := sessionstore.NewKeyring()
	rows := []struct {
		name   string
		change func(*kit, *middleware.Config)
	}{
		{"memory", func(*kit, *middleware.Config) {}},
		{"sealed", func(_ *kit, c *middleware.Config) { c.Store, c.Keys = sealed{&sessionstore.Memory{}}, keys }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { f(t, row.change) })
	}
}
