package tokens_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// A process that stands still is waited for, for 45 seconds.
const (
	pauseTime = 9 * time.Second
	deadTime  = 50 * time.Second
)

// TestPaused stops the process that holds the mark, as a long collection of garbage or a machine that
// is moved would, and lets it go on: F7. The token that it has sent, or may have, is not sent again by another
// process meanwhile. Only when it stands still for longer is it taken for dead, and comes too late then.
func TestPaused(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name     string
		rotation providertest.Rotation
		at       moment
		pause    time.Duration
		want     int // status of both answers in the end
		sent     int // times that the token was sent
	}{
		{"before it sends the token, strict", providertest.RotateStrict, marked, pauseTime, http.StatusOK, 1},
		{"with the answer, strict", providertest.RotateStrict, saving, pauseTime, http.StatusOK, 1},
		{"before it sends the token, for long, strict", providertest.RotateStrict, marked, deadTime, http.StatusOK, 1},
		{"with the answer, for long, some grace", providertest.RotateGrace, saving, deadTime, http.StatusOK, 2},
		{"with the answer, for long, strict", providertest.RotateStrict, saving, deadTime, http.StatusUnauthorized, 2}, // as if it had been killed
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newPractice(t)
			w.idp.Set(func(b *providertest.Behavior) { b.Rotation = row.rotation })
			holder, other := w.spawn(true), w.spawn(false)
			w.shortLived()
			v := w.visitors(1, other)[0]
			w.expire()
			paused := make(chan struct{})
			w.once(holder, row.at, func() {
				if err := holder.Pause(); err != nil {
					t.Error(err)
				}
				close(paused)
			})
			late := make(chan answer, 1)
			go func() { late <- v.fetch(holder, "/token") }()
			<-paused
			end := time.After(row.pause)
			if a := v.fetch(other, "/token"); a.status != http.StatusServiceUnavailable {
				t.Errorf("while it stands still: %v, want 503", a)
			}
			<-end
			if row.pause == deadTime { // the other has gone on without it
				v.patient(other, "/token")
			}
			if err := holder.Continue(); err != nil {
				t.Fatal(err)
			}
			last := <-late
			first := v.patient(other, "/token")
			if first.status != row.want || last.status != row.want || first.token != last.token {
				t.Errorf("got %v, and of the one that was stopped %v, want %d and one token", first, last, row.want)
			}
			if n := len(w.idp.Ledger().Refreshes()); n != row.sent {
				t.Errorf("the token was sent %d times, want %d", n, row.sent)
			}
			signIns := 0
			if row.want != http.StatusOK {
				signIns = 1
			}
			if e := v.goOn(holder); e.err != nil || e.signIns != signIns {
				t.Errorf("afterwards: %d sign-ins, want %d: %v", e.signIns, signIns, e.err)
			}
			// The provider still takes what both of them hold.
			if err := v.got(v.fetch(other, "/refresh")); err != nil {
				t.Errorf("the next refresh: %v", err)
			}
		})
	}
}
