package main

import (
	"slices"
	"sync"
	"time"
)

// A person is what the app knows of somebody beyond their account: a database row, had it a database.
type person struct {
	First   bool // their latest sign-in was their first
	Terms   bool // they accepted the terms
	Library draft
	Videos  []video
	Since   time.Time // when the first video went onto the shelf

	Invitations []invitation // the latest first

	seen time.Time
}

// people keeps persons by account id. It holds at most max: whoever was not seen for longest is
// forgotten first.
type people struct {
	max int
	now func() time.Time

	mu   sync.Mutex
	rows map[string]person
}

func newPeople(limit int) *people {
	return &people{max: limit, now: time.Now, rows: map[string]person{}}
}

// find returns the person of an account; the zero person if there is nothing to know yet.
func (p *people) find(id string) person {
	p.mu.Lock()
	defer p.mu.Unlock()
	row := p.rows[id]
	row.Videos = slices.Clone(row.Videos)
	row.Invitations = slices.Clone(row.Invitations)
	return row
}

// change lets f change the person of an account, alone. It must not keep what it gets.
func (p *people) change(id string, f func(*person)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	row, known := p.rows[id]
	if !known && len(p.rows) >= p.max {
		delete(p.rows, p.stalest())
	}
	f(&row)
	row.seen = p.now()
	p.rows[id] = row
}

func (p *people) stalest() string {
	var id string
	var seen time.Time
	for k, row := range p.rows {
		if id == "" || row.seen.Before(seen) {
			id, seen = k, row.seen
		}
	}
	return id
}
