package storetest

import (
	"context"
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
	{"a conflict changes nothing, not even the end", func(t *trial) {
		c := fresh(versioned("a", "1", 7))
		t.update(c, nil)
		t.update(sessionstore.Change{
			If:      []sessionstore.Match{{Name: "a", Version: 8}},
			Set:     []sessionstore.Field{field("a", "2")},
			Delete:  []string{"b"},
			Expires: in(2 * time.Hour),
		}, sessionstore.ErrConflict)
		t.holds(versioned("a", "1", 7))
		if got := t.load().Expires; !got.Equal(c.Expires) {
			t.Errorf("got end %v, want %v", got, c.Expires)
		}
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
