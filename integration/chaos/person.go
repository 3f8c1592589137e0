package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// A person has two browsers, and cookies that somebody has copied before they were ended.
type person struct {
	w        *world
	who      string
	random   *rand.Rand
	browsers [2]*browser
	ended    []ended
}

func (w *world) person(i int) *person {
	p := &person{w: w, who: fmt.Sprint("person-", i), random: rand.New(rand.NewPCG(w.seed, uint64(i)))}
	for j := range p.browsers {
		p.browsers[j] = w.browser()
	}
	return p
}

func (p *person) subject() string { return "practice-" + p.who }

// deeds are what people do, and how often each of a hundred times.
var deeds = []struct {
	share int
	do    func(p *person, b *browser) (ok bool)
}{
	{45, (*person).write},
	{25, (*person).look},
	{6, (*person).takeOnce},
	{8, (*person).signIn},
	{4, (*person).leavePage},
	{5, (*person).renew},
	{3, (*person).signOut},
	{1, (*person).signOutEverywhere},
	{3, (*person).tryEnded},
}

// live does one thing after another until ctx ends.
func (p *person) live(ctx context.Context, pace time.Duration) {
	for ctx.Err() == nil {
		b := p.browsers[p.random.IntN(len(p.browsers))]
		n := p.random.IntN(100)
		rest := time.Duration(p.random.Int64N(int64(2*pace) + 1))
		for _, d := range deeds {
			if n -= d.share; n < 0 {
				if !d.do(p, b) {
					rest += 10 * pace // whoever is refused does not try again at once
				}
				break
			}
		}
		select {
		case <-time.After(rest):
		case <-ctx.Done():
		}
	}
}

// write puts a value, and remembers it if that was acknowledged. Where it was not, it may be there or come
// later; the key is not used again.
func (p *person) write(b *browser) bool {
	key := fmt.Sprint("w", b.keys, "-", p.random.IntN(4))
	b.last++
	begun := time.Now()
	a := b.post("/put", url.Values{"k": {key}, "v": {fmt.Sprint(b.last)}})
	p.cleared(b, a)
	if !a.ok() {
		delete(b.acked, key)
		b.keys++
		return false
	}
	b.acked[key] = ack{n: b.last, begun: begun, at: time.Now()}
	p.w.report.add("writes acknowledged")
	return true
}

// look compares what the session has with what was promised.
func (p *person) look(b *browser) bool {
	s, a, ok := b.state()
	p.cleared(b, a)
	if !ok {
		return false
	}
	p.compare(b, s)
	return true
}

func (p *person) compare(b *browser, s state) {
	r := p.w.report
	if s.Who != "" && s.Who != p.subject() {
		r.violate(mixedUp, time.Now(), time.Now(), "%s got %s", p.who, s.Who)
	}
	if b.in && s.Who == "" {
		r.violate(signedOut, b.since, b.since, "%s, signed in since %v", p.who, time.Since(b.since))
		b.forget()
		return
	}
	if !b.in && s.Who != "" {
		b.in, b.since = true, time.Now()
	}
	for k, want := range b.acked {
		var got int
		fmt.Sscan(s.Values[k], &got)
		if got == want.n {
			continue
		}
		r.violate(p.missing(b, want.begun), want.begun, want.at, "%s (who is %q here; an answer was lost: %v): %s is %q, want %d, acknowledged %v ago\n\t%s",
			p.who, s.Who, b.limbo, k, s.Values[k], want.n, time.Since(want.at), b.trail)
		b.acked[k] = ack{n: got, begun: want.begun, at: want.at}
		if got == 0 {
			delete(b.acked, k)
		}
	}
}

// missing returns what it is called that a write is not there which was acknowledged since then.
func (p *person) missing(b *browser, since time.Time) string {
	if !b.limbo && p.w.report.failedOver(since) {
		return lostWrite
	}
	return droppedWrite
}

// cleared notes an answer that takes the session's cookie away.
func (p *person) cleared(b *browser, a answer) {
	// The cookie of before a sign-in whose answer was lost opens nothing any more, and may go.
	if a.cleared && !b.limbo && (b.in || len(b.acked) > 0) {
		p.w.report.violate(signedOut, b.since, b.since, "%s: an answer takes the cookie away: %v\n\t%s", p.who, a, b.trail)
	}
}

// takeOnce puts a one-time value, and takes it at two apps at once.
func (p *person) takeOnce(b *browser) bool {
	key := fmt.Sprint("once", b.last, "-", p.random.Uint64())
	b.last++
	id := p.who + " " + key
	begun := time.Now()
	a := b.post("/put", url.Values{"k": {key}, "v": {id}})
	p.cleared(b, a)
	if !a.ok() {
		return false
	}
	given := time.Now()
	var wg sync.WaitGroup
	answers := make([]answer, 2)
	for i := range answers {
		one := *b // the same cookies
		one.next += i
		wg.Go(func() { answers[i] = one.post("/take", url.Values{"k": {key}}) })
	}
	wg.Wait()
	if answers[0].ok() && answers[1].ok() && !p.w.report.wasTaken(id) {
		p.w.report.violate(p.missing(b, begun), begun, given, "%s: the one-time value %s was given, and nobody got it", p.who, key)
	}
	return answers[0].ok() || answers[1].ok()
}

// signIn goes to the provider and back: alone, twice at once, or with an answer that is lost.
func (p *person) signIn(b *browser) bool {
	_, ok := p.goThrough(b, "/auth/idp/login?return_to=/state")
	return ok
}

// lostWhole has a callback done to its end, and the answer lost: a request that is no page load waits for that.
var lostWhole = []string{dropReply, "1", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}

// goThrough signs in, and returns where that has led.
func (p *person) goThrough(b *browser, login string) (to string, ok bool) {
	r := p.w.report
	callback, err := b.depart(login, p.who)
	if err != nil {
		return "", false
	}
	begun := time.Now()
	lost, how, join := false, "alone", func() {}
	switch n := p.random.IntN(10); {
	case n < 2:
		lost = true
		r.add("callbacks whose answer was lost")
		b.get(callback, lostWhole...)
		if n == 0 {
			return "", p.goOn(b)
		}
	case n < 4:
		how = "twice at once"
		var extra []string
		if n == 3 { // the browser gave the first one up for the second
			lost, how, extra = true, "twice at once, and one answer is lost", lostWhole
		}
		other := *b // the same cookies
		other.next++
		done := make(chan struct{})
		go func() { other.get(callback, extra...); close(done) }()
		join = func() { <-done }
	}
	a, cut := p.load(b, callback)
	join()
	lost = lost || cut
	b.limbo = b.limbo || lost
	if a.status != http.StatusSeeOther {
		r.add("sign-ins that were refused")
		p.refused(b, a, lost)
		return "", false
	}
	s, _, ok := b.state()
	if ok && s.Who == "" && lost { // the answer that was lost had the cookie
		a, _ = p.load(b, callback)
		s, _, ok = b.state()
	}
	switch {
	case !ok: // it is in, for all that it knows
		b.forget()
		b.limbo = true
		return "", false
	case s.Who == "" && lost:
		r.add("sign-ins whose answer was lost for good: " + how)
		b.forget()
		return "", false
	case s.Who == "":
		again, _, _ := b.state()
		r.violate(notSignedIn, begun, time.Now(), "%s: the callback, %s, led to %s, set a cookie: %v; signed in before: %v; asked again: %q", p.who, how, a.to, a.set, b.in, again.Who)
		b.forget()
		return "", false
	}
	r.add("sign-ins")
	if lost {
		r.add("sign-ins regained after an answer that was lost")
	}
	p.compare(b, s)
	b.limbo = false
	return a.to, true
}

// goOn uses a browser that does not know that its sign-in has ended, with the cookie of before. What it is
// told to be written is there.
func (p *person) goOn(b *browser) bool {
	b.forget()
	b.limbo = true
	if !p.write(b) {
		p.w.report.add("writes refused to the cookie of before")
		return false
	}
	return p.look(b)
}

// load loads a callback again where an answer was cut off, or the store was away. It reports whether one was cut off.
func (p *person) load(b *browser, callback string) (a answer, cut bool) {
	for range 15 {
		a = b.get(callback)
		cut = cut || a.err != nil
		if a.err == nil && a.status != http.StatusServiceUnavailable {
			return a, cut
		}
		rest(300 * time.Millisecond)
	}
	return a, cut
}

// refused asks what has become of a sign-in that was not answered with a page of the app. One that was not
// answered may end later, and then the browser's cookie is that of before: it is not used again.
func (p *person) refused(b *browser, a answer, lost bool) {
	switch s, _, ok := b.state(); {
	case lost, a.err != nil, a.status == http.StatusAccepted, a.status >= 500:
		b.abandon()
	case ok:
		p.compare(b, s)
	}
}

// leavePage leaves a page half filled in, and finds it again.
func (p *person) leavePage(b *browser) bool {
	b.last++
	page := fmt.Sprint(p.who, " ", b.last)
	begun := time.Now()
	a := b.get("/leave?" + url.Values{"page": {page}}.Encode())
	p.cleared(b, a)
	if !a.ok() {
		return false
	}
	to, ok := p.goThrough(b, a.body)
	if !ok || !strings.HasPrefix(to, "/returned") {
		return false
	}
	got := b.get(to)
	if !got.ok() {
		return false
	}
	p.w.report.add("pages found again")
	if got.body != page {
		p.w.report.violate(p.missing(b, begun), begun, time.Now(), "%s: the page that was left is %q", p.who, got.body)
	}
	return true
}

// renew asks for a token, which is soon over.
func (p *person) renew(b *browser) bool {
	if !b.in {
		return true
	}
	a := b.get("/token")
	p.cleared(b, a)
	switch {
	case a.ok():
		p.w.report.add("tokens")
		return true
	case a.status == http.StatusSeeOther, a.status == http.StatusForbidden, a.status == http.StatusUnauthorized:
		p.w.report.add("connections that have ended")
		return p.signIn(b)
	}
	return false
}

// last looks at everything once more.
func (p *person) last() {
	for _, b := range p.browsers {
		p.look(b)
	}
	for i := len(p.ended) - 1; i >= 0; i-- {
		p.check(i)
	}
}
