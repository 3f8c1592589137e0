// Command bench measures returnleg beside its peers, in one run on one machine, and prints the tables
// of docs/performance.md:
//
//	go run ./bench
//
// Contenders take turns, round by round; a figure is the median of the rounds. It counts processor
// time, so that other programs of the machine matter less, but for Redis, where requests wait: there it
// is the clock on the wall. Trust ratios and counts all the same.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/returnleg/returnleg/bench/internal/login"
	"github.com/returnleg/returnleg/bench/internal/refresh"
)

// A run is what the flags ask for.
type run struct {
	out      io.Writer
	only     string
	rounds   int
	each     time.Duration
	sessions int
}

func main() {
	login.ServeIfChild()
	refresh.ServeIfChild()
	r := run{out: os.Stdout}
	flag.StringVar(&r.only, "only", "", "measure one of request, login, bytes, stop, starts, redis, refresh (default all)")
	flag.IntVar(&r.rounds, "rounds", 11, "rounds in which the contenders take turns")
	flag.DurationVar(&r.each, "each", 200*time.Millisecond, "processor time of a contender in one round")
	flag.IntVar(&r.sessions, "sessions", 1_000_000, "sessions and starts")
	flag.Parse()
	if err := r.all(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (r *run) all() error {
	parts := []struct {
		name    string
		measure func() error
	}{
		{"request", r.requests},
		{"login", r.logins},
		{"bytes", r.bytes},
		{"stop", r.stops},
		{"starts", r.starts},
		{"redis", r.redis},
		{"refresh", r.refreshes},
	}
	known := r.only == ""
	fmt.Fprintf(r.out, "%s, %s/%s, %d processors; %s\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), peers())
	for _, p := range parts {
		if r.only != "" && r.only != p.name {
			continue
		}
		known = true
		if err := p.measure(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		debug.FreeOSMemory()
	}
	if !known {
		return fmt.Errorf("-only %s: want request, login, bytes, stop, starts, redis or refresh", r.only)
	}
	return nil
}

// peers returns the versions that this program was built with.
func peers() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "versions unknown"
	}
	var versions []string
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/alexedwards/scs/redisstore", "github.com/alexedwards/scs/v2", "github.com/coreos/go-oidc/v3", "github.com/gorilla/sessions",
			"github.com/gomodule/redigo", "github.com/markbates/goth", "golang.org/x/oauth2":
			versions = append(versions, m.Path+" "+m.Version)
		}
	}
	return strings.Join(versions, ", ")
}
