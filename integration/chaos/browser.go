package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
)

// A browser has cookies, and knows what was promised to it.
type browser struct {
	w      *world
	client *http.Client
	idp    *http.Client
	next   int // of the apps

	in    bool // somebody is signed in, for certain
	since time.Time
	limbo bool           // the cookie is that of before a sign-in whose answer was lost
	acked map[string]ack // by key of the session; those are for certain
	keys  int            // that were made up
	trail *trail
	last  int // the last number that was put
}

// An ack is a write that was acknowledged.
type ack struct {
	n     int
	begun time.Time
	at    time.Time
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil) // never an error
	idpJar, _ := cookiejar.New(nil)
	return &browser{
		w: w, acked: map[string]ack{}, trail: new(trail),
		client: &http.Client{
			Jar: jar, Timeout: time.Minute, Transport: w.transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		idp: &http.Client{Jar: idpJar, Timeout: time.Minute, Transport: w.transport},
	}
}

// An answer is a response that was read to its end.
type answer struct {
	status  int
	header  http.Header
	body    string
	to      string // Location
	cleared bool   // a session cookie
	set     bool
	err     error
}

func (a answer) ok() bool {
	return a.err == nil && a.status >= 200 && a.status < 300 && a.status != http.StatusAccepted
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("status %d, Location %q, %.120q", a.status, a.to, a.body)
}

// do sends a request to one of the apps. Extra headers are name, value. A page that loads itself again is followed,
// each time to the next of the apps.
func (b *browser) do(method, target string, form url.Values, extra ...string) answer {
	if !strings.HasPrefix(target, b.w.url) {
		target = b.w.url + target
	}
	r, err := http.NewRequest(method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{err: err}
	}
	for name, value := range map[string]string{
		"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Accept": "text/html",
	} {
		r.Header.Set(name, value)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", b.w.url)
	}
	for i := 0; i+1 < len(extra); i += 2 {
		r.Header.Set(extra[i], extra[i+1])
	}
	began := time.Now()
	a := b.once(r)
	for r = pagetest.Next(began, r, a.status, a.header); r != nil; r = pagetest.Next(began, r, a.status, a.header) {
		cleared := a.cleared
		a = b.once(r)
		a.cleared = a.cleared || cleared
	}
	return a
}

// once sends a request, and follows nothing.
func (b *browser) once(r *http.Request) answer {
	b.next++
	r.Header.Set(toApp, fmt.Sprint(b.next%2))
	resp, err := b.client.Do(r.Clone(r.Context())) // the client adds its cookies to it
	if err != nil {
		b.w.report.add("requests cut off")
		b.walk(r, answer{})
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body), to: resp.Header.Get("Location"), err: err}
	for _, c := range resp.Cookies() {
		if strings.Contains(c.Name, "bind") {
			continue
		}
		a.cleared, a.set = a.cleared || c.MaxAge < 0, a.set || c.MaxAge >= 0
	}
	b.w.report.add(fmt.Sprintf("requests answered %d", a.status))
	b.walk(r, a)
	return a
}

// walk notes a request.
func (b *browser) walk(r *http.Request, a answer) {
	what := map[bool]string{true: "+cookie"}[a.set] + map[bool]string{true: "-cookie"}[a.cleared]
	step := fmt.Sprintf("%s %s %s/%s %d%s", time.Now().Format("05.000"), r.Method, r.Header.Get(toApp), r.URL.Path[1:], a.status, what)
	b.trail.mu.Lock()
	defer b.trail.mu.Unlock()
	b.trail.steps = append(b.trail.steps[max(0, len(b.trail.steps)-14):], step)
}

// A trail is the last requests of a browser, for whoever wonders.
type trail struct {
	mu    sync.Mutex
	steps []string
}

func (t *trail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.steps, "\n\t")
}

func (b *browser) get(target string, extra ...string) answer {
	return b.do(http.MethodGet, target, nil, extra...)
}

func (b *browser) post(target string, form url.Values, extra ...string) answer {
	return b.do(http.MethodPost, target, form, extra...)
}

// state asks who is signed in, and for all values.
func (b *browser) state() (state, answer, bool) {
	a := b.get("/state")
	var s state
	if !a.ok() || json.Unmarshal([]byte(a.body), &s) != nil {
		return s, a, false
	}
	return s, a, true
}

// clone returns a browser with the cookies of this one: whoever has copied them.
func (b *browser) clone() *browser {
	c := b.w.browser()
	u, _ := url.Parse(b.w.url)
	c.client.Jar.SetCookies(u, b.client.Jar.Cookies(u))
	return c
}

// forget makes it a browser that was promised nothing.
func (b *browser) forget() {
	b.in, b.acked = false, map[string]ack{}
}

// abandon makes it a new browser.
func (b *browser) abandon() {
	b.forget()
	b.limbo = false
	b.client.Jar, _ = cookiejar.New(nil)
	b.w.report.add("browsers given up")
}

// depart begins a sign-in and does the person's part at the provider. It returns the callback's URL.
func (b *browser) depart(login, who string) (string, error) {
	a := b.get(login)
	if a.err != nil || a.status != http.StatusSeeOther {
		return "", fmt.Errorf("start: %v", a)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return b.w.idp.ApproveAndRemember(ctx, b.idp, a.to, who)
}
