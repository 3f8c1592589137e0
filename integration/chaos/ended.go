package main

import (
	"net/http"
	"time"
)

// An ended is a copy of the cookies of a session that was ended, and acknowledged to be.
type ended struct {
	browser   *browser
	begun, at time.Time
	how       string
}

// maxEnded is how many copies a person keeps; the oldest go.
const maxEnded = 200

// signOut ends the session. Somebody keeps a copy of its cookie.
func (p *person) signOut(b *browser) bool {
	if !b.in {
		return true
	}
	copied, begun := b.clone(), time.Now()
	a := b.post("/auth/logout", nil)
	if a.err != nil || a.status != http.StatusSeeOther {
		b.abandon() // it may have ended, or end later
		return false
	}
	p.w.report.add("sign-outs")
	p.note(copied, begun, "sign-out")
	b.forget()
	return true
}

// signOutEverywhere ends the sessions in both browsers.
func (p *person) signOutEverywhere(b *browser) bool {
	if !b.in {
		return true
	}
	var copies []*browser
	for _, one := range p.browsers {
		if one.in {
			copies = append(copies, one.clone())
		}
	}
	begun := time.Now()
	a := b.post("/everywhere", nil)
	for _, one := range p.browsers {
		switch {
		case !one.in && !one.limbo: // a guest's, as far as it goes
		case a.ok():
			one.forget()
		default:
			one.abandon() // it may have ended, or end later
		}
	}
	if !a.ok() {
		return false
	}
	p.w.report.add("sign-outs of everything")
	for _, c := range copies {
		p.note(c, begun, "SignOutUser")
	}
	return true
}

func (p *person) note(b *browser, begun time.Time, how string) {
	p.ended = append(p.ended, ended{b, begun, time.Now(), how})
	if len(p.ended) > maxEnded {
		p.ended = p.ended[1:]
	}
}

// tryEnded shows the cookie of a session that was ended.
func (p *person) tryEnded(*browser) bool {
	if len(p.ended) == 0 {
		return true
	}
	i := p.random.IntN(len(p.ended))
	return p.check(i)
}

func (p *person) check(i int) bool {
	e := p.ended[i]
	s, _, ok := e.browser.clone().state()
	if !ok {
		return false
	}
	p.w.report.add("cookies of ended sessions shown")
	if s.Who != "" {
		p.w.report.violate(endedBack, e.begun, e.at, "%s: ended by %s %v ago, and signed in", p.who, e.how, time.Since(e.at))
		p.ended = append(p.ended[:i], p.ended[i+1:]...)
	}
	return true
}
