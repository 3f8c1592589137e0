package refresh_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/returnleg/returnleg/bench/internal/refresh"
	"github.com/returnleg/returnleg/internal/required"
)

func TestMain(m *testing.M) {
	refresh.ServeIfChild()
	os.Exit(m.Run())
}

// The rows of the table are what they say: one refresh for us, and more than that for the peers, of which
// a strict provider takes one.
func TestRun(t *testing.T) {
	rig, err := refresh.Start()
	if errors.Is(err, exec.ErrNotFound) {
		required.Missing(t, "redis-server", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rig.Close)
	for _, s := range refresh.All() {
		if s.Sessions > 1 || s.Requests > 50 || s.Slow > time.Second {
			continue // they take longer, and are the same program
		}
		t.Run(s.Contender, func(t *testing.T) {
			s.Requests = 10
			got, err := rig.Run(s)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", got)
			if s.Contender == "returnleg" {
				if got.Calls != 1 || got.Refused != 0 || got.Answered != s.All() || got.Tokens != 1 {
					t.Errorf("got %+v, want one refresh and one token for all", got)
				}
				if got.Sent < 1 || got.Executed < got.Sent {
					t.Errorf("%.2f and %.2f commands for each request: not counted", got.Sent, got.Executed)
				}
				return
			}
			if got.Calls < 2 || got.Calls-got.Refused != 1 || got.Answered == s.All() {
				t.Errorf("got %+v, want more than one refresh and all but one refused", got)
			}
		})
	}
}
