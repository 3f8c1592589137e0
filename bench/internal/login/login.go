// Package login measures a whole sign-in, from the click to the page where the person lands: the
// app's part of it, with the requests that it sends over loopback. What the browser and the provider
// do is left out.
package login

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/returnleg/returnleg/bench/internal/measure"
	"github.com/returnleg/returnleg/bench/internal/visit"
)

// Landing is the page where every sign-in ends.
const Landing = "/account"

// A Contender is an app that people sign in to.
type Contender struct {
	Name     string
	Handler  http.Handler
	Start    string // path where a sign-in begins
	provider *Provider
}

// batch is how many people sign in at a time: all start, all approve, all come back.
const batch = 32

// Case returns the contender as a case to measure.
func (c *Contender) Case() measure.Case {
	return measure.Case{Name: c.Name, Run: func(n int, m *measure.Meter) error {
		for n > 0 {
			people := min(n, batch)
			if err := c.signIn(people, inTurn, m); err != nil {
				return fmt.Errorf("login: %s: %w", c.Name, err)
			}
			n -= people
		}
		return nil
	}}
}

// Calls returns how many requests a sign-in sends to the provider, once metadata and keys are known.
func (c *Contender) Calls() (float64, error) {
	const logins = 20
	var m measure.Meter
	if err := c.signIn(1, inTurn, &m); err != nil {
		return 0, fmt.Errorf("login: %s: %w", c.Name, err)
	}
	before, err := c.provider.Counts()
	if err != nil {
		return 0, err
	}
	if err := c.signIn(logins, inTurn, &m); err != nil {
		return 0, fmt.Errorf("login: %s: %w", c.Name, err)
	}
	after, err := c.provider.Counts()
	return float64(after.Calls-before.Calls) / logins, err
}

// Connections returns how many connections to the provider a sign-in opens where so many people come
// back at once, again and again.
func (c *Contender) Connections(people, times int) (float64, error) {
	before, err := c.provider.Counts()
	if err != nil {
		return 0, err
	}
	var m measure.Meter
	for range times {
		if err := c.signIn(people, together, &m); err != nil {
			return 0, fmt.Errorf("login: %s: %w", c.Name, err)
		}
	}
	after, err := c.provider.Counts()
	return float64(after.Connections-before.Connections) / float64(people*times), err
}

// An order is one in which pieces of work are done.
type order func(n int, do func(i int))

func inTurn(n int, do func(i int)) {
	for i := range n {
		do(i)
	}
}

func together(n int, do func(i int)) {
	var g sync.WaitGroup
	for i := range n {
		g.Go(func() { do(i) })
	}
	g.Wait()
}

// signIn signs people in, each in a browser that has never been here.
func (c *Contender) signIn(people int, in order, m *measure.Meter) error {
	browsers := make([]visit.Browser, people)
	targets := make([]string, people)
	for i := range targets {
		targets[i] = c.Start
	}
	authURLs, err := c.open(browsers, targets, in, m)
	if err != nil {
		return err
	}
	callbacks, err := c.provider.Approve(authURLs)
	if err != nil {
		return err
	}
	landings, err := c.open(browsers, callbacks, in, m)
	if err != nil {
		return err
	}
	for _, got := range landings {
		if got != Landing {
			return fmt.Errorf("landed at %q, want %q", got, Landing)
		}
	}
	return nil
}

// open lets each browser open its target, and returns where they are sent. Only the handler's work
// is measured: the requests are made before, and the cookies kept afterwards.
func (c *Contender) open(browsers []visit.Browser, targets []string, in order, m *measure.Meter) ([]string, error) {
	requests := make([]*http.Request, len(targets))
	answers := make([]*visit.Answer, len(targets))
	for i := range targets {
		r, err := browsers[i].Request(targets[i])
		if err != nil {
			return nil, err
		}
		requests[i], answers[i] = r, visit.NewAnswer()
	}
	m.Start()
	in(len(requests), func(i int) { answers[i] = visit.Load(c.Handler, requests[i], answers[i]) })
	m.Stop()
	locations := make([]string, len(targets))
	for i, a := range answers {
		browsers[i].Keep(a)
		if locations[i] = a.Location(); locations[i] == "" {
			return nil, fmt.Errorf("status %d and no redirect", a.Status())
		}
	}
	return locations, nil
}

// All returns every contender, the hand-written one that the others are compared with first.
func All(p *Provider) ([]*Contender, error) {
	var all []*Contender
	for _, make := range []func(*Provider) (*Contender, error){HandWritten, Ours, HandWrittenSCS, Goth} {
		c, err := make(p)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}
