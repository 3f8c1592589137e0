package providertest_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/providers/providertest"
)

// Every page says what it is, runs nothing but what its policy names, and loads nothing from elsewhere.
func TestPages(t *testing.T) {
	outside := regexp.MustCompile(`(?:src|href)="(?:https?:)?//`)
	evil := `"><script>alert(1)</script>`
	s := providertest.New(providertest.Config{Clients: []providertest.Client{{ID: "app", Name: evil}}})
	q := good()
	q.Set("client_id", "app")
	q.Set("scope", "openid "+evil)
	q.Set("state", evil)
	q.Set("acr_values", evil)
	post := url.Values{}
	for k, v := range q {
		post[k] = v
	}
	post.Set("response_mode", "form_post")
	post.Set("prompt", "none") // answered at once, with an error
	for _, row := range []struct {
		name, path string
		status     int
		want       string
		script     string
	}{
		{"home", "/", 200, "Be anybody", "script-src 'none'"},
		{"sign in", "/authorize?" + q.Encode(), 200, "Who are you today?", "script-src 'none'"},
		{"consent", "/consent?" + url.Values{"request": {q.Encode()}, "account": {"ada"}}.Encode(), 200, "Untick what you keep to yourself", "script-src 'none'"},
		{"consent of nobody", "/consent?" + url.Values{"request": {q.Encode()}, "account": {evil}}.Encode(), 200, "Who are you today?", "script-src 'none'"},
		{"form post", "/authorize?" + post.Encode(), 200, "Continue to", "script-src 'sha256-"},
		{"error", "/authorize?client_id=" + url.QueryEscape(evil), 400, "cannot be answered", "script-src 'none'"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, body, h := page(t, s, row.path)
			if status != row.status || !strings.Contains(body, row.want) || !strings.Contains(body, "Nothing here is real") {
				t.Errorf("got %d %s", status, body)
			}
			if strings.Contains(body, "<script>alert") || outside.MatchString(body) {
				t.Errorf("not escaped, or loads from elsewhere: %s", body)
			}
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, row.script) || strings.Contains(csp, "form-action") {
				t.Errorf("policy: got %s", csp)
			}
			if got := h.Get("Cache-Control"); got != "no-store" {
				t.Errorf("cache: got %s", got)
			}
		})
	}
}

// What a page names is there, an icon included: browsers ask for /favicon.ico otherwise.
func TestPages_assets(t *testing.T) {
	s := providertest.New(providertest.Config{Issuer: "https://idp.example/tenant"})
	_, body, _ := page(t, s, "/")
	for _, row := range []struct{ rel, want string }{
		{"icon", "image/svg+xml"},
		{"stylesheet", "text/css; charset=utf-8"},
	} {
		link := regexp.MustCompile(`<link rel="` + row.rel + `"[^>]* href="/tenant(/[^"]+)">`).FindStringSubmatch(body)
		if link == nil {
			t.Errorf("%s: not in the page", row.rel)
			continue
		}
		if status, _, h := page(t, s, link[1]); status != 200 || h.Get("Content-Type") != row.want {
			t.Errorf("%s: got %d %s, want 200 %s", link[1], status, h.Get("Content-Type"), row.want)
		}
	}
}

func page(t *testing.T, s *providertest.Server, path string) (int, string, http.Header) {
	t.Helper()
	resp := get(t, s, path, "")
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String(), resp.Header
}

// "Forget me here" ends what a browser remembers.
func TestSignOut(t *testing.T) {
	s := providertest.New(providertest.Config{})
	browser := s.Client()
	authURL := s.URL("/authorize?" + good().Encode())
	if _, err := s.ApproveAndRemember(t.Context(), browser, authURL, "ada"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := open(t, s, browser, good().Encode()); status != 303 {
		t.Fatalf("remembered: got %d, want 303", status)
	}
	resp, err := browser.PostForm(s.URL("/sign-out"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if status, _, _ := open(t, s, browser, good().Encode()); status != 200 {
		t.Errorf("forgotten: got %d, want the sign-in page", status)
	}
}
