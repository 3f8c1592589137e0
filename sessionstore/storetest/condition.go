package storetest

import (
	"context"
	"strconv"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// conditions: what a change asks of versions.
var conditions = []contract{
	{"conditions hold", func(t *trial) {
		t.update(fresh(versioned("a", "1", 7), field("b", "1")), nil)
		for _, row := range []struct {
			name string
			when []sessionstore.Match
			want error
		}{
			{"version", []sessionstore.Match{{Name: "a", Version: 7}}, nil},
			{"another version", []sessionstore.Match{{Name: "a", Version: 8}}, sessionstore.ErrConflict},
			{"absent, but there", []sessionstore.Match{{Name: "a"}}, sessionstore.ErrConflict},
			{"absent", []sessionstore.Match{{Name: "c"}}, nil},
			{"version of what is absent", []sessionstore.Match{{Name: "c", Version: 7}}, sessionstore.ErrConflict},
			{"field without a version", []sessionstore.Match{{Name: "b"}}, nil},
			{"all", []sessionstore.Match{{Name: "a", Version: 7}, {Name: "c"}}, nil},
			{"one of two", []sessionstore.Match{{Name: "a", Version: 7}, {Name: "b", Version: 1}}, sessionstore.ErrConflict},
			{"other one of two", []sessionstore.Match{{Name: "b", Version: 1}, {Name: "a", Version: 7}}, sessionstore.ErrConflict},
			{"one field twice", []sessionstore.Match{{Name: "a", Version: 8}, {Name: "a", Version: 7}}, sessionstore.ErrConflict},
			{"one field twice, the other way", []sessionstore.Match{{Name: "a", Version: 7}, {Name: "a", Version: 8}}, sessionstore.ErrConflict},
			{"versions as large as they get", []sessionstore.Match{{Name: "a", Version: 7 + 1<<63}}, sessionstore.ErrConflict},
		} {
			err := t.store.Update(context.Background(), t.key, sessionstore.Change{If: row.when, Set: []sessionstore.Field{field("last", row.name)}})
			wantError(t, row.name, err, row.want)
			f, _ := t.load().Field("last")
			if applied := f.Value == row.name; applied != (row.want == nil) {
				t.Errorf("%s: applied: got %v, want %v", row.name, applied, row.want == nil)
			}
		}
	}},
	{"versions that a float takes for one", func(t *trial) {
		for _, v := range []uint64{1 << 53, 1<<63 - 2, 1<<64 - 2} {
			t.key = randomKey("test")
			t.update(fresh(versioned("a", "1", v+1)), nil)
			t.update(sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: v}}}, sessionstore.ErrConflict)
			t.update(sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: v + 1}}}, nil)
		}
	}},
	{"a conflict changes nothing, not even the end", func(t *trial) {
		c := fresh(versioned("a", "1", 7), field("b", "1"))
		t.update(c, nil)
		later := in(2 * time.Hour)
		for _, change := range []sessionstore.Change{
			{},
			{Expires: later},
			{Set: []sessionstore.Field{field("a", "2")}},
			{Delete: []string{"b"}},
			{Set: []sessionstore.Field{field("a", "2")}, Delete: []string{"b"}, Expires: later},
			{Mode: sessionstore.MayExist, Set: []sessionstore.Field{field("a", "2")}, Expires: later},
			{Set: []sessionstore.Field{field("a", "2")}, Expires: in(-time.Minute)},
		} {
			change.If = []sessionstore.Match{{Name: "a", Version: 8}}
			t.update(change, sessionstore.ErrConflict)
			t.holds(versioned("a", "1", 7), field("b", "1"))
			t.ends(c.Expires)
		}
	}},
	{"a thousand conditions", func(t *trial) {
		const n = 1000
		t.update(fresh(versioned("a", "1", 7)), nil)
		c := sessionstore.Change{Set: []sessionstore.Field{field("b", "2")}}
		for i := range n {
			c.If = append(c.If, sessionstore.Match{Name: strconv.Itoa(i)})
		}
		for _, i := range []int{n - 1, n / 2, 0} {
			c.If[i] = sessionstore.Match{Name: "a", Version: 8}
			t.update(c, sessionstore.ErrConflict)
			c.If[i].Version = 7
		}
		t.holds(versioned("a", "1", 7))
		t.update(c, nil)
		t.holds(versioned("a", "1", 7), field("b", "2"))
	}},
	{"mode is judged before conditions", func(t *trial) {
		failing := []sessionstore.Match{{Name: "a", Version: 8}}
		t.update(sessionstore.Change{If: failing}, sessionstore.ErrNotFound)
		c := fresh(versioned("a", "1", 7))
		t.update(c, nil)
		c.If = failing
		t.update(c, sessionstore.ErrExists)
	}},
	{"conditions on a record that is not there", func(t *trial) {
		c := fresh(field("a", "1"))
		c.If = []sessionstore.Match{{Name: "a", Version: 1}}
		t.update(c, sessionstore.ErrConflict)
		t.gone()
		c.If = []sessionstore.Match{{Name: "a"}}
		t.update(c, nil)
		t.holds(field("a", "1"))
	}},
	{"a version may be compared and set in one change", func(t *trial) {
		t.update(fresh(versioned("a", "1", 1)), nil)
		next := sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 1}}, Set: []sessionstore.Field{versioned("a", "2", 2)}}
		t.update(next, nil)
		t.update(next, sessionstore.ErrConflict)
		t.holds(versioned("a", "2", 2))
	}},
	{"a field may be taken once", func(t *trial) {
		t.update(fresh(versioned("a", "1", 5)), nil)
		take := sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 5}}, Delete: []string{"a"}}
		t.update(take, nil)
		t.update(take, sessionstore.ErrConflict)
	}},
}
