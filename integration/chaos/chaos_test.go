package main

import (
	"bytes"
	"testing"
	"time"
)

// What must not happen does not, in a few seconds of each store. The program goes on for as long as one
// likes.
func TestChaos(t *testing.T) {
	for _, o := range []options{
		{store: "memory", length: 2 * time.Second},
		{store: "redis", length: 7 * time.Second},
		{store: "postgres", length: 5 * time.Second},
		{store: "sentinel", length: 3 * time.Second, failover: "planned"},
		{store: "cluster", length: 3 * time.Second, failover: "planned"},
	} {
		t.Run(o.store, func(t *testing.T) {
			o.people, o.pace = 8, 40*time.Millisecond
			o.seed = uint64(time.Now().UnixNano())
			var log, seen bytes.Buffer
			r, err := run(t, o, &log)
			if err != nil {
				t.Fatal(err)
			}
			r.print(&seen)
			t.Logf("\n%s", &seen)
			if n := r.bad(); n > 0 {
				t.Errorf("%d things happened that must not; the log of the apps:\n%s", n, &log)
			}
		})
	}
}
