package main

import (
	"testing"
	"time"
)

func TestPeople(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	p := newPeople(2)
	p.now = func() time.Time { now = now.Add(time.Second); return now }
	name := func(s string) func(*person) { return func(p *person) { p.Library.Name = s } }

	p.change("ada", name("a"))
	p.change("grace", name("b"))
	p.change("ada", name("c")) // grace is the stalest now
	p.change("emmy", name("d"))

	for _, tt := range []struct{ id, want string }{
		{"ada", "c"},
		{"grace", ""},
		{"emmy", "d"},
		{"nobody", ""},
	} {
		if got := p.find(tt.id).Library.Name; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.id, got, tt.want)
		}
	}
	if got := len(p.rows); got != 2 {
		t.Errorf("got %d rows, want 2", got)
	}
}

func TestPeopleHandOutCopies(t *testing.T) {
	p := newPeople(2)
	p.change("ada", func(p *person) { p.Videos = []video{{ID: "1"}} })
	p.find("ada").Videos[0].ID = "changed"
	if got := p.find("ada").Videos[0].ID; got != "1" {
		t.Errorf("got %q, want 1", got)
	}
}
