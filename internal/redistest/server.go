// Package redistest starts Redis servers for tests, on loopback and free ports, and breaks them.
package redistest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/internal/required"
)

// ready is how long a server may take to start or to reach a state.
const ready = 30 * time.Second

// A Server is a redis-server that a test started. It ends with the test.
type Server struct {
	Addr string // host:port
	Port int
	Dir  string // its working directory, empty at the start

	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start starts a server with these settings, such as "--maxmemory", "1mb", besides a port, a
// directory, and no persistence. It skips the test if there is no redis-server on this machine,
// and fails it instead where RETURNLEG_REQUIRE=1.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := prepare(t)
	s.args = append([]string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir,
		"--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--loglevel", "warning",
		"--repl-diskless-sync-delay", "0",
	}, args...)
	s.Restart(t)
	t.Cleanup(s.Kill)
	return s
}

// StartSentinel starts a Sentinel with these lines of configuration.
func StartSentinel(t testing.TB, config string) *Server {
	t.Helper()
	s := prepare(t)
	file := filepath.Join(s.Dir, "sentinel.conf")
	lines := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n%s\n", s.Port, s.Dir, config)
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{file, "--sentinel"}
	s.Restart(t)
	t.Cleanup(s.Kill)
	return s
}

func prepare(t testing.TB) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		required.Missing(t, "redis-server", err)
	}
	port := FreePort(t)
	return &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Port: port, Dir: t.TempDir()}
}

// FreePort returns a port of loopback that nobody listens on, nor 10000 above it, which a cluster's bus
// takes. Both are below those that systems give to whoever asks for any: a listener of another test would
// now and then get the port of a server that has not started yet, or is down to be restarted.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		if port := 10000 + rand.N(12000); free(port) && free(port+10000) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// Restart starts the server's process after [Server.Kill], with the port and settings of before.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Dir = s.Dir
	detach(s.cmd)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, done := s.cmd, make(chan struct{})
	s.done = done
	go func() {
		cmd.Wait()
		close(done)
	}()
	s.Await(t, "PONG", "PING")
}

// URL returns the server's.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Kill ends the server's process without warning, and returns when it has ended.
func (s *Server) Kill() {
	resume(s.cmd.Process) // what was stopped would not end
	s.cmd.Process.Kill()
	<-s.done
}

// Stop makes the server hang: it accepts connections, and does nothing. The test's end, and
// Continue, make it go on.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := pause(s.cmd.Process); err != nil {
		t.Fatal(err)
	}
}

// Continue ends what Stop began.
func (s *Server) Continue(t testing.TB) {
	t.Helper()
	if err := resume(s.cmd.Process); err != nil {
		t.Fatal(err)
	}
}

// Do sends a command on a connection of its own.
func (s *Server) Do(t testing.TB, command string, args ...any) any {
	t.Helper()
	reply, err := s.Try(command, args...)
	if err != nil {
		t.Fatalf("redis: %s: %v", command, err)
	}
	return reply
}

// Text is Do for a reply that is text.
func (s *Server) Text(t testing.TB, command string, args ...any) string {
	t.Helper()
	text, err := redis.String(s.Do(t, command, args...), nil)
	if err != nil {
		t.Fatalf("redis: %s: %v", command, err)
	}
	return text
}

// Try is Do for a command that may fail, such as one to a server that is about to end.
func (s *Server) Try(command string, args ...any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c, err := redis.DialContext(ctx, "tcp", s.Addr, redis.DialReadTimeout(5*time.Second), redis.DialWriteTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Do(command, args...)
}

// Await sends a command until its reply is want, or fails the test.
func (s *Server) Await(t testing.TB, want, command string, args ...any) {
	t.Helper()
	s.AwaitFunc(t, func(reply string) bool { return reply == want }, command, args...)
}

// AwaitFunc sends a command until ok says that its reply is what is awaited, or fails the test.
func (s *Server) AwaitFunc(t testing.TB, ok func(reply string) bool, command string, args ...any) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(ready)
	for {
		reply, err := redis.String(s.Try(command, args...))
		if err == nil && ok(reply) {
			return
		}
		select {
		case <-tick.C:
		case <-s.done:
			t.Fatal("redis-server has ended")
		case <-deadline:
			t.Fatalf("redis: %s: got %q, %v, after %v", command, reply, err, ready)
		}
	}
}

// Commands returns how often each command was called since the server started, in capitals.
func (s *Server) Commands(t testing.TB) map[string]int {
	t.Helper()
	return commands(s.Text(t, "INFO", "commandstats"))
}
