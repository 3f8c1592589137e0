// Package visit is the browser of the benchmarks: it sends requests to a handler of this process,
// without sockets, and keeps the cookies of the answers.
package visit

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
)

// Site is where every app of the benchmarks believes to be.
const Site = "https://app.example"

// A Browser keeps cookies of one site. The zero Browser has none.
type Browser struct {
	cookies []*http.Cookie
}

// Request returns the load of a page, with the browser's cookies.
func (b *Browser) Request(target string) (*http.Request, error) {
	if target != "" && target[0] == '/' {
		target = Site + target
	}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if line := b.Line(); line != "" {
		r.Header.Set("Cookie", line)
	}
	return r, nil
}

// Line returns what the browser sends as the header Cookie.
func (b *Browser) Line() string {
	line := ""
	for _, c := range b.cookies {
		if line != "" {
			line += "; "
		}
		line += c.Name + "=" + c.Value
	}
	return line
}

// Keep keeps the cookies of an answer.
func (b *Browser) Keep(a *Answer) {
	resp := http.Response{Header: a.header}
	for _, c := range resp.Cookies() {
		b.cookies = slices.DeleteFunc(b.cookies, func(old *http.Cookie) bool { return old.Name == c.Name })
		if c.MaxAge >= 0 {
			b.cookies = append(b.cookies, c)
		}
	}
}

// Open loads a page of h and keeps its cookies.
func (b *Browser) Open(h http.Handler, target string) (*Answer, error) {
	r, err := b.Request(target)
	if err != nil {
		return nil, err
	}
	a := Load(h, r, NewAnswer())
	b.Keep(a)
	return a, nil
}

// Load has h answer r, and loads the page of a sign-in that takes long again for as long as that asks for it. It
// returns the last answer: a, if there is no other.
func Load(h http.Handler, r *http.Request, a *Answer) *Answer {
	began := time.Now()
	h.ServeHTTP(a, r)
	for r = pagetest.Next(began, r, a.status, a.header); r != nil; r = pagetest.Next(began, r, a.status, a.header) {
		a = NewAnswer()
		h.ServeHTTP(a, r)
	}
	return a
}
