package idp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// maxPages is how many answers of the provider a person looks at: a sign-in takes seven.
const maxPages = 16

// Approve opens authURL in a fresh browser, signs in under that name, allows what the app asks for, and
// returns the URL that leads back to the app.
func (s *Server) Approve(ctx context.Context, authURL, name string) (callbackURL string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	method, at, form := http.MethodGet, authURL, ""
	for range maxPages {
		r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form))
		if err != nil {
			return "", err
		}
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, page, err := load(browser, r)
		if err != nil {
			return "", err
		}
		if next, err := resp.Location(); err == nil {
			if method, at, form = http.MethodGet, next.String(), ""; !strings.HasPrefix(at, s.Issuer+"/") {
				return at, nil
			}
			continue
		}
		method = http.MethodPost
		switch {
		case strings.Contains(page, `id="idp-login"`):
			form = url.Values{"name": {name}, "answer": {"sign-in"}}.Encode()
		case strings.Contains(page, `id="idp-consent"`):
			form = url.Values{"answer": {"allow"}}.Encode()
		default:
			return "", fmt.Errorf("idp: status %d, and a page that no person knows", resp.StatusCode)
		}
	}
	return "", errors.New("idp: the sign-in does not end")
}

func load(browser *http.Client, r *http.Request) (*http.Response, string, error) {
	resp, err := browser.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	return resp, string(page), err
}
