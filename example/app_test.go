package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestHeaders(t *testing.T) {
	b := newStage(t, nil).browser()
	b.acceptTerms()
	for _, tt := range []struct {
		path       string
		formAction bool // the form that leaves for the provider cannot have it
		cache      string
	}{
		{"/", true, "no-store"}, // the back button shows nothing of it after signing out
		{"/terms", true, "no-store"},
		{"/library", false, "private, no-cache"},
		{"/nothing", true, "no-store"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			h := b.send("GET", tt.path, nil).header
			csp := h.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "img-src 'self' " + b.idp.Issuer()} {
				if !strings.Contains(csp, want) {
					t.Errorf("policy %q has no %q", csp, want)
				}
			}
			if got := strings.Contains(csp, "form-action 'self'"); got != tt.formAction {
				t.Errorf("form-action: got %v, want %v", got, tt.formAction)
			}
			if got := h.Get("Cache-Control"); got != tt.cache {
				t.Errorf("Cache-Control: got %q, want %q", got, tt.cache)
			}
		})
	}
}

// The policy forbids what no page may contain.
func TestPagesKeepThePolicy(t *testing.T) {
	b := newStage(t, nil).browser()
	inline := regexp.MustCompile(`<style|\sstyle=|\son[a-z]+=|<script>|javascript:`)
	seen := []view{b.open("/"), b.open("/terms"), b.shelve()}
	for _, v := range append(seen, b.open("/"), b.open("/library"), b.open("/videos"), b.open("/accounts"), b.open("/nothing")) {
		if m := inline.FindString(v.body); m != "" {
			t.Errorf("%s: got %q", v.at, m)
		}
	}
}

func TestHealthAndAssets(t *testing.T) {
	b := newStage(t, nil).browser()
	sheet := regexp.MustCompile(`/static/style\.css\?v=[\w-]+`).FindString(b.open("/").body)
	for _, tt := range []struct {
		path, mediaType, cache string
		status                 int
	}{
		{"/healthz", "application/json", "no-store", 200},
		{sheet, "text/css", "immutable", 200},
		{"/static/style.css", "text/css", "no-cache", 200},
		{"/static/status.js", "text/javascript", "no-cache", 200},
		{"/static/", "text/plain", "", 404},
		{"/static/main.go", "text/plain", "", 404},
	} {
		t.Run(tt.path, func(t *testing.T) {
			v := b.send("GET", tt.path, nil)
			if v.status != tt.status || !strings.HasPrefix(v.header.Get("Content-Type"), tt.mediaType) || !strings.Contains(v.header.Get("Cache-Control"), tt.cache) {
				t.Errorf("got %d %q %q", v.status, v.header.Get("Content-Type"), v.header.Get("Cache-Control"))
			}
			if got := v.header["Set-Cookie"]; got != nil {
				t.Errorf("got a cookie, want none")
			}
		})
	}
}

// Secrets are in the query of a callback, and stay out of the log.
func TestLogs(t *testing.T) {
	s := newStage(t, nil)
	b := s.browser()
	leaving := b.submit("/connect", half(b.acceptTerms()))
	b.approve(leaving, "ada")
	got := s.logs.String()
	if !strings.Contains(got, "/auth/practice/callback") {
		t.Errorf("the callback is not in the log:\n%s", got)
	}
	for _, secret := range []string{s.idp.Ledger().Codes[0].Code, regexp.MustCompile(`state=([^&]+)`).FindStringSubmatch(leaving.to)[1], "practice-secret", "Sunday"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// Started with nothing but a free address, the program brings a provider along, says where both are,
// and ends when it is told to.
func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	env := environment{"ADDR": addr}

	if err := run(t.Context(), env.get, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), addr+" is taken") {
		t.Errorf("address taken: got %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, env.get, w, io.Discard) }()
	var said bytes.Buffer
	line := make([]byte, 256)
	for !strings.Contains(said.String(), "http://"+addr) {
		n, err := r.Read(line)
		if err != nil {
			t.Fatal(err)
		}
		said.Write(line[:n])
	}
	if !strings.Contains(said.String(), "http://localhost:") {
		t.Errorf("got %q, want the address of the provider", said.String())
	}
	resp, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("health: got %d", resp.StatusCode)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("got %v, want a quiet end", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("does not end")
	}
}

func TestRunNamesMistakes(t *testing.T) {
	env := environment{"STORE": "cloud", "KEYS": "x"}
	err := run(t.Context(), env.get, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "STORE") || !strings.Contains(err.Error(), "KEYS") {
		t.Errorf("got %v", err)
	}
}
