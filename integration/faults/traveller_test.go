package faults_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/returnleg/returnleg/providers/providertest"
)

// A replica is a process of one of two builds.
type replica struct {
	*process
	next bool // the next minor version
}

// A traveller is somebody whose requests are answered by two replicas.
type traveller struct {
	*browser
	number int
	store  *stored
	step   string // for errors

	here, there replica
}

func (v *traveller) errorf(format string, args ...any) {
	v.t.Helper()
	name := map[bool]string{false: "old", true: "new"}
	v.t.Errorf("%s, here %s, there %s: %s: "+format, append([]any{v.who, name[v.here.next], name[v.there.next], v.step}, args...)...)
}

// gets opens a page at a replica, which has to be this.
func (v *traveller) gets(at replica, path, want string) {
	v.t.Helper()
	v.to(at.addr)
	if got := v.open(path); got.status != http.StatusOK || got.body != want || len(got.cleared) > 0 {
		v.errorf("%s: got %v, cleared %q, want %q", path, got, got.cleared, want)
	}
}

// asks opens a page at a replica, and returns what is on it.
func (v *traveller) asks(at replica, path string) string {
	v.t.Helper()
	v.to(at.addr)
	got := v.open(path)
	if got.status != http.StatusOK {
		v.errorf("%s: got %v", path, got)
	}
	return got.body
}

// departs opens the address that starts a sign-in at a replica, and returns where the provider sends the
// account's owner back to.
func (v *traveller) departs(at replica, login, account string, form url.Values) (callback string) {
	v.t.Helper()
	v.to(at.addr)
	var got answer
	if form == nil {
		got = v.open(login)
	} else {
		got = v.post(login, form)
	}
	to := got.header.Get("Location")
	if got.status != http.StatusSeeOther {
		v.t.Fatalf("%s: %s: %v", v.step, login, got)
	}
	callback, err := v.w.idp.Approve(v.t.Context(), v.idp, to, account)
	if err != nil {
		v.t.Fatalf("%s: %v", v.step, err)
	}
	return callback
}

// lands opens a callback at a replica, which has to lead there; it returns where exactly.
func (v *traveller) lands(at replica, callback, want string) string {
	v.t.Helper()
	v.to(at.addr)
	got := v.open(callback)
	to := got.header.Get("Location")
	if path, _, _ := strings.Cut(to, "?"); got.status != http.StatusSeeOther || path != want || len(got.cleared) > 0 {
		v.errorf("callback: got %v, want %s", got, want)
	}
	return to
}

// travels is what somebody does, part of it here and part of it there.
var travels = []struct {
	name string
	do   func(v *traveller)
}{
	{"as a guest", func(v *traveller) {
		v.gets(v.here, "/put?v=from+here", "")
		v.gets(v.there, "/value", "from here")
		v.gets(v.there, "/put?v=from+there", "")
		v.gets(v.here, "/value", "from there")
	}},
	{"sign-in, in the middle of a page", func(v *traveller) {
		callback := v.departs(v.there, v.asks(v.here, "/leave?page=half+filled+in"), v.who, nil)
		returned := v.lands(v.here, callback, "/returned")
		v.gets(v.there, returned, "half filled in")
		v.gets(v.here, returned, "half filled in")
		v.lands(v.there, callback, "/returned") // a reload
	}},
	{"an answer that is lost", func(v *traveller) {
		b := v.w.browser(v.who, v.here.addr)
		callback := b.leave("/who")
		b.alone(b.request(http.MethodGet, callback, nil), b.cookies())
		b.to(v.there.addr)
		if got := b.open(callback); got.status != http.StatusSeeOther || got.header.Get("Location") != "/who" {
			v.errorf("got %v, want the page", got)
		}
		if got := b.open("/who"); got.body != b.subject() {
			v.errorf("got %v, want %s", got, b.subject())
		}
	}},
	{"in turns", func(v *traveller) {
		for i := range 4 {
			v.gets([]replica{v.here, v.there}[i%2], "/who", v.subject())
			v.gets([]replica{v.there, v.here}[i%2], "/gated/page", v.subject())
			v.gets([]replica{v.here, v.there}[i%2], fmt.Sprint("/put?v=", i), "")
			v.gets([]replica{v.there, v.here}[i%2], "/value", fmt.Sprint(i))
		}
	}},
	{"another secret", func(v *traveller) {
		was := v.cookies()["rl-8088"]
		v.gets(v.here, "/renew", "")
		if v.cookies()["rl-8088"] == was {
			v.errorf("the cookie is as before")
		}
		v.gets(v.there, "/who", v.subject())
		v.gets(v.here, "/who", v.subject())
	}},
	{"a long way back", func(v *traveller) { // which is kept in the store, for it does not fit into the state
		long := "/who?q=" + strings.Repeat("long", 200)
		callback := v.departs(v.here, "/auth/idp/login?"+url.Values{"return_to": {long}}.Encode(), v.who, nil)
		if to := v.lands(v.there, callback, "/who"); to != long {
			v.errorf("landed at %q", to)
		}
	}},
	{"another permission", func(v *traveller) {
		callback := v.departs(v.there, v.asks(v.here, "/leave?scope=email&page=once+more"), v.who, nil)
		v.gets(v.there, v.lands(v.here, callback, "/returned"), "once more")
		v.gets(v.there, "/connections", "idp: openid,profile,email")
	}},
	{"another account", func(v *traveller) {
		form := url.Values{"purpose": {"link"}, "label": {"second"}, "return_to": {"/who"}, "page_tag": {v.asks(v.here, "/tag")}}
		callback := v.departs(v.there, "/auth/idp/login", person(100+v.number), form)
		v.lands(v.here, callback, "/who")
		v.gets(v.there, "/connections", "idp: openid,profile,email; idp:second openid,profile,email")
	}},
	{"an account of somebody else's", func(v *traveller) {
		other := &traveller{browser: v.w.browser(person(200+v.number), v.here.addr), store: v.store, step: v.step, here: v.here, there: v.there}
		other.sure()
		form := url.Values{"purpose": {"link"}, "label": {"third"}, "return_to": {"/who"}}
		callback := v.departs(v.here, "/auth/idp/login", other.who, form)
		v.to(v.there.addr)
		r := v.request(http.MethodGet, callback, nil)
		r.Header.Set("Sec-Fetch-Dest", "empty")
		r.Header.Set("Sec-Fetch-Mode", "cors")
		move := loginURL(v.do(r))
		callback = v.departs(v.here, move, other.who, url.Values{})
		v.lands(v.there, callback, "/who")
		v.gets(v.here, "/connections", "idp: openid,profile,email; idp:second openid,profile,email; idp:third openid,profile,email")
		other.gets(v.here, "/who", nobody)
	}},
	{"a token", func(v *traveller) { v.renew() }},
	{"a value of a later kind", func(v *traveller) {
		writer, reader := v.here, v.there
		if !writer.next {
			writer, reader = reader, writer
		}
		if !writer.next {
			return
		}
		seen := "<nil>"
		if reader.next {
			seen = address
		}
		v.gets(writer, "/address?v="+address, "")
		v.gets(reader, "/address", seen)
		v.gets(reader, "/put?v=beside+it", "")
		v.gets(reader, "/renew", "")
		v.lands(reader, v.departs(reader, "/auth/idp/login?return_to=/who", v.who, nil), "/who")
		v.gets(writer, "/address", address)
		v.gets(writer, "/value", "beside it")
	}},
	{"no", func(v *traveller) {
		b := v.w.browser(v.who, v.here.addr)
		authURL, err := b.start("/who")
		if err != nil {
			v.t.Fatal(err)
		}
		callback, err := v.w.idp.Deny(v.t.Context(), b.idp, authURL, b.who)
		if err != nil {
			v.t.Fatal(err)
		}
		for _, at := range []replica{v.here, v.there, v.here} {
			want := http.StatusForbidden
			if v.here.next && !at.next { // the next version's reason is none that this one knows
				want = http.StatusServiceUnavailable
			}
			b.to(at.addr)
			if got := b.open(callback); got.status != want || !strings.Contains(got.body, "</html>") {
				v.errorf("got %v, want a page with %d", got, want)
			}
		}
	}},
}

const address = "192.0.2.7"

// alone sends a request with these cookies and no others, and keeps none of the answer.
func (b *browser) alone(r *http.Request, cookies map[string]string) (status int, location string) {
	b.t.Helper()
	for name, value := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	resp, err := b.network.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

// renew has the token renewed here while there somebody asks for it, too.
func (v *traveller) renew() {
	v.t.Helper()
	asked, held := make(chan struct{}, 8), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(held) })
	defer goOn()
	v.w.idp.Set(func(b *providertest.Behavior) {
		b.Token = func(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
			if r.PostForm.Get("grant_type") == "refresh_token" {
				asked <- struct{}{}
				<-held
			}
			next(w, r)
		}
	})
	defer v.w.idp.Set(func(b *providertest.Behavior) { b.Token = nil })
	answers, began := make(chan answer, 2), time.Now()
	ask := func(at replica) {
		r := v.request(http.MethodGet, "/token", nil)
		v.to(at.addr)
		go func() { answers <- v.do(r) }()
	}
	ask(v.here)
	select {
	case <-asked:
	case got := <-answers:
		goOn()
		v.errorf("got %v before the provider was asked", got)
		return
	}
	v.store.look() // while the mark is there
	loads := v.w.redis.Commands(v.t)["HGETALL"]
	ask(v.there)
	// A request that waits for the mark reads it again and again. One that does not understand it asks the provider.
	await(v.t, "the one who waits", func() bool { return v.w.redis.Commands(v.t)["HGETALL"] > loads+3 || len(asked) > 0 })
	goOn()
	one, two := <-answers, <-answers
	if one.status == http.StatusOK && two.status == http.StatusOK && one.body == two.body && len(asked) == 0 {
		v.gets(v.there, "/access", one.body)
		v.gets(v.here, "/access", one.body)
		return
	}
	if waited := time.Since(began); waited < answerTime {
		v.errorf("got %v and %v by %d requests to the provider, want one token by one", one, two, 1+len(asked))
		return
	}
	// The machine stood still for so long that the first replica gave the provider up, and the second asked it again.
	// Nothing is wrong with that. The connection may be over: they connect it anew.
	v.lands(v.here, v.departs(v.here, "/auth/idp/login?return_to=/who", v.who, nil), "/who")
}

// answerTime is how long a replica waits for the provider's answer.
const answerTime = 10 * time.Second
