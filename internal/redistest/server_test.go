//go:build unix

package redistest_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/returnleg/returnleg/internal/redistest"
)

// A port is free, with the one of a cluster's bus, and no listener that asks for any port gets it.
func TestFreePort(t *testing.T) {
	for range 20 {
		port := redistest.FreePort(t)
		if port < 1024 || port+10000 >= 32768 {
			t.Errorf("got port %d, and %d for a cluster's bus, want both below 32768", port, port+10000)
		}
		for _, p := range []int{port, port + 10000} {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}
