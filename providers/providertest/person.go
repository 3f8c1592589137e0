package providertest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// SignInAs signs an account in for everybody: the authorization endpoint answers at once, without a
// page, as a provider does that remembers the person. prompt, max_age and acr_values are honored
// as if the person did what they ask; login_hint does not change who it is. "" ends it. It panics
// if there is no such account.
func (s *Server) SignInAs(account string) {
	if _, ok := s.cfg.account(account); !ok && account != "" {
		panic("providertest: no account " + account)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auto, s.autoAt = account, s.now()
}

// ErrPage is wrapped when the provider shows an error page instead of asking the person.
var ErrPage = errors.New("providertest: the provider shows an error page")

// Approve does the person's part: it opens authURL, picks the account, allows everything, and
// returns the URL of the app that the provider sends the browser to, which it does not open. Of a
// form_post answer the fields are in the query of that URL: see [Server.FormPost]. browser is the client
// whose cookies the provider sees; nil is a browser of its own.
func (s *Server) Approve(ctx context.Context, browser *http.Client, authURL, account string) (callbackURL string, err error) {
	return s.person(ctx, browser, authURL, account, url.Values{"decision": {"allow"}})
}

// ApproveAndRemember is [Server.Approve] by a person who ticks "remember me" on the way.
func (s *Server) ApproveAndRemember(ctx context.Context, browser *http.Client, authURL, account string) (callbackURL string, err error) {
	return s.person(ctx, browser, authURL, account, url.Values{"decision": {"allow"}, "remember": {"on"}})
}

// Deny is [Server.Approve] by a person who says no.
func (s *Server) Deny(ctx context.Context, browser *http.Client, authURL, account string) (callbackURL string, err error) {
	return s.person(ctx, browser, authURL, account, url.Values{"decision": {"deny"}})
}

func (s *Server) person(ctx context.Context, browser *http.Client, authURL, account string, decision url.Values) (string, error) {
	if browser == nil {
		browser = &http.Client{Transport: s.Transport()}
	}
	c := *browser
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	page, back, err := s.visit(ctx, &c, http.MethodGet, authURL, nil)
	if err != nil || back != "" {
		return back, err
	}
	request := page.hidden.Get("request") // of the sign-in page; the consent page has it in its address
	if request != "" {
		if _, ok := s.cfg.account(account); !ok {
			return "", fmt.Errorf("providertest: no account %q", account)
		}
		page, back, err = s.visit(ctx, &c, http.MethodGet, s.URL("/consent?"+consentQuery(request, account)), nil)
		if err != nil || back != "" {
			return back, err
		}
	}
	for name, v := range page.hidden {
		decision[name] = v
	}
	page, back, err = s.visit(ctx, &c, http.MethodPost, page.url, decision)
	if err == nil && back == "" {
		return "", fmt.Errorf("%w after consent", ErrPage)
	}
	return back, err
}

// A visited page: its address and the fields of its form.
type visited struct {
	url    string
	hidden url.Values
}

// visit opens a page of the provider, through redirects of its own. A redirect or a form that leads
// away from the provider is the end: back.
func (s *Server) visit(ctx context.Context, c *http.Client, method, to string, form url.Values) (page visited, back string, err error) {
	for range 5 {
		req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
		if err != nil {
			return page, "", fmt.Errorf("providertest: visit: %w", err)
		}
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		resp, err := c.Do(req)
		if err != nil {
			return page, "", fmt.Errorf("providertest: visit: %w", err)
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit))
		_ = resp.Body.Close()
		if err != nil {
			return page, "", fmt.Errorf("providertest: visit: %w", err)
		}
		if resp.StatusCode == http.StatusOK {
			action, hidden := readForm(string(body))
			if action != "" && !strings.HasPrefix(action, s.base+"/") {
				return page, withQuery(action, hidden), nil
			}
			return visited{to, hidden}, "", nil
		}
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			return page, "", fmt.Errorf("%w: status %d", ErrPage, resp.StatusCode)
		}
		next := resp.Header.Get("Location")
		if !strings.HasPrefix(next, s.base+"/") {
			return page, next, nil
		}
		u, _ := url.Parse(s.cfg.Issuer)
		method, to, form = http.MethodGet, u.Scheme+"://"+u.Host+next, nil
	}
	return page, "", errors.New("providertest: visit: too many redirects")
}

var (
	formTag  = regexp.MustCompile(`<form [^>]*?action="([^"]*)"`)
	inputTag = regexp.MustCompile(`<input type="(?:hidden|checkbox)" name="([^"]*)" value="([^"]*)"( checked)?`)
)

// readForm reads the form of a page of ours: its hidden fields, and the boxes that are ticked.
func readForm(page string) (action string, fields url.Values) {
	if m := formTag.FindStringSubmatch(page); m != nil {
		action = html.UnescapeString(m[1])
	}
	fields = url.Values{}
	for _, m := range inputTag.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[0], `"hidden"`) || m[3] != "" {
			fields.Add(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
		}
	}
	return action, fields
}

func withQuery(to string, v url.Values) string {
	if strings.Contains(to, "?") {
		return to + "&" + v.Encode()
	}
	return to + "?" + v.Encode()
}

// FormPost returns the request by which a browser delivers a form_post answer, of a callback URL that
// [Server.Approve] returned: the query in the body, and the provider as its origin. The redirect URI must
// have no query of its own.
func (s *Server) FormPost(ctx context.Context, callbackURL string) (*http.Request, error) {
	to, query, _ := strings.Cut(callbackURL, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("providertest: form post: %w", err)
	}
	u, _ := url.Parse(s.cfg.Issuer)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", u.Scheme+"://"+u.Host)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	return req, nil
}
