//go:build linux

package redisstore_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// hostile are replies that kill a reader who believes them, or fill its memory.
var hostile = []struct{ name, reply string }{
	{"bulk of 2 GB", "$2147483647\r\n"},
	{"bulk of 1 GB", "$1073741824\r\n"},
	{"bulk of 100 TB", "$99999999999999\r\n"},
	{"bulk of nearly an int64", "$9223372036854775807\r\n"},
	{"bulk of more than an int64", "$18446744073709551617\r\n"},
	{"array of 100 M", "*100000000\r\n"},
	{"array of nearly an int64", "*9223372036854775807\r\n"},
	{"arrays of 100 k, in one another", strings.Repeat("*100000\r\n", 2000)},
	{"a million arrays in one another", strings.Repeat("*1\r\n", 1_000_000)},
	{"a line of 40 MB", "+" + strings.Repeat("x", 40<<20)},
}

// maxGrowth is what F18 allows.
const maxGrowth = 64 << 20

// TestHostileReplies runs in a process of its own, which may take little memory more than it has at
// its start: were a reply believed, that process would end.
func TestHostileReplies(t *testing.T) {
	const variable = "REDISSTORE_HOSTILE"
	switch os.Getenv(variable) {
	case "guarded":
		limitMemory(t)
		surviveHostile(t)
		return
	case "unguarded":
		limitMemory(t)
		dieOfHostile(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		dies bool
	}{
		{"guarded", false},
		{"unguarded", true}, // or else this test shows nothing
	} {
		t.Run(row.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestHostileReplies$", "-test.v")
			cmd.Env = append(os.Environ(), variable+"="+row.name)
			out, err := cmd.CombinedOutput()
			if died := err != nil; died != row.dies {
				t.Errorf("process died: got %v, want %v\n%.4000s", died, row.dies, out)
			}
			if row.dies && (!bytes.Contains(out, []byte("fatal error")) || !bytes.Contains(out, []byte("readReply"))) {
				t.Errorf("got output\n%.4000s\nwant a fatal error in redigo", out)
			}
		})
	}
}

func surviveHostile(t *testing.T) {
	for _, row := range hostile {
		s, _ := open(t, fake(t, func(string, int) string { return row.reply }))
		for _, op := range operations {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			err := op.do(t.Context(), s)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Errorf("%s: %s: got no error", row.name, op.name)
			}
			// The fake server allocates the line that it sends, in this process.
			if grown := after.TotalAlloc - before.TotalAlloc; grown > maxGrowth {
				t.Errorf("%s: %s: allocated %d MiB", row.name, op.name, grown>>20)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: %s: took %v", row.name, op.name, took)
			}
		}
	}
}

func dieOfHostile(t *testing.T) {
	server := fake(t, func(string, int) string { return "$99999999999999\r\n" })
	c, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "redis://"))
	if err != nil {
		t.Fatal(err)
	}
	redis.NewConn(c, time.Second, time.Second).Do("PING")
}

// limitMemory allows this process a gigabyte of addresses more than it has.
func limitMemory(t *testing.T) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("needs /proc")
	}
	var pages uint64
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		t.Fatal(err)
	}
	limit := pages*uint64(os.Getpagesize()) + 1<<30
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
}

// A Guard of a dial of one's own does the same.
func TestGuardOfOnesOwn(t *testing.T) {
	server := fake(t, func(string, int) string { return "$5000\r\n" })
	c, err := redis.Dial("tcp", strings.TrimPrefix(server.URL, "redis://"), redis.DialNetDial(func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err != nil {
			return nil, err
		}
		return redisstore.Guard(c, 4096), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Do("GET", "x"); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got error %v, want one that the reply is too large", err)
	}
}
