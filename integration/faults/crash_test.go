package faults_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// The writes of a first sign-in, in their order. The code is sent to the provider between the first
// and the second.
const signInWrites = 7 // redemption; account, person, account; index; session; redemption

// A death is a process that is killed during a request.
type death struct {
	name    string
	die     dieAt
	b       *browser
	process *process
	request string // what it was killed in
}

// TestCrash_callback kills a process at each write of a sign-in: F1 and F4, and the crash windows of
// index, session and mark. Another process on the same Redis goes on.
func TestCrash_callback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	s.MaxActive = 256 // in the end all of them come back at once
	other := w.app(s)
	var deaths []*death
	for round := range trials(t, "RETURNLEG_KILLS", 1) {
		for n := 1; n <= signInWrites; n++ {
			for _, after := range []bool{false, true} {
				name := fmt.Sprintf("round %d, before write %d", round, n)
				if after {
					name = fmt.Sprintf("round %d, after write %d", round, n)
				}
				deaths = append(deaths, &death{name: name, die: dieAt{n, after}})
			}
		}
	}
	for i, d := range deaths {
		d.process = w.spawn(withDeath(s, d.die))
		d.b = w.browser(person(i), d.process.addr)
		if i%2 == 0 { // comes back to a session that is there already
			d.b.open("/put?v=kept")
		}
		d.request = d.b.leave("/who")
		if a := d.b.open(d.request); a.err == nil {
			t.Errorf("%s: got %v, want a process that was killed", d.name, a)
		}
		<-d.process.Ended()
		d.b.to(other.addr)
		if got := d.b.open("/who"); got.body != nobody {
			t.Errorf("%s: afterwards, without the answer's cookie: got %v, want %s", d.name, got, nobody)
		}
		// Every session that came to be can be found and ended.
		if err := other.auth.SignOutUser(t.Context(), w.idp.Issuer()+"|"+d.b.subject()); err != nil {
			t.Errorf("%s: SignOutUser: %v", d.name, err)
		}
		if left := w.members(other); left > 0 {
			t.Errorf("%s: %d sessions are left that SignOutUser did not find", d.name, left)
		}
	}
	w.onceOnly()

	var wg sync.WaitGroup
	for _, d := range deaths {
		// The person does not wait for it, and starts again elsewhere.
		second := w.browser(d.b.who, other.addr)
		wg.Go(func() { d.goOn(t) })
		wg.Go(func() {
			if err := second.signIn("/who"); err != nil {
				t.Errorf("%s: sign in elsewhere: %v", d.name, err)
			}
		})
	}
	wg.Wait()
	w.onceOnly()
}

// settles loads a page as often as it asks for that, as browsers do, and returns the last answer, which
// took as long as all of them.
func (b *browser) settles(t testing.TB, target string) answer {
	began := time.Now()
	for {
		a := b.once(b.request(http.MethodGet, target, nil))
		refresh := a.header.Get("Refresh")
		if refresh == "" {
			a.took = time.Since(began)
			return a
		}
		// A page about a callback that was refused goes on to an address without the code.
		if _, to, ok := strings.Cut(refresh, ";url="); ok {
			target = to
			continue
		}
		if a.status != http.StatusAccepted || len(a.cleared) > 0 || a.took > 10*time.Second+slack {
			t.Errorf("a page that asks again: %v after %v", a, a.took)
		}
		if time.Since(began) > time.Minute {
			return a
		}
		<-time.After(time.Second)
	}
}

// goOn checks what the person sees of a death: a reload that says what happened, or where they are;
// and a sign-in that works.
func (d *death) goOn(t *testing.T) {
	a := d.b.settles(t, d.request)
	switch {
	case a.err != nil || a.took > time.Minute:
		t.Errorf("%s: reload: %v after %v", d.name, a, a.took)
	case a.status == http.StatusSeeOther && a.header.Get("Location") == "/who":
	case a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "start again"):
	default:
		t.Errorf("%s: reload: got %v, want the landing page or a page that offers to start again", d.name, a)
	}
	if err := d.b.signIn("/who"); err != nil {
		t.Errorf("%s: sign in again: %v", d.name, err)
		return
	}
	if got := d.b.open("/who"); got.body != d.b.subject() {
		t.Errorf("%s: signed in again as %v, want %s", d.name, got, d.b.subject())
	}
}

func withDeath(s settings, d dieAt) settings {
	s.On, s.Die = "/auth/idp/callback", d
	return s
}

// members returns how many sessions are in the store in which somebody is signed in.
func (w *world) members(a *local) int {
	w.t.Helper()
	n := 0
	for _, id := range w.ids("session") {
		if isMember(w.t, a, id) {
			n++
		}
	}
	return n
}

// TestCrash_endedMeanwhile signs a person out everywhere, from another process, just before a write
// of their sign-in, and kills the process of the sign-in at each write after that. No session that
// anybody could show a cookie for outlives that.
func TestCrash_endedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	other := w.app(s)
	user := ""
	out := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := other.auth.SignOutUser(r.Context(), user); err != nil {
			t.Errorf("SignOutUser: %v", err)
		}
	}))
	t.Cleanup(out.Close)
	known := w.browser("ada", other.addr).sure()
	user = w.idp.Issuer() + "|" + known.subject()
	// Of somebody who is known: redemption, account, index, session, redemption.
	for call := 1; call <= 5; call++ {
		for n := call; n <= 5; n++ {
			for _, after := range []bool{false, true} {
				name := fmt.Sprintf("signed out before write %d, killed at write %d (after: %v)", call, n, after)
				d := withDeath(s, dieAt{n, after})
				d.Call = callAt{call, out.URL}
				p := w.spawn(d)
				b := w.browser("ada", p.addr)
				callback := b.leave("/who")
				if a := b.open(callback); a.err == nil && a.status < 400 {
					t.Errorf("%s: got %v, want a process that was killed, or a refusal", name, a)
				}
				p.Kill()
				b.to(other.addr)
				// What the sign-in had not entered yet it may enter afterwards, and be signed in.
				if left := w.members(other); left > 0 && call > 2 {
					t.Errorf("%s: %d sessions have outlived it", name, left)
				}
				if err := other.auth.SignOutUser(t.Context(), user); err != nil {
					t.Errorf("%s: SignOutUser: %v", name, err)
				}
				if left := w.members(other); left > 0 {
					t.Errorf("%s: %d sessions are left that SignOutUser did not find", name, left)
					w.redis.Do(t, "FLUSHALL")
				}
				if got := b.open("/who"); got.body != nobody {
					t.Errorf("%s: afterwards: got %v, want %s", name, got, nobody)
				}
			}
		}
	}
	w.onceOnly()
}

// TestCrash_signOut kills a process at each write of a sign-out. Either the person is still signed in
// and can sign out again, or they are signed out; what was ended stays so.
func TestCrash_signOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.settings()
	other := w.app(s)
	for _, path := range []string{"/auth/logout", "/everywhere"} {
		for n := 1; n <= 3; n++ {
			for _, after := range []bool{false, true} {
				name := fmt.Sprintf("%s, write %d (after: %v)", path, n, after)
				b := w.browser("ada", other.addr).sure()
				second := w.browser("ada", other.addr).sure()
				d := s
				d.On, d.Die = path, dieAt{n, after}
				p := w.spawn(d)
				b.to(p.addr)
				a := b.post(path, nil)
				died := a.err != nil
				b.to(other.addr)
				deleted := after && n > 1 || n > 2 // of everywhere: mark, sessions, entries
				if path == "/auth/logout" {
					deleted = after || n > 1
				}
				want := b.subject()
				if deleted || !died {
					want = nobody
				}
				if got := b.open("/who"); got.body != want {
					t.Errorf("%s: afterwards: got %v, want %s", name, got, want)
				}
				if path == "/everywhere" {
					if got := second.open("/who"); got.body != want {
						t.Errorf("%s: afterwards, elsewhere: got %v, want %s", name, got, want)
					}
				}
				p.Kill()
				// It can always be done again, by the person or by the app.
				if err := other.auth.SignOutUser(t.Context(), w.idp.Issuer()+"|"+b.subject()); err != nil {
					t.Errorf("%s: SignOutUser: %v", name, err)
				}
				if left := w.members(other); left > 0 {
					t.Errorf("%s: %d sessions are left", name, left)
				}
			}
		}
	}
}
