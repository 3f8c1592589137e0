package sessionstore_test

import (
	"testing"

	"github.com/returnleg/returnleg/sessionstore"
)

// Holds compares what Field would return, allocates nothing, and does not report a value that does not open.
func TestRecordHolds(t *testing.T) {
	b := newBound(t, sessionstore.NewKeyring())
	if err := b.sealed.Update(t.Context(), boundKey, sessionstore.Change{Set: []sessionstore.Field{f("a", "1", 7), f("empty", "", 8)}}); err != nil {
		t.Fatal(err)
	}
	// By another hand, which has no key.
	if err := b.inner.Update(t.Context(), boundKey, sessionstore.Change{Set: []sessionstore.Field{f("foreign", "x", 9)}}); err != nil {
		t.Fatal(err)
	}
	loaded, err := b.sealed.Load(t.Context(), boundKey)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := loaded.Apply(sessionstore.Change{Set: []sessionstore.Field{f("b", "2", 10)}})
	if err != nil {
		t.Fatal(err)
	}
	plain := sessionstore.NewRecord(aTime, f("a", "1", 7), f("empty", "", 8), f("foreign", "y", 9), f("b", "2", 10))
	rows := []struct {
		name, field, value string
		version            uint64
		want               bool
	}{
		{"the value", "a", "1", 7, true},
		{"another", "a", "2", 7, false},
		{"a part", "a", "", 7, false},
		{"more", "a", "11", 7, false},
		{"an empty one", "empty", "", 8, true},
		{"set since it was loaded", "b", "2", 10, true},
		{"set since, another", "b", "1", 10, false},
		{"what does not open", "foreign", "x", 9, false},
		{"no such field", "c", "", 0, false},
	}
	for name, r := range map[string]sessionstore.Record{"sealed": applied, "plain": plain} {
		for _, row := range rows {
			t.Run(name+", "+row.name, func(t *testing.T) {
				version, got := r.Holds(row.field, row.value)
				if version != row.version || got != row.want {
					t.Errorf("got %d, %v, want %d, %v", version, got, row.version, row.want)
				}
			})
		}
	}
	if len(b.told) != 0 {
		t.Errorf("told of %v, want of none", b.told)
	}
}
