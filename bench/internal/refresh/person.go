package refresh

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/pagetest"
)

// Site is where browsers believe the app is.
const site = "http://127.0.0.1:8089"

// A person is a browser in which somebody is signed in. Peers' apps know no sessions: there is one
// person, without cookies.
type person struct {
	rig     *Rig
	cookies map[string]string
}

// signIn goes to the provider and back, and opens a page.
func (p *person) signIn(at string) error {
	resp, err := p.open(at, "/auth/idp/login?return_to=/")
	if err != nil {
		return err
	}
	callback, err := p.rig.approve(resp.Header.Get("Location"))
	if err != nil {
		return err
	}
	if resp, err = p.open(at, strings.TrimPrefix(callback, site)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("refresh: sign in: status %d", resp.StatusCode)
	}
	_, err = p.open(at, "/")
	return err
}

// open loads a page and keeps its cookies. The body is closed.
func (p *person) open(at, path string) (*http.Response, error) {
	resp, _, err := p.fetch(at, path)
	if err != nil {
		return nil, err
	}
	if p.cookies == nil {
		p.cookies = map[string]string{}
	}
	for _, c := range resp.Cookies() {
		if p.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(p.cookies, c.Name)
		}
	}
	return resp, nil
}

// fetch is open without keeping anything: several may be under way at once. A page that loads itself again is followed.
func (p *person) fetch(at, path string) (*http.Response, string, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+at+path, nil)
	if err != nil {
		return nil, "", err
	}
	for name, value := range p.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	if strings.HasPrefix(path, "/auth/") {
		r.Header.Set("Sec-Fetch-Dest", "document")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
	}
	began := time.Now()
	for {
		resp, err := p.rig.client.Do(r)
		if err != nil {
			return nil, "", err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if r = pagetest.Next(began, r, resp.StatusCode, resp.Header); r == nil {
			return resp, string(body), err
		}
	}
}
