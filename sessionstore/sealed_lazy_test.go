package sessionstore_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// Only what somebody asks for is opened: a value that would not open goes unnoticed until then.
func TestSealedOpensWhenAsked(t *testing.T) {
	rows := []struct {
		name string
		ask  func(r sessionstore.Record)
		told int
	}{
		{"nothing", func(sessionstore.Record) {}, 0},
		{"another field", func(r sessionstore.Record) { r.Field("v:1") }, 0},
		{"names that begin alike", func(r sessionstore.Record) { consume(r, "v:") }, 0},
		{"a change of another field", func(r sessionstore.Record) { apply(t, r, "v:1") }, 0},
		{"a field that was changed", func(r sessionstore.Record) { apply(t, r, "g:1").Field("g:1") }, 0},
		{"the field itself", func(r sessionstore.Record) { r.Field("g:1") }, 1},
		{"its prefix", func(r sessionstore.Record) { consume(r, "g:") }, 1},
		{"a condition on it", func(r sessionstore.Record) {
			c := sessionstore.Change{If: []sessionstore.Match{{Name: "g:1", Version: 2}}}
			if _, err := r.Apply(c); err != nil {
				t.Errorf("got error %v, want none: the field has that version", err)
			}
		}, 0},
		{"names and versions", func(r sessionstore.Record) { _ = maps.Collect(r.Versions()) }, 0},
		{"everything", func(r sessionstore.Record) { consume(r, "") }, 1},
		{"after a change of another field", func(r sessionstore.Record) { apply(t, r, "v:1").Field("g:1") }, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b := newBound(t, sessionstore.NewKeyring())
			set := []sessionstore.Field{f("v:1", "one", 1), f("g:1", "token", 2), f("v:2", "two", 3)}
			if err := b.sealed.Update(t.Context(), boundKey, sessionstore.Change{Set: set}); err != nil {
				t.Fatal(err)
			}
			forged := sessionstore.Change{Set: []sessionstore.Field{f("g:1", "forged", 2)}}
			if err := b.inner.Update(t.Context(), boundKey, forged); err != nil {
				t.Fatal(err)
			}
			r, err := b.sealed.Load(t.Context(), boundKey)
			if err != nil {
				t.Fatal(err)
			}
			row.ask(r)
			if len(b.told) != row.told {
				t.Errorf("told of %v, want %d of them", b.told, row.told)
			}
		})
	}
}

// A field that does not open has a name and a version, in a record that was changed, too.
func TestRecordVersions(t *testing.T) {
	b := newBound(t, sessionstore.NewKeyring())
	if err := b.inner.Update(t.Context(), boundKey, sessionstore.Change{Set: []sessionstore.Field{f("forged", "no", 7)}}); err != nil {
		t.Fatal(err)
	}
	if err := b.sealed.Update(t.Context(), boundKey, sessionstore.Change{Set: []sessionstore.Field{f("v:1", "one", 1), f("v:2", "", 2)}}); err != nil {
		t.Fatal(err)
	}
	r, err := b.sealed.Load(t.Context(), boundKey)
	if err != nil {
		t.Fatal(err)
	}
	got := maps.Collect(apply(t, r, "v:1").Versions())
	want := map[string]uint64{"a": 7, "forged": 7, "v:1": 9, "v:2": 2}
	if !maps.Equal(got, want) {
		t.Errorf("versions %v, want %v", got, want)
	}
	for range r.Versions() {
		break
	}
}

// consume takes the fields of that prefix, by name.
func consume(r sessionstore.Record, prefix string) map[string]sessionstore.Field {
	got := map[string]sessionstore.Field{}
	for f := range r.Prefix(prefix) {
		got[f.Name] = f
	}
	return got
}

func apply(t *testing.T, r sessionstore.Record, name string) sessionstore.Record {
	t.Helper()
	r, err := r.Apply(sessionstore.Change{Set: []sessionstore.Field{f(name, "new", 9)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A record that was sealed and then changed is the one that was changed in the clear.
func TestSealedApply(t *testing.T) {
	fields := []sessionstore.Field{f("v:1", "one", 1), f("g:1", "token", 2), f("v:2", strings.Repeat("two", 300), 0), f("v:3", "", 4)}
	changes := []sessionstore.Change{
		{Set: []sessionstore.Field{f("v:2", "changed", 5)}},
		{Set: []sessionstore.Field{f("v:2", "again", 6), f("v:4", "new", 7)}, Delete: []string{"v:1"}},
		{If: []sessionstore.Match{{Name: "v:2", Version: 6}, {Name: "g:1", Version: 2}, {Name: "v:1"}}, Set: []sessionstore.Field{f("v:1", "back", 8)}},
		{If: []sessionstore.Match{{Name: "v:2", Version: 5}}, Delete: []string{"v:2"}}, // a conflict
		{Delete: []string{"v:2", "v:3", "none"}, Expires: time.Now().Add(time.Minute)},
		{},
	}
	s := sessionstore.Sealed(new(sessionstore.Memory), sessionstore.NewKeyring())
	if err := s.Update(t.Context(), boundKey, create(fields...)); err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Load(t.Context(), boundKey)
	if err != nil {
		t.Fatal(err)
	}
	plain := sessionstore.NewRecord(sealed.Expires, fields...)
	for i, c := range changes {
		got, gotErr := sealed.Apply(c)
		want, wantErr := plain.Apply(c)
		if gotErr != wantErr {
			t.Fatalf("change %d: got %v, want %v", i, gotErr, wantErr)
		}
		if wantErr == nil {
			sealed, plain = got, want
		}
		for _, prefix := range []string{"", "v:", "g:", "none"} {
			if got, want := consume(sealed, prefix), consume(plain, prefix); !maps.Equal(got, want) {
				t.Errorf("change %d: prefix %q: got %d fields, want %d, or others", i, prefix, len(got), len(want))
			}
		}
		unpacked, err := sessionstore.Unpack(sealed.Pack())
		if err != nil || !maps.Equal(consume(unpacked, ""), consume(plain, "")) {
			t.Errorf("change %d: packed and unpacked it is another record: %v", i, err)
		}
		if sealed.Len() != plain.Len() || !sealed.Expires.Equal(plain.Expires) {
			t.Errorf("change %d: got %d fields until %v, want %d until %v", i, sealed.Len(), sealed.Expires, plain.Len(), plain.Expires)
		}
	}
}

// Prefix yields in the order of All, of a record in the clear as well, and stops when it is told to.
func TestRecordPrefix(t *testing.T) {
	r := sessionstore.NewRecord(time.Now(), f("a:1", "1", 1), f("b:1", "2", 2), f("a:2", "3", 3), f("a:", "4", 4))
	rows := []struct {
		prefix string
		most   int
		want   []string
	}{
		{"a:", 9, []string{"a:1", "a:2", "a:"}},
		{"a:", 1, []string{"a:1"}},
		{"b", 9, []string{"b:1"}},
		{"c:", 9, nil},
		{"", 9, []string{"a:1", "b:1", "a:2", "a:"}},
	}
	for _, row := range rows {
		var got []string
		for f := range r.Prefix(row.prefix) {
			if got = append(got, f.Name); len(got) == row.most {
				break
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%q, at most %d: got %q, want %q", row.prefix, row.most, got, row.want)
		}
	}
}
