package faults_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
	"github.com/returnleg/returnleg/sessionstore"
)

// An upgrade is an app of which two builds run at one store: the version that this tree is, and the next
// minor one.
type upgrade struct {
	*world
	settings settings
	program  string // the next version
	store    *stored
	replicas []replica // all that ever ran
}

func newUpgrade(t *testing.T) *upgrade {
	t.Helper()
	w := newWorld(t)
	u := &upgrade{world: w, settings: w.settings(), program: buildNext(t), store: w.stored()}
	return u
}

// run starts a replica.
func (u *upgrade) run(next bool) replica {
	u.t.Helper()
	program := self(u.t)
	if next {
		program = u.program
	}
	r := replica{u.spawnAs(program, u.settings), next}
	u.replicas = append(u.replicas, r)
	return r
}

func (u *upgrade) stop(rs ...replica) {
	u.t.Helper()
	for _, r := range rs {
		if err := r.Stop(); err != nil {
			u.t.Errorf("stop: %v", err)
		}
	}
}

// traveller returns a person with a new browser.
func (u *upgrade) traveller(number int, here, there replica) *traveller {
	return &traveller{browser: u.browser(person(number), here.addr), number: number, store: u.store, here: here, there: there}
}

// TestVersions upgrades an app replica by replica, and goes back: F38. What people began at one version
// they end at the other, in turns. Nobody is signed out, no code is sent twice, and nothing panics.
func TestVersions(t *testing.T) {
	t.Parallel()
	u := newUpgrade(t)
	olds := [2]replica{u.run(false), u.run(false)}
	news := [2]replica{u.run(true), u.run(true)}
	var crowd []*traveller
	for i, pair := range [][2]replica{olds, {olds[0], news[0]}, {news[0], olds[0]}, news} {
		v := u.traveller(i, pair[0], pair[1])
		for _, travel := range travels {
			v.step = travel.name
			travel.do(v)
		}
		u.store.look()
		crowd = append(crowd, v)
		if seen := u.store.forms(); i == 0 && len(seen) > 0 {
			t.Fatalf("this version has written what only the next one does: %q", seen)
		}
	}
	if seen := u.store.forms(); !slices.Equal(seen, allForms) {
		t.Errorf("the next version has written %q, want %q", seen, allForms)
	}
	u.differ(olds[0], news[0])
	u.keeps(crowd[2])

	// The upgrade ends: the old replicas stop, one by one, and new ones take their place.
	third := u.passes(crowd, olds[:], true)
	// And back again.
	fourth := u.passes(crowd, append(news[:], third), false)
	fifth := u.run(true)
	for _, v := range crowd[1:] { // what the next version alone could read has outlived all that
		v.step = "the value of a later kind, in the end"
		v.gets(fourth, "/address", "<nil>")
		v.gets(fifth, "/address", address)
	}
	for i, pair := range [][2]replica{{fourth, fifth}, {fifth, fourth}} {
		u.posted(300+i, pair)
		u.signsOut(400+i, pair)
		u.counts(500+i, pair)
	}
	u.onceOnly()
	for _, r := range u.replicas {
		for _, bad := range []string{"panic", "reason=store ", "reason=unsealed", "reason=value"} {
			n := strings.Count(r.Output(), bad)
			if bad == "reason=value" && !r.next { // it says that it cannot read the value of a later kind, and of nothing else
				n -= strings.Count(r.Output(), "reason=value kind=session field=v: ")
			}
			if n > 0 {
				t.Errorf("%q is %d times in the log of a replica, next: %v", bad, n, r.next)
			}
		}
	}
}

// allForms are those in which the kit stores anything.
var allForms = []string{
	"account !", "account account", "account entry", "aside further", "index entry", "name of a record", "person entry", "redemption phase",
	"session born", "session e:", "session further", "session g:", "session meta", "session p:", "session r:", "session user",
	"tally count", "token", "value in Redis",
}

// differ fails the test unless two replicas write differently what travels through the browser.
func (u *upgrade) differ(before, after replica) {
	u.t.Helper()
	lengths := map[bool][2]int{}
	for _, r := range []replica{before, after} {
		b := u.browser("ada", r.addr)
		authURL, err := b.start("/who")
		if err != nil {
			u.t.Fatal(err)
		}
		lengths[r.next] = [2]int{len(parameter(authURL, "state")), len(parameter(b.open("/leave").body, "need"))}
		for name, value := range b.cookies() {
			if strings.Contains(name, "-bind-") && strings.Contains(value, ".~further") != r.next {
				u.t.Errorf("next: %v: binding cookie %s", r.next, value)
			}
		}
	}
	for i, what := range []string{"state", "need"} {
		if lengths[true][i] < lengths[false][i]+len(furtherText) {
			u.t.Errorf("%s has %d characters at the next version, and %d at this one", what, lengths[true][i], lengths[false][i])
		}
	}
}

// parameter returns one of a URL's.
func parameter(of, name string) string {
	u, err := url.Parse(of)
	if err != nil {
		return ""
	}
	return u.Query().Get(name)
}

// keeps fails the test unless a session that was made at the next version has the field that only that
// one knows, after all that the other has written to it.
func (u *upgrade) keeps(v *traveller) {
	u.t.Helper()
	id, _, _ := strings.Cut(v.cookies()["rl-8088"], ".")
	rec, err := u.store.store.Load(u.t.Context(), sessionstore.Key{Kind: "session", ID: id})
	if f, ok := rec.Field("further"); err != nil || !ok || f.Value != furtherText {
		u.t.Errorf("the field of the next version: got %v, %v", ok, err)
	}
}

// passes stops replicas and starts one of the other version, at which everybody is still who they were,
// and ends what they began before.
func (u *upgrade) passes(crowd []*traveller, stopped []replica, next bool) (to replica) {
	u.t.Helper()
	from := stopped[0]
	callbacks := make([]string, len(crowd))
	for i, v := range crowd {
		v.step = "to the other version"
		v.gets(from, "/put?v=before+it", "")
		callbacks[i] = v.departs(from, "/auth/idp/login?return_to=/who", v.who, nil)
	}
	u.stop(stopped...)
	to = u.run(next)
	for i, v := range crowd {
		v.gets(to, "/gated/page", v.subject())
		v.gets(to, "/value", "before it")
		v.lands(to, callbacks[i], "/who")
		v.gets(to, "/who", v.subject())
		v.asks(to, "/access")
	}
	return to
}

// posted signs somebody in by an answer that the browser posts: to one replica, which sends it to itself,
// and that is the other one.
func (u *upgrade) posted(number int, pair [2]replica) {
	u.t.Helper()
	was := u.settings
	u.settings.Mode = "form_post"
	v := u.traveller(number, u.run(pair[0].next), u.run(pair[1].next))
	u.settings, v.step = was, "a posted answer"
	u.idp.Set(func(b *providertest.Behavior) { b.Answer = func(q url.Values) { q.Set("further", furtherText) } })
	defer u.idp.Set(func(b *providertest.Behavior) { b.Answer = nil })
	r, err := u.idp.FormPost(u.t.Context(), v.departs(v.here, "/auth/idp/login?return_to=/who", v.who, nil))
	if err != nil {
		u.t.Fatal(err)
	}
	v.to(v.there.addr)
	status, answer := v.alone(r, nil) // to a browser it is another site's request
	if status != http.StatusSeeOther || !strings.Contains(answer, "answer=") {
		v.errorf("status %d, Location %q", status, answer)
	}
	v.lands(v.here, answer, "/who")
	v.gets(v.there, "/who", v.subject())
}

// counts fails the test unless replicas of both versions keep one count of guests.
func (u *upgrade) counts(number int, pair [2]replica) {
	u.t.Helper()
	was := u.settings
	u.settings.MaxGuests, u.settings.GuestIdle = 4, time.Duration(number)*time.Hour // a window of its own
	here, there := u.run(pair[0].next), u.run(pair[1].next)
	u.settings = was
	rows := []struct {
		at   replica
		want int
	}{{here, http.StatusOK}, {there, http.StatusOK}, {here, http.StatusServiceUnavailable}, {there, http.StatusServiceUnavailable}}
	for i, row := range rows {
		v := u.traveller(number, here, there)
		v.step = "guests"
		v.to(row.at.addr)
		if got := v.open("/put?v=guest"); got.status != row.want {
			v.errorf("guest %d: got %v, want %d", i, got, row.want)
		}
	}
}

// signsOut ends sessions of one version at the other.
func (u *upgrade) signsOut(number int, pair [2]replica) {
	u.t.Helper()
	var at [3]*traveller
	for i := range at {
		at[i] = u.traveller(number, pair[i%2], pair[1-i%2])
		at[i].step = "sign-out"
		at[i].sure()
	}
	for _, r := range pair {
		at[0].gets(r, "/sessions", "3")
	}
	at[0].to(pair[1].addr)
	if got := at[0].post("/auth/logout", nil); got.status != http.StatusSeeOther {
		at[0].errorf("got %v", got)
	}
	for _, r := range pair {
		at[0].gets(r, "/who", nobody)
		at[1].gets(r, "/sessions", "2")
	}
	at[1].gets(pair[0], "/everywhere", "")
	for _, r := range pair {
		at[1].gets(r, "/who", nobody)
		at[2].gets(r, "/who", nobody)
		if err := at[2].signIn("/who"); err != nil { // and comes back
			at[2].errorf("%v", err)
		}
		at[2].gets(r, "/sessions", "1")
		at[2].gets(r, "/everywhere", "")
	}
}
