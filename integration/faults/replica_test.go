package faults_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	example "github.com/returnleg/returnleg/integration/internal/app"
	"github.com/returnleg/returnleg/integration/internal/child"
	"github.com/returnleg/returnleg/providers/providertest"
)

// A library is the example program, as one of several processes behind one address.
type library struct {
	w       *world
	program string
	addrs   [2]string
	running [2]*child.Process
}

func startLibrary(t *testing.T, w *world) *library {
	t.Helper()
	l := &library{w: w, program: filepath.Join(t.TempDir(), "example")}
	build := exec.Command("go", "build", "-o", l.program, ".")
	build.Dir = filepath.Join("..", "..", "example") // a module of its own
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./example: %v\n%s", err, out)
	}
	for i := range l.addrs {
		l.addrs[i] = example.Address(t)
		l.start(i)
	}
	return l
}

func (l *library) start(i int) {
	l.w.t.Helper()
	cmd := exec.Command(l.program)
	cmd.Dir = l.w.t.TempDir()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "ADDR=" + l.addrs[i], "BASE_URL=" + baseURL, "STORE=" + l.w.redis.URL(), "KEYS=" + l.w.keys,
		"OIDC_ISSUER=" + l.w.idp.Issuer(), "OIDC_CLIENT_ID=" + providertest.ClientID, "OIDC_CLIENT_SECRET=" + providertest.ClientSecret,
	}
	l.running[i] = child.Start(l.w.t, cmd)
	l.running[i].Line(l.w.t, func(line string) bool { return strings.HasPrefix(line, "Video library:") })
}

// TestExample runs two processes of the example on one Redis: a sign-in starts on one and comes back
// to the other, every request goes to the other one, and either is killed at any moment.
func TestExample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := startLibrary(t, w)
	// The steps of somebody's way. Before each of them the other process takes over.
	steps := []string{"start", "callback", "page", "account", "sign out", "signed out"}
	for kill := -1; kill < len(steps); kill++ {
		name := "nobody is killed"
		if kill >= 0 {
			name = "killed before " + steps[kill]
		}
		t.Run(name, func(t *testing.T) {
			v := &visit{b: w.browser(person(kill+1), l.addrs[0])}
			for i, step := range steps {
				at := (i + kill + 1) % 2
				if i == kill { // who answered last
					l.running[1-at].Kill()
				}
				v.b.to(l.addrs[at])
				if err := v.step(step); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
				if i == kill {
					l.start(1 - at)
				}
			}
			w.onceOnly()
		})
	}
}

// A visit is somebody's way through the example.
type visit struct {
	b        *browser
	callback string
}

func (v *visit) step(name string) error {
	b := v.b
	var got answer
	want := http.StatusOK
	switch name {
	case "start":
		got, want = b.open("/videos"), http.StatusSeeOther
		if got.status != want {
			break
		}
		var err error
		if v.callback, err = b.approve(got.header.Get("Location")); err != nil {
			return err
		}
	case "callback":
		got, want = b.open(v.callback), http.StatusSeeOther
		if to := got.header.Get("Location"); to != "/videos" {
			return fmt.Errorf("landed at %q: %v", to, got)
		}
	case "page":
		got = b.open("/")
		if !strings.Contains(got.body, b.who) { // the name of the person
			return fmt.Errorf("got %v, want a page that knows %s", got, b.who)
		}
	case "account":
		got = b.open("/api/me")
		if !strings.Contains(got.body, b.subject()) {
			return fmt.Errorf("got %v, want %s", got, b.subject())
		}
	case "sign out":
		got, want = b.post("/auth/logout", url.Values{}), http.StatusSeeOther
	case "signed out":
		r := b.request(http.MethodGet, "/api/me", nil)
		r.Header.Set("Sec-Fetch-Dest", "empty")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		got, want = b.do(r), http.StatusUnauthorized
	}
	if got.status != want {
		return fmt.Errorf("got %v, want %d", got, want)
	}
	return nil
}
