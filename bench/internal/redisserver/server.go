// Package redisserver starts the Redis that is measured: on loopback, without persistence, and
// nobody else's.
package redisserver

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// ready is how long the server may take to start.
const ready = 10 * time.Second

// A Server is a redis-server that this process started.
type Server struct {
	addr string
	dir  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Start starts a server on a free port. Close ends it. The error wraps [exec.ErrNotFound] if this
// machine has no redis-server.
func Start() (*Server, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, fmt.Errorf("redisserver: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("redisserver: port: %w", err)
	}
	dir, err := os.MkdirTemp("", "bench-redis")
	if err != nil {
		return nil, fmt.Errorf("redisserver: directory: %w", err)
	}
	s := &Server{addr: net.JoinHostPort("127.0.0.1", port), dir: dir, done: make(chan struct{})}
	s.cmd = exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "no", "--loglevel", "warning")
	if err := s.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("redisserver: start: %w", err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	if err := s.await(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// await returns when the server answers.
func (s *Server) await() error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(ready); time.Now().Before(end); <-tick.C {
		select {
		case <-s.done:
			return errors.New("redisserver: ended while it started")
		default:
		}
		if _, err := s.Do("PING"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("redisserver: no answer within %v", ready)
}

// Close ends the server, and returns when it has ended.
func (s *Server) Close() {
	s.cmd.Process.Kill()
	<-s.done
	os.RemoveAll(s.dir)
}

// URL returns the server's.
func (s *Server) URL() string { return "redis://" + s.addr }

// Do sends a command on a connection of its own.
func (s *Server) Do(command string, args ...any) (any, error) {
	c, err := redis.Dial("tcp", s.addr, redis.DialConnectTimeout(time.Second), redis.DialReadTimeout(ready))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Do(command, args...)
}

// Calls does the work and returns how often the server executed each command meanwhile, by the
// names in capitals. Commands inside of a script and of a transaction are among them.
func (s *Server) Calls(work func() error) (map[string]int, error) {
	if _, err := s.Do("CONFIG", "RESETSTAT"); err != nil {
		return nil, fmt.Errorf("redisserver: reset: %w", err)
	}
	if err := work(); err != nil {
		return nil, err
	}
	info, err := redis.String(s.Do("INFO", "commandstats"))
	if err != nil {
		return nil, fmt.Errorf("redisserver: statistics: %w", err)
	}
	calls := parse(info)
	delete(calls, "CONFIG|RESETSTAT")
	return calls, nil
}

// parse reads the section commandstats of INFO: cmdstat_hgetall:calls=12,usec=…
func parse(info string) map[string]int {
	calls := map[string]int{}
	for line := range strings.Lines(info) {
		stat, ok := strings.CutPrefix(line, "cmdstat_")
		if !ok {
			continue
		}
		name, rest, _ := strings.Cut(stat, ":calls=")
		digits, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.Atoi(digits); err == nil {
			calls[strings.ToUpper(name)] = n
		}
	}
	return calls
}
