//go:build linux

package redisstore_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/returnleg/returnleg/sessionstore/redisstore"
)

// hostile are replies that kill a reader who believes them, or fill its memory.
var hostile = []struct {
	name, reply string
	more        int // bytes that follow
}{
	{"bulk of 2 GB", "$2147483647\r\n", 0},
	{"bulk of 1 GB", "$1073741824\r\n", 0},
	{"bulk of 100 TB", "$99999999999999\r\n", 0},
	{"bulk of nearly an int64", "$9223372036854775807\r\n", 0},
	{"bulk of more than an int64", "$18446744073709551617\r\n", 0},
	{"array of 100 M", "*100000000\r\n", 0},
	{"array of nearly an int64", "*9223372036854775807\r\n", 0},
	{"arrays of 100 k, in one another", strings.Repeat("*100000\r\n", 2000), 0},
	{"a million arrays in one another", strings.Repeat("*1\r\n", 1_000_000), 0},
	{"a line of 100 MB", "+", 100 << 20},
}

// unguarded are replies that redigo by itself dies of.
var unguarded = []int{0, 1, 2, 9}

// maxGrowth is what F18 allows.
const maxGrowth = 64 << 20

// TestHostileReplies runs in a process of its own, which the system gives maxGrowth more memory than it
// has at its start: were a reply believed, that process would end.
func TestHostileReplies(t *testing.T) {
	const variable = "REDISSTORE_HOSTILE"
	if kind, servers, ok := strings.Cut(os.Getenv(variable), " "); ok {
		limitMemory(t)
		if kind == "guarded" {
			surviveHostile(t, strings.Fields(servers))
			return
		}
		dieOfHostile(t, servers)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := func(kind, servers string) (out []byte, died bool) {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestHostileReplies$", "-test.v")
		cmd.Env = append(os.Environ(), variable+"="+kind+" "+servers, "GOMAXPROCS=2") // each thread has a stack
		out, err := cmd.CombinedOutput()
		return out, err != nil
	}
	var all []string
	for _, row := range hostile {
		tail := strings.Repeat("x", row.more)
		all = append(all, fake(t, func(string, int) string { return row.reply + tail }).URL)
	}
	t.Run("guarded", func(t *testing.T) {
		if out, died := run("guarded", strings.Join(all, " ")); died {
			t.Errorf("the process died:\n%.4000s", out)
		}
	})
	// Or else this test shows nothing.
	for _, i := range unguarded {
		t.Run("unguarded, "+hostile[i].name, func(t *testing.T) {
			out, died := run("unguarded", all[i])
			if !died || !bytes.Contains(out, []byte("fatal error")) && !bytes.Contains(out, []byte("failed to allocate")) { // the latter by -race
				t.Errorf("the process died: %v; want a fatal error\n%.4000s", died, out)
			}
		})
	}
}

func surviveHostile(t *testing.T, servers []string) {
	began := memory(t, "VmData")
	for i, url := range servers {
		s, _ := open(t, redisstore.Server{URL: url})
		for _, op := range operations {
			if err := op.do(t.Context(), s); err == nil {
				t.Errorf("%s: %s: got no error", hostile[i].name, op.name)
			}
			// Go gives back no addresses: this is the most that there ever was.
			if now := memory(t, "VmData"); now > began+maxGrowth {
				t.Fatalf("%s: %s: the process has grown by %d MiB", hostile[i].name, op.name, (now-began)>>20)
			}
		}
	}
}

func dieOfHostile(t *testing.T, server string) {
	c, err := net.Dial("tcp", strings.TrimPrefix(server, "redis://"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = redis.NewConn(c, time.Minute, time.Minute).Do("PING")
	t.Log(err)
}

// limitMemory allows this process maxGrowth more addresses than it has, and as much more that can be
// written: each of the two misses something, the one what Go has reserved, the other what it writes to
// first.
func limitMemory(t *testing.T) {
	for resource, line := range map[int]string{syscall.RLIMIT_AS: "VmSize", syscall.RLIMIT_DATA: "VmData"} {
		limit := memory(t, line) + maxGrowth
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			t.Fatal(err)
		}
	}
}

// memory returns what the system says of this process, in bytes.
func memory(t *testing.T, line string) uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), line+":")
	var kib uint64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
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
