package sessionstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

var aTime = time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)

func f(name, value string, version uint64) sessionstore.Field {
	return sessionstore.Field{Name: name, Value: value, Version: version}
}

func TestRecordApply(t *testing.T) {
	start := []sessionstore.Field{f("a", "1", 1), f("b", "2", 0), f("c", "3", 3)}
	var many []sessionstore.Field
	for i := range 40 {
		many = append(many, f(fmt.Sprint("many ", i), "x", 0))
	}
	rows := []struct {
		name   string
		change sessionstore.Change
		want   []sessionstore.Field
		err    error
	}{
		{"nothing", sessionstore.Change{}, start, nil},
		{"replaced in its place", sessionstore.Change{Set: []sessionstore.Field{f("b", "longer", 9)}}, []sessionstore.Field{f("a", "1", 1), f("b", "longer", 9), f("c", "3", 3)}, nil},
		{"new at the end", sessionstore.Change{Set: []sessionstore.Field{f("z", "", 0), f("y", "", 0)}}, append(slices.Clone(start), f("z", "", 0), f("y", "", 0)), nil},
		{"deleted", sessionstore.Change{Delete: []string{"a", "c", "x"}}, []sessionstore.Field{f("b", "2", 0)}, nil},
		{"all deleted", sessionstore.Change{Delete: []string{"c", "b", "a"}}, nil, nil},
		{"set twice: the later one", sessionstore.Change{Set: []sessionstore.Field{f("n", "1", 0), f("n", "2", 0)}}, append(slices.Clone(start), f("n", "2", 0)), nil},
		{"deleted and set: set", sessionstore.Change{Set: []sessionstore.Field{f("a", "9", 9)}, Delete: []string{"a"}}, []sessionstore.Field{f("a", "9", 9), f("b", "2", 0), f("c", "3", 3)}, nil},
		{"many", sessionstore.Change{Set: many, Delete: []string{"b"}}, append([]sessionstore.Field{f("a", "1", 1), f("c", "3", 3)}, many...), nil},
		{"many, one set twice and deleted", sessionstore.Change{Set: append([]sessionstore.Field{f("many 7", "old", 0)}, many...), Delete: []string{"many 8", "b"}}, append([]sessionstore.Field{f("a", "1", 1), f("c", "3", 3)}, many...), nil},
		{"condition holds", sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 1}, {Name: "x"}}, Delete: []string{"a", "b"}}, []sessionstore.Field{f("c", "3", 3)}, nil},
		{"condition does not hold", sessionstore.Change{If: []sessionstore.Match{{Name: "a", Version: 2}}, Delete: []string{"a"}}, nil, sessionstore.ErrConflict},
		{"mode is not judged", sessionstore.Change{Mode: sessionstore.MustNotExist}, start, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := sessionstore.NewRecord(aTime, start...)
			after, err := r.Apply(row.change)
			if !errors.Is(err, row.err) {
				t.Fatalf("got error %v, want %v", err, row.err)
			}
			if got := slices.Collect(after.All()); !slices.Equal(got, row.want) {
				t.Errorf("got %d fields, want %d, or others", len(got), len(row.want))
			}
			if got := after.Len(); got != len(row.want) {
				t.Errorf("got length %d, want %d", got, len(row.want))
			}
			if got := slices.Collect(r.All()); !slices.Equal(got, start) {
				t.Error("the record itself has changed")
			}
		})
	}
}

func TestRecordExpires(t *testing.T) {
	zone := time.FixedZone("east", 3600)
	r := sessionstore.NewRecord(aTime.Add(999*time.Microsecond).In(zone), f("a", "1", 0))
	if r.Expires != aTime {
		t.Errorf("got %v, want %v", r.Expires, aTime)
	}
	kept, err := r.Apply(sessionstore.Change{Delete: []string{"a"}})
	if err != nil || kept.Expires != aTime {
		t.Errorf("got %v, %v; want %v", kept.Expires, err, aTime)
	}
	moved, err := r.Apply(sessionstore.Change{Expires: aTime.Add(time.Hour)})
	if err != nil || moved.Expires != aTime.Add(time.Hour) {
		t.Errorf("got %v, %v; want %v", moved.Expires, err, aTime.Add(time.Hour))
	}
}

func TestZeroRecord(t *testing.T) {
	var r sessionstore.Record
	if _, ok := r.Field("a"); ok || r.Len() != 0 || r.Size() != 0 || len(slices.Collect(r.All())) != 0 {
		t.Error("the zero record has a field")
	}
	if got, err := sessionstore.Unpack(r.Pack()); err != nil || got != r {
		t.Errorf("got error %v, or another record", err)
	}
}

// A loop over All may stop early.
func TestRecordAllStops(t *testing.T) {
	n := 0
	for range sessionstore.NewRecord(aTime, f("a", "", 0), f("b", "", 0)).All() {
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d fields, want 1", n)
	}
}

func TestUnpackRefuses(t *testing.T) {
	whole := sessionstore.NewRecord(aTime, f("a", "1", 1<<40), f("b", strings.Repeat("x", 200), 0)).Pack()
	if _, err := sessionstore.Unpack(whole); err != nil {
		t.Fatal(err)
	}
	// Cut between two fields it is a record, and nowhere else.
	ends := []int{
		len(sessionstore.NewRecord(aTime).Pack()),
		len(sessionstore.NewRecord(aTime, f("a", "1", 1<<40)).Pack()),
	}
	for i := range whole {
		if _, err := sessionstore.Unpack(whole[:i]); (err == nil) != slices.Contains(ends, i) {
			t.Errorf("cut to %d of %d bytes: got error %v", i, len(whole), err)
		}
	}
	for _, s := range []string{"", "\x02\x00", "\x00", whole + "x", "\x01\x00\x00\x00\x00"} {
		if _, err := sessionstore.Unpack(s); err == nil {
			t.Errorf("got no error from %.10q", s)
		}
	}
}

// FuzzUnpack: whatever is read either is refused or is a record that packs and works.
func FuzzUnpack(f *testing.F) {
	f.Add("")
	f.Add("\x01\x00")
	f.Add(sessionstore.NewRecord(aTime).Pack())
	f.Add(sessionstore.NewRecord(aTime, sessionstore.Field{Name: "a", Value: "1", Version: 1<<64 - 1}, sessionstore.Field{Name: "b"}).Pack())
	f.Add("\x01\x00\x01a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00")
	f.Add("\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := sessionstore.Unpack(s)
		if err != nil {
			return
		}
		n := 0
		for field := range r.All() {
			if _, ok := r.Field(field.Name); !ok {
				t.Errorf("All yields %q, Field does not find it", field.Name)
			}
			n++
		}
		if n != r.Len() {
			t.Errorf("All yields %d fields, Len says %d", n, r.Len())
		}
		again, err := sessionstore.Unpack(r.Pack())
		if err != nil || !slices.Equal(slices.Collect(again.All()), slices.Collect(r.All())) {
			t.Errorf("packed again, it is another record, or error %v", err)
		}
		if _, err := r.Apply(sessionstore.Change{Set: []sessionstore.Field{{Name: "a", Value: "2"}}, Delete: []string{"b"}}); err != nil {
			t.Error(err)
		}
	})
}

// FuzzApply compares Apply with a model: a map, and the order of first setting.
func FuzzApply(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 2, 3, 0, 1, 9, 9})
	f.Add([]byte("set and delete and set again, in any order that there may be"))
	f.Add([]byte(strings.Repeat("\x00\x11\x02\x83", 40)))
	f.Fuzz(func(t *testing.T, script []byte) {
		var r sessionstore.Record
		var model []sessionstore.Field
		at := func(name string) int {
			return slices.IndexFunc(model, func(f sessionstore.Field) bool { return f.Name == name })
		}
		for len(script) >= 4 {
			// Each step is one change of up to 31 edits, drawn from 16 names.
			edits := min(int(script[0]%32)+1, len(script)/4)
			var c sessionstore.Change
			holds := true
			for range edits {
				op, name := script[0]>>5, fmt.Sprint("n", script[1]%16)
				field := sessionstore.Field{Name: name, Value: strings.Repeat("v", int(script[2])), Version: uint64(script[3]) << (script[3] % 57)}
				script = script[4:]
				switch {
				case op == 7:
					var is uint64
					if i := at(name); i >= 0 {
						is = model[i].Version
					}
					if field.Version%2 == 0 {
						field.Version = is
					}
					c.If = append(c.If, sessionstore.Match{Name: name, Version: field.Version})
					holds = holds && field.Version == is
				case op%2 == 0:
					c.Set = append(c.Set, field)
				default:
					c.Delete = append(c.Delete, name)
				}
			}
			after, err := r.Apply(c)
			if (err == nil) != holds {
				t.Fatalf("got error %v, conditions hold: %v", err, holds)
			}
			if err != nil {
				continue
			}
			r = after
			for _, name := range c.Delete {
				if slices.ContainsFunc(c.Set, func(f sessionstore.Field) bool { return f.Name == name }) {
					continue // set as well: it stays in its place
				}
				if i := at(name); i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
			}
			applySet(&model, c.Set)
			if got := slices.Collect(r.All()); !slices.Equal(got, model) {
				t.Fatalf("got %d fields, want %d, or others", len(got), len(model))
			}
		}
	})
}

// applySet sets fields in the model; of two of one name, the later one counts and has the place.
func applySet(model *[]sessionstore.Field, set []sessionstore.Field) {
	for i, field := range set {
		if slices.ContainsFunc(set[i+1:], func(f sessionstore.Field) bool { return f.Name == field.Name }) {
			continue
		}
		j := slices.IndexFunc(*model, func(f sessionstore.Field) bool { return f.Name == field.Name })
		if j < 0 {
			*model = append(*model, field)
			continue
		}
		(*model)[j] = field
	}
}
