package tokens_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
)

// A visitor is a browser in which one person is signed in.
type visitor struct {
	w       *world
	who     string
	cookies map[string]string
}

// An answer is what a request for a token came to.
type answer struct {
	status   int
	subject  string // whose token it is; "" without a status of 200
	token    string
	location string
	cookies  []*http.Cookie
	body     string
	err      error
}

func (a answer) String() string {
	return fmt.Sprintf("status %d, Location %q, error %v, body %.300q", a.status, a.location, a.err, a.body)
}

// visitors signs n people in, at p.
func (w *world) visitors(n int, p *process) []*visitor {
	w.t.Helper()
	vs := make([]*visitor, n)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range vs {
		vs[i] = &visitor{w: w, who: person(i)}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := vs[i].signIn(p); err != nil {
				w.t.Errorf("%s: sign in: %v", vs[i].who, err)
			}
		})
	}
	wg.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
	return vs
}

// signIn goes to the provider and back, and opens the page that it came from: the session has nothing
// more to learn of the browser then.
func (v *visitor) signIn(p *process) error {
	a := v.open(p, "/auth/idp/login?return_to=/", "document")
	if a.err != nil || a.status != http.StatusSeeOther {
		return fmt.Errorf("start: %v", a)
	}
	v.keep(a)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	callback, err := v.w.approve(ctx, a.location, v.who)
	if err != nil {
		return err
	}
	back, ok := strings.CutPrefix(callback, baseURL)
	if !ok {
		return fmt.Errorf("sent back to another app")
	}
	if a = v.open(p, back, "document"); a.err != nil || a.status != http.StatusSeeOther || a.location != "/" {
		return fmt.Errorf("callback: %v", a)
	}
	v.keep(a)
	if a = v.open(p, "/", "document"); a.status != http.StatusOK || a.body != v.w.subject(v.who) {
		return fmt.Errorf("signed in as %v", a)
	}
	return nil
}

func (v *visitor) keep(a answer) {
	if v.cookies == nil {
		v.cookies = map[string]string{}
	}
	for _, c := range a.cookies {
		if v.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
}

// fetch asks p for the person's token, as a script in a page does. Several may be under way at once.
func (v *visitor) fetch(p *process, path string) answer {
	a := v.open(p, path, "empty")
	if a.status == http.StatusOK {
		a.subject, a.token, _ = strings.Cut(a.body, " ")
	}
	return a
}

func (v *visitor) open(p *process, target, destination string) answer {
	return v.do(context.Background(), p, target, destination)
}

// do sends the request of a page load or of a script: destination is as in Sec-Fetch-Dest. A page that loads itself
// again is followed.
func (v *visitor) do(ctx context.Context, p *process, target, destination string) (a answer) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+target, nil)
	if err != nil {
		return answer{err: err}
	}
	for name, value := range v.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Dest", destination)
	if destination == "document" {
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Accept", "text/html")
	}
	began := time.Now()
	for r != nil {
		resp, err := v.w.client.Do(r)
		if err != nil {
			return answer{err: err}
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		a = answer{status: resp.StatusCode, location: resp.Header.Get("Location"), cookies: resp.Cookies(), body: string(body), err: err}
		r = pagetest.Next(began, r, resp.StatusCode, resp.Header)
	}
	return a
}

// got returns nil if a is a token of the person, and leaves them signed in.
func (v *visitor) got(a answer) error {
	if a.err != nil || a.status != http.StatusOK {
		return fmt.Errorf("%s: got %v, want a token", v.who, a)
	}
	if want := v.w.subject(v.who); a.subject != want || a.token == "" {
		return fmt.Errorf("%s: got a token of %q, want one of %q", v.who, a.subject, want)
	}
	for _, c := range a.cookies {
		if c.MaxAge < 0 || c.Value == "" {
			return fmt.Errorf("%s: the answer takes a cookie away", v.who)
		}
	}
	return nil
}
