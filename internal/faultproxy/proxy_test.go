package faultproxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/faultproxy"
)

// echo returns the address of a server that sends back prefix and then what it is sent.
func echo(t *testing.T, prefix string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, prefix)
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T, backend string) *faultproxy.Proxy {
	p, err := faultproxy.Listen(backend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func dial(t *testing.T, p *faultproxy.Proxy) net.Conn {
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// trip sends text and returns what comes back within d, and how it ended.
func trip(c net.Conn, text string, d time.Duration) (string, error) {
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, len(text))
	n, err := io.ReadFull(c, b)
	return string(b[:n]), err
}

// refused reports whether a new connection gets no answer, or is not even made.
func refused(p *faultproxy.Proxy) bool {
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		return true
	}
	defer c.Close()
	_, err = trip(c, "x", long)
	return err != nil
}

const (
	long  = 10 * time.Second
	short = 50 * time.Millisecond
)

func TestForwards(t *testing.T) {
	p := listen(t, echo(t, ""))
	text := strings.Repeat("0123456789", 100_000)
	c := dial(t, p)
	go io.WriteString(c, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Errorf("got %d bytes, %v, want what was sent", len(got), err)
	}
	if p.Accepted() != 1 || p.Open() != 1 {
		t.Errorf("got %d accepted and %d open, want 1 and 1", p.Accepted(), p.Open())
	}
}

func TestFaults(t *testing.T) {
	upper := func(b []byte) []byte { return bytes.ToUpper(b) }
	rows := []struct {
		name    string
		fault   faultproxy.Fault
		within  time.Duration
		want    string
		err     error
		atLeast time.Duration
	}{
		{"none", faultproxy.Fault{}, long, "hello", nil, 0},
		{"blackhole", faultproxy.Fault{Blackhole: true}, short, "", os.ErrDeadlineExceeded, 0},
		{"delay", faultproxy.Fault{Delay: 30 * time.Millisecond}, long, "hello", nil, 30 * time.Millisecond},
		{"delay, less patience", faultproxy.Fault{Delay: time.Hour}, short, "", os.ErrDeadlineExceeded, 0},
		{"drip", faultproxy.Fault{Drip: 5 * time.Millisecond}, long, "hello", nil, 25 * time.Millisecond},
		{"cut at once", faultproxy.Fault{Cut: true}, long, "", syscall.ECONNRESET, 0},
		{"rewrite", faultproxy.Fault{Rewrite: upper}, long, "HELLO", nil, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			p := listen(t, echo(t, ""))
			c := dial(t, p)
			if got, err := trip(c, "first", long); got != "first" || err != nil {
				t.Fatalf("got %q, %v before the fault", got, err)
			}
			p.Set(row.fault)
			start := time.Now()
			got, err := trip(c, "hello", row.within)
			if got != row.want || !errors.Is(err, row.err) {
				t.Errorf("got %q, %v, want %q, %v", got, err, row.want, row.err)
			}
			if took := time.Since(start); took < row.atLeast {
				t.Errorf("took %v, want %v at least", took, row.atLeast)
			}
		})
	}
}

// A connection is cut in the middle of an answer: what came before may arrive or not, what comes
// after never does.
func TestCutAfter(t *testing.T) {
	p := listen(t, echo(t, ""))
	c := dial(t, p)
	p.Set(faultproxy.Fault{Cut: true, CutAfter: 3})
	got, err := trip(c, "hello", long)
	if len(got) > 3 || err == nil {
		t.Errorf("got %q, %v, want at most 3 bytes and an error", got, err)
	}
	p.Set(faultproxy.Fault{})
	if got, err := trip(dial(t, p), "hello", long); got != "hello" || err != nil {
		t.Errorf("got %q, %v after the fault", got, err)
	}
}

// What a black hole took comes out when it ends.
func TestBlackholeEnds(t *testing.T) {
	p := listen(t, echo(t, ""))
	c := dial(t, p)
	p.Set(faultproxy.Fault{Blackhole: true})
	if got, err := trip(c, "hello", short); got != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %q, %v from a black hole", got, err)
	}
	p.Set(faultproxy.Fault{})
	c.SetReadDeadline(time.Now().Add(long))
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestRefuse(t *testing.T) {
	p := listen(t, echo(t, ""))
	old := dial(t, p)
	if got, err := trip(old, "first", long); got != "first" || err != nil {
		t.Fatalf("got %q, %v before the fault", got, err)
	}
	p.Set(faultproxy.Fault{Refuse: true})
	if !refused(p) {
		t.Error("got an answer on a new connection")
	}
	if got, err := trip(old, "hello", long); got != "hello" || err != nil {
		t.Errorf("got %q, %v on an old connection", got, err)
	}
}

func TestReset(t *testing.T) {
	p := listen(t, echo(t, ""))
	c := dial(t, p)
	if got, err := trip(c, "first", long); got != "first" || err != nil {
		t.Fatalf("got %q, %v before the reset", got, err)
	}
	p.Reset()
	c.SetReadDeadline(time.Now().Add(long))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want %v", err, syscall.ECONNRESET)
	}
}

func TestSetBackend(t *testing.T) {
	p := listen(t, echo(t, "a"))
	old := dial(t, p)
	if got, err := trip(old, "x", long); got != "a" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	p.SetBackend(echo(t, "b"))
	if got, err := trip(dial(t, p), "x", long); got != "b" || err != nil {
		t.Errorf("got %q, %v on a new connection, want b", got, err)
	}
	if got, err := trip(old, "y", long); got != "x" || err != nil {
		t.Errorf("got %q, %v on an old connection, want the echo", got, err)
	}
}

func TestBackendDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := listen(t, l.Addr().String())
	if !refused(p) {
		t.Error("got an answer from nobody")
	}
}
