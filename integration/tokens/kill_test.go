package tokens_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// A moment of a refresh is when something befalls the process that is at it.
type moment string

const (
	marked   moment = "after mark"   // the mark is in the store, the request is not sent
	asked    moment = "asked"        // the provider has the request, and has not looked at it
	answered moment = "answered"     // it has traded the token, and answers
	saving   moment = "before grant" // the process has the answer, and is about to save it
)

// once has f called at that moment of the next refresh of a process, and never again.
func (p *practice) once(at *process, m moment, f func()) {
	var one sync.Once
	p.watch(func(when string) {
		if moment(when) == m {
			one.Do(f)
		}
	})
	theirs := func(r *http.Request) bool {
		return r.PostForm.Get("grant_type") == "refresh_token" && r.PostForm.Get("process") == at.name
	}
	p.idp.Set(func(b *providertest.Behavior) {
		b.Token = providertest.When(theirs, func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if m == asked {
				one.Do(f)
			}
			providertest.RewriteBody(func(body string) string {
				if m == answered {
					one.Do(f)
				}
				return body
			})(w, r, next)
		})
	})
}

// TestKilled kills processes in the middle of a refresh, at an exact point: F2 and F5. Another process
// goes on: it takes the mark over when it has not changed for 45 seconds, and sends the token once more.
func TestKilled(t *testing.T) {
	t.Parallel()
	strict, grace := providertest.RotateStrict, providertest.RotateGrace
	rows := []struct {
		name     string
		rotation providertest.Rotation
		at       []moment // in turn
		lost     bool     // what the provider gave is lost, and it takes the token no more
	}{
		{"before the provider has answered, strict", strict, []moment{marked, asked}, false},
		{"before the provider has answered, some grace", grace, []moment{marked, asked}, false},
		{"between answer and save, strict", strict, []moment{answered, saving}, true},
		{"between answer and save, some grace", grace, []moment{answered, saving}, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newPractice(t)
			w.idp.Set(func(b *providertest.Behavior) { b.Rotation = row.rotation })
			kills := trials(t, "RETURNLEG_KILLS", 100)
			other := w.spawn(false)
			w.shortLived()
			victims := w.visitors(kills, other)
			bystanders := w.visitors(people, other) // other sessions of the same people
			w.expire()
			ends := make([]end, kills)
			var wg sync.WaitGroup
			for i, v := range victims {
				p := w.spawn(true)
				w.once(p, row.at[i%len(row.at)], func() {
					p.Kill()
					panic(http.ErrAbortHandler) // whoever waits for this answer is gone, and the token stays as it is
				})
				if a := v.fetch(p, "/token"); a.err == nil {
					t.Errorf("got %v, want a process that was killed", a)
				}
				<-p.Ended()
				// The next one is killed meanwhile.
				wg.Go(func() { ends[i] = v.goOn(other) })
			}
			wg.Wait()
			signIns := 0
			for i, e := range ends {
				signIns += e.signIns
				if e.err != nil {
					t.Errorf("killed %s: %v", row.at[i%len(row.at)], e.err)
				}
			}
			if want := map[bool]int{true: kills}[row.lost]; signIns != want {
				t.Errorf("%d sign-ins, want %d", signIns, want)
			}
			l := w.idp.Ledger()
			sent := map[string]int{}
			twice := 0
			for _, r := range l.Refreshes() {
				token := r.Form.Get("refresh_token")
				if sent[token]++; sent[token] == 2 {
					twice++
				}
				if sent[token] > 2 {
					t.Errorf("a refresh token was sent %d times, want 2 at most", sent[token])
				}
			}
			if l.FamiliesRevoked != signIns {
				t.Errorf("%d families revoked, want %d", l.FamiliesRevoked, signIns)
			}
			t.Logf("%d kills: %d tokens sent twice, %d new sign-ins", kills, twice, signIns)
			last := w.spawn(false)
			for _, v := range append(victims, bystanders...) {
				if err := v.got(v.fetch(last, "/refresh")); err != nil {
					t.Errorf("in the end: %v", err)
				}
			}
		})
	}
}

// An end is how somebody came out of it.
type end struct {
	signIns int
	err     error
}

// goOn asks p for the token, as often as the person would, and signs in again if told to.
func (v *visitor) goOn(p *process) (e end) {
	for range 3 {
		a := v.patient(p, "/token")
		if a.status != http.StatusUnauthorized {
			e.err = v.got(a)
			return e
		}
		if e.signIns++; e.signIns > 1 {
			break
		}
		if e.err = v.signIn(p); e.err != nil {
			return e
		}
	}
	e.err = fmt.Errorf("%s is sent to sign in again and again", v.who)
	return e
}

// patient asks p until it has an answer: whoever holds the mark is waited for, for 45 seconds.
func (v *visitor) patient(p *process, path string) answer {
	ask := time.NewTicker(time.Second)
	defer ask.Stop()
	end := time.After(2 * time.Minute)
	for {
		a := v.fetch(p, path)
		if a.status != http.StatusServiceUnavailable {
			return a
		}
		select {
		case <-ask.C:
		case <-end:
			return a
		}
	}
}

// trials returns the number that the environment asks for, or the usual one.
func trials(t testing.TB, name string, usual int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return usual
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
