package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// life is how long records live that the tests see expire.
const life = time.Second

// endings: records end at their time, by the store's clock.
var endings = []contract{
	{"the end comes back, to the millisecond", func(t *trial) {
		c := fresh(field("a", "1"))
		c.Expires = c.Expires.Add(123*time.Millisecond + 456*time.Microsecond)
		t.update(c, nil)
		got, want := t.load().Expires, c.Expires.Truncate(time.Millisecond)
		if !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("got end %v, want %v", got, want)
		}
	}},
	{"a change without an end keeps it", func(t *trial) {
		c := fresh(field("a", "1"))
		t.update(c, nil)
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}}, nil)
		t.ends(c.Expires)
	}},
	{"a load leaves the end as it is", func(t *trial) {
		c := fresh(field("a", "1"))
		t.update(c, nil)
		for range 3 {
			t.ends(c.Expires)
			t.advance(50 * time.Millisecond)
		}
	}},
	{"an end may move both ways", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		last := time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
		for _, end := range []time.Time{in(3 * time.Hour), in(2 * time.Hour), in(100 * 365 * 24 * time.Hour), last} {
			t.update(sessionstore.Change{Expires: end}, nil)
			t.ends(end)
			t.holds(field("a", "1"))
		}
	}},
	{"an end moves with whatever else changes", func(t *trial) {
		t.update(fresh(versioned("a", "1", 7), field("b", "1")), nil)
		for i, c := range []sessionstore.Change{
			{Set: []sessionstore.Field{field("c", "1")}},
			{Delete: []string{"b"}},
			{Set: []sessionstore.Field{field("b", "2")}, Delete: []string{"c"}},
			{If: []sessionstore.Match{{Name: "a", Version: 7}}},
			{If: []sessionstore.Match{{Name: "a", Version: 7}}, Set: []sessionstore.Field{field("b", "3")}},
			{Mode: sessionstore.MayExist},
			{Mode: sessionstore.MayExist, Set: []sessionstore.Field{field("b", "4")}},
			{Tier: sessionstore.Guest},
		} {
			c.Expires = in(time.Duration(i+2) * time.Hour)
			t.update(c, nil)
			t.ends(c.Expires)
		}
		t.holds(versioned("a", "1", 7), field("b", "4"))
	}},
	{"an end that has passed ends at once", func(t *trial) {
		for _, c := range []sessionstore.Change{
			{},
			{Set: []sessionstore.Field{field("a", "2"), field("b", "2")}},
			{Delete: []string{"a"}},
			{Mode: sessionstore.MayExist, Set: []sessionstore.Field{field("b", "2")}},
		} {
			t.update(fresh(field("a", "1")), nil)
			c.Expires = in(-time.Minute)
			t.update(c, nil)
			t.gone()
			t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}}, sessionstore.ErrNotFound)
			t.update(fresh(field("c", "3")), nil)
			t.holds(field("c", "3")) // nothing of the old one
			t.delete()
		}
	}},
	{"a record made with an end that has passed is not there", func(t *trial) {
		c := fresh(field("a", "1"))
		c.Expires = in(-time.Minute)
		t.update(c, nil)
		t.gone()
		t.update(fresh(field("b", "2")), nil)
		t.holds(field("b", "2"))
	}},
	{"a record expires", func(t *trial) {
		c := fresh(field("a", "1"))
		c.Expires = in(life)
		t.update(c, nil)
		t.advance(life + 50*time.Millisecond)
		t.gone()
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}, Expires: in(time.Hour)}, sessionstore.ErrNotFound)
		t.gone()
		t.delete()
	}},
	{"an expired record does not exist for any mode", func(t *trial) {
		c := fresh(versioned("a", "1", 7), field("b", "1"))
		c.Expires = in(life)
		t.update(c, nil)
		other := *t
		other.key = randomKey("test")
		other.update(c, nil)
		t.advance(life + 50*time.Millisecond)
		t.update(fresh(field("c", "2")), nil)
		t.holds(field("c", "2"))
		may := fresh(field("c", "2"))
		may.Mode, may.If = sessionstore.MayExist, []sessionstore.Match{{Name: "a", Version: 7}}
		other.update(may, sessionstore.ErrConflict)
		may.If = nil
		other.update(may, nil)
		other.holds(field("c", "2"))
	}},
	{"a record that was extended lives on", func(t *trial) {
		t.advance(t.prolonged() + 50*time.Millisecond)
		t.holds(field("a", "1"))
	}},
	{"a record that was shortened expires earlier", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		t.update(sessionstore.Change{Expires: in(life)}, nil)
		t.advance(life + 50*time.Millisecond)
		t.gone()
	}},
	{"a record that was extended and shortened expires at its last end", func(t *trial) {
		t.prolonged()
		t.update(sessionstore.Change{Expires: in(life)}, nil)
		t.advance(life + 50*time.Millisecond)
		t.gone()
	}},
}

// prolonged makes the trial's record, to end soon, and then has it end in an hour. It returns how soon
// that was: life, or more where the store takes longer to be told the other end.
func (t *trial) prolonged() (soon time.Duration) {
	t.Helper()
	for soon = life; ; soon *= 2 {
		c := fresh(field("a", "1"))
		c.Expires = in(soon)
		t.update(c, nil)
		err := t.store.Update(context.Background(), t.key, sessionstore.Change{Expires: in(time.Hour)})
		if errors.Is(err, sessionstore.ErrNotFound) && !time.Now().Before(c.Expires) && soon < time.Minute {
			continue // it has ended, and is made anew
		}
		wantError(t, "Update", err, nil)
		return soon
	}
}
