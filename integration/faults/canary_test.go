package faults_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/providers/providertest"
)

// TestCanaries goes through everything that handles secrets, and looks for them in all that Redis was
// sent, in what it keeps on disk, and in the log.
func TestCanaries(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--rdbcompression", "no")
	sent := monitor(t, w)
	a := w.app(w.settings())
	b := w.browser("ada", a.addr)
	b.open("/put?v=canary-in-the-session")
	callback := b.leave("/who?q=canary-in-the-way-back")
	anonymous := b.cookies()
	if got := b.open(callback); got.status != http.StatusSeeOther {
		t.Fatalf("callback: got %v", got)
	}
	signedIn := b.cookies()
	first := b.open("/token").body
	second := w.browser("ada", a.addr).sure()
	long := second.leave("/who?q=canary-in-the-way-back-" + strings.Repeat("x", 2000))
	second.open(long)
	b.open("/gated/canary-of-a-path")
	b.open(callback)                                              // a reload
	w.browser("grace", a.addr).open(callback)                     // somebody else's
	w.browser("emmy", a.addr).open("/auth/idp/callback?" + "x=y") // nobody's
	b.post("/auth/logout", nil)
	second.open("/everywhere")

	secrets := map[string]string{
		"name": "Ada Lovelace", "email": "ada@practice.example", "subject": b.subject(),
		"session value": "canary-in-the-session", "way back": "canary-in-the-way-back",
		"client secret": providertest.ClientSecret, "key": w.keys, "access token": first,
	}
	for _, c := range []string{callback, long} {
		u, err := url.Parse(c)
		if err != nil {
			t.Fatal(err)
		}
		secrets["code of "+u.Query().Get("code")[:4]] = u.Query().Get("code")
		secrets["state of "+u.Query().Get("code")[:4]] = u.Query().Get("state")
	}
	for i, cookies := range []map[string]string{anonymous, signedIn, second.cookies()} {
		for name, value := range cookies {
			if _, secret, ok := strings.Cut(value, "."); ok && !strings.Contains(name, "-bind-") {
				value = secret // what is before it is the record's key
			} else {
				value, _, _ = strings.Cut(value, ".")
			}
			secrets[fmt.Sprintf("cookie %d %s", i, name)] = value
		}
	}
	for i, r := range w.idp.Ledger().Of("token") {
		for name, values := range r.Form {
			switch name {
			case "code", "code_verifier", "refresh_token", "client_secret":
				secrets[fmt.Sprintf("%s of token request %d", name, i)] = values[0]
			}
		}
	}
	if len(secrets) < 15 {
		t.Errorf("got %d secrets to look for, want more: %v", len(secrets), secrets)
	}

	w.redis.Do(t, "SAVE")
	dump, err := os.ReadFile(filepath.Join(w.redis.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	stream := sent()
	places := map[string]string{"dump": string(dump), "what Redis was sent": stream, "log": w.logs.String()}
	for place, text := range places {
		if len(text) < 500 {
			t.Errorf("%s: %d bytes, want more", place, len(text))
		}
		for name, secret := range secrets {
			if secret == "" {
				t.Errorf("no %s", name)
				continue
			}
			if strings.Contains(text, secret) {
				t.Errorf("%s holds the %s in plain text", place, name)
			}
		}
	}
	if !strings.Contains(stream, "EVALSHA") && !strings.Contains(stream, "evalsha") {
		t.Error("MONITOR has seen no command")
	}
}

// monitor returns what Redis was sent from now on, when it is called.
func monitor(t *testing.T, w *world) (sent func() string) {
	t.Helper()
	c, err := net.Dial("tcp", w.redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "MONITOR\r\n")
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", line, err)
	}
	var all strings.Builder
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			line, err := r.ReadString('\n')
			all.WriteString(line)
			if err != nil || strings.Contains(line, "end of the canaries") {
				return
			}
		}
	}()
	return func() string {
		w.redis.Do(t, "ECHO", "end of the canaries")
		<-ended
		return all.String()
	}
}
