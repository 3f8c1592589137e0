package providertest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// Each fault is the same with and without sockets.
func TestFaults(t *testing.T) {
	short := errors.New("gave up")
	for _, row := range []struct {
		name   string
		fault  providertest.Fault
		status int   // 0: no answer
		size   int64 // of the body; -1: that of a good answer; -2: less than that
		err    bool  // the body ends with an error
		giveUp bool  // the client has to
	}{
		{"none", nil, 200, -1, false, false},
		{"respond", providertest.Respond(503, "text/html", "down"), 503, 4, false, false},
		{"redirect", providertest.Redirect(307, ""), 307, 0, false, false},
		{"delay", providertest.Delay(time.Millisecond), 200, -1, false, false},
		{"long delay", providertest.Delay(time.Hour), 0, 0, false, true},
		{"linger", providertest.Linger(time.Millisecond), 200, -1, false, false},
		{"hang", providertest.Hang, 0, 0, false, true},
		{"hang in the body", providertest.HangBody, 200, -2, true, true},
		{"reset", providertest.Reset, 0, 0, false, false},
		{"lose the answer", providertest.LoseAnswer, 0, 0, false, false},
		{"truncate", providertest.Truncate, 200, -2, true, false},
		{"drip", providertest.Drip(time.Microsecond), 200, -1, false, false},
		{"slow drip", providertest.Drip(time.Hour), 200, -2, true, true},
		{"pad", providertest.Pad(5 << 20), 200, 5 << 20, false, false},
		{"gzip bomb", providertest.GzipBomb(5 << 20), 200, 5 << 20, false, false},
		{"rewrite", providertest.RewriteBody(func(string) string { return "{}" }), 200, 2, false, false},
		{"not the first", providertest.First(0, providertest.Reset), 200, -1, false, false},
		{"no match", providertest.When(providertest.Grant("refresh_token"), providertest.Reset), 200, -1, false, false},
	} {
		try := func(t *testing.T, s *providertest.Server, c *http.Client) {
			whole := fetch(t, s, c)
			s.Set(func(b *providertest.Behavior) { b.Discovery = row.fault })
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if row.giveUp {
				time.AfterFunc(50*time.Millisecond, func() { cancel(short) })
			}
			req, err := http.NewRequestWithContext(ctx, "GET", s.URL("/.well-known/openid-configuration"), nil)
			if err != nil {
				t.Fatal(err)
			}
			c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			resp, err := c.Do(req)
			if row.status == 0 {
				if err == nil {
					t.Fatalf("got %s, want no answer", resp.Status)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if resp.StatusCode != row.status || (err != nil) != row.err {
				t.Errorf("got %d and %v, want %d", resp.StatusCode, err, row.status)
			}
			switch {
			case row.size == -1 && n != whole, row.size == -2 && n >= whole, row.size > 1000 && n != row.size+whole,
				row.size >= 0 && row.size <= 1000 && n != row.size:
				t.Errorf("got %d bytes; a good answer has %d", n, whole)
			}
		}
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := providertest.New(providertest.Config{})
				try(t, s, s.Client())
			})
		})
		t.Run(row.name+", over sockets", func(t *testing.T) {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			try(t, providertest.NewServer(t), c)
		})
	}
}

func fetch(t *testing.T, s *providertest.Server, c *http.Client) int64 {
	t.Helper()
	resp, err := c.Get(s.URL("/.well-known/openid-configuration"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n == 0 {
		t.Fatalf("got %d bytes, %v", n, err)
	}
	return n
}

// "60 answer lost": the code is spent although nobody got the tokens.
func TestLoseAnswerRedeems(t *testing.T) {
	s := providertest.New(providertest.Config{})
	form := newCode(t, s, practice)
	s.Set(func(b *providertest.Behavior) { b.Token = providertest.First(1, providertest.LoseAnswer) })
	resp, err := s.Client().PostForm(s.URL("/token"), form)
	if err == nil {
		t.Fatalf("got %s, want no answer", resp.Status)
	}
	if c := s.Ledger().Codes[0]; c.Sent != 1 || c.Redeemed != 1 {
		t.Errorf("got %+v", c)
	}
	if status, m, _ := post(t, s, "/token", form); status != 400 || m["error"] != "invalid_grant" {
		t.Errorf("again: got %d %v", status, m)
	}
}

// "61": what follows a redirect shows up in the ledger, with its secrets.
func TestElsewhere(t *testing.T) {
	listening := providertest.NewServer(t)
	inProcess := providertest.New(providertest.Config{})
	for name, s := range map[string]*providertest.Server{"sockets": listening, "in process": inProcess} {
		c := http.DefaultClient
		if s == inProcess {
			c = s.Client()
		}
		s.Set(func(b *providertest.Behavior) { b.Token = providertest.Redirect(307, "") })
		resp, err := c.PostForm(s.URL("/token"), url.Values{"code": {"canary"}})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := s.Ledger().Of("elsewhere")
		if len(got) != 1 || got[0].Form.Get("code") != "canary" || strings.Contains(s.Issuer(), got[0].Host) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// A client's timeout ends a request that is answered in its own goroutine, and leaves none behind.
func TestTimeoutWithoutSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := providertest.New(providertest.Config{Behavior: providertest.Behavior{Token: providertest.Hang}})
		c := s.Client()
		c.Timeout = 10 * time.Second
		start := time.Now()
		_, err := c.PostForm(s.URL("/token"), url.Values{})
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("took %v", got)
		}
		// Nothing is left running: the bubble would not end.
	})
}
