// Package app runs the example program as its users do: built, configured by its environment, and
// ended by a signal.
package app

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/integration/internal/child"
)

// An App is a running example.
type App struct {
	URL      string // where browsers find it
	Practice string // the issuer of its practice provider; "" if another one was configured

	process *child.Process
}

// Address returns a free address on 127.0.0.1. Its port is below those that the system hands out by
// itself, so nobody takes it before the app does; and even, since a practice provider takes the one after
// its app's.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := 20000 + 2*rand.IntN(6000)
		if free(port) && free(port+1) {
			return local(port)
		}
	}
	t.Fatal("no free port")
	return ""
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func free(port int) bool {
	l, err := net.Listen("tcp", local(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Start builds the example in the module at root, starts it at address, and waits until it says that
// it is ready. environment has more variables, such as "OIDC_ISSUER=http://localhost:9000"; none of
// those that this process was started with reaches it, except PATH and the like.
func Start(t testing.TB, root, address string, environment ...string) *App {
	t.Helper()
	return start(t, root, "", address, environment)
}

// StartSQL is like Start, and builds an example that opens SQLite and PostgreSQL.
func StartSQL(t testing.TB, root, address string, environment ...string) *App {
	t.Helper()
	return start(t, root, "sql", address, environment)
}

func start(t testing.TB, root, tags, address string, environment []string) *App {
	t.Helper()
	program := filepath.Join(t.TempDir(), "example")
	build := exec.Command("go", "build", "-tags", tags, "-o", program, ".")
	build.Dir = filepath.Join(root, "example")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./example: %v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Dir = t.TempDir() // it needs no file beside it
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "ADDR=" + address}, environment...)
	a := &App{process: child.Start(t, cmd)}
	ready := a.process.Line(t, func(line string) bool { return strings.HasPrefix(line, "Video library:") })
	_, a.URL, _ = strings.Cut(ready, ":")
	a.URL = strings.TrimSpace(a.URL)
	for line := range strings.Lines(a.process.Output()) {
		if issuer, ok := strings.CutPrefix(line, "Practice provider:"); ok {
			a.Practice = strings.TrimSpace(issuer)
		}
	}
	return a
}

// Output returns what the app has printed so far, its log included.
func (a *App) Output() string { return a.process.Output() }

// Kill ends the app without warning.
func (a *App) Kill() { a.process.Kill() }

// Stop ends the app by SIGTERM and returns how it ended.
func (a *App) Stop() error { return a.process.Stop() }
