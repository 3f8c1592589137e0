package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if want == nil && got != nil || !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// records: a record is there or not, and changes as a whole.
var records = []contract{
	{"absent: load", func(t *trial) { t.gone() }},
	{"absent: delete is no error", func(t *trial) { t.delete(); t.gone() }},
	{"absent: zero change", func(t *trial) { t.update(sessionstore.Change{}, sessionstore.ErrNotFound); t.gone() }},
	{"absent: must exist", func(t *trial) {
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "1")}, Expires: in(time.Hour)}, sessionstore.ErrNotFound)
		t.gone()
	}},
	{"absent: must not exist", func(t *trial) { t.update(fresh(field("a", "1")), nil); t.holds(field("a", "1")) }},
	{"absent: may exist", func(t *trial) {
		c := fresh(field("a", "1"))
		c.Mode = sessionstore.MayExist
		t.update(c, nil)
		t.holds(field("a", "1"))
	}},
	{"present: zero change", func(t *trial) {
		t.update(fresh(versioned("a", "1", 7)), nil)
		t.update(sessionstore.Change{}, nil)
		t.holds(versioned("a", "1", 7))
	}},
	{"present: must not exist", func(t *trial) {
		c := fresh(field("a", "1"))
		t.update(c, nil)
		for _, end := range []time.Duration{2 * time.Hour, -time.Minute} {
			again := fresh(field("a", "2"), field("b", "2"))
			again.Expires = in(end)
			t.update(again, sessionstore.ErrExists)
			t.holds(field("a", "1"))
			t.ends(c.Expires)
		}
	}},
	{"present: may exist merges", func(t *trial) {
		t.update(fresh(field("a", "1"), field("b", "1"), field("c", "1")), nil)
		c := fresh(field("b", "2"), field("d", "2"))
		c.Mode, c.Delete, c.Expires = sessionstore.MayExist, []string{"c"}, in(2*time.Hour)
		t.update(c, nil)
		t.holds(field("a", "1"), field("b", "2"), field("d", "2"))
		t.ends(c.Expires)
	}},
	{"set and delete", func(t *trial) {
		t.update(fresh(field("a", "1"), field("b", "1"), field("c", "1")), nil)
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("d", "2"), versioned("a", "2", 9)}, Delete: []string{"b", "never there"}}, nil)
		t.holds(versioned("a", "2", 9), field("c", "1"), field("d", "2"))
	}},
	{"a field made anew has the new version", func(t *trial) {
		t.update(fresh(versioned("a", "1", 7)), nil)
		t.update(sessionstore.Change{Delete: []string{"a"}}, nil)
		t.holds()
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}}, nil)
		t.holds(field("a", "2"))
	}},
	{"a record without fields is there", func(t *trial) {
		t.update(fresh(), nil)
		t.holds()
		t.update(fresh(), sessionstore.ErrExists)
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "1")}}, nil)
		t.update(sessionstore.Change{Delete: []string{"a"}}, nil)
		t.holds()
	}},
	{"a record made anew has nothing of the old one", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		t.delete()
		t.gone()
		t.update(fresh(field("b", "2")), nil)
		t.holds(field("b", "2"))
	}},
	{"a snapshot stays as it is", func(t *trial) {
		t.update(fresh(field("a", "1")), nil)
		r := t.load()
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("a", "2")}}, nil)
		t.delete()
		if f, ok := r.Field("a"); !ok || f.Value != "1" {
			t.Errorf("got %q, %v from a snapshot, want %q", f.Value, ok, "1")
		}
	}},
	{"delete many, each by itself", func(t *trial) {
		ctx := context.Background()
		ks := make([]sessionstore.Key, 300)
		for i := range ks {
			ks[i] = randomKey("test")
			if i%3 == 0 {
				continue // was never there
			}
			wantError(t, "Update", t.store.Update(ctx, ks[i], fresh(field("a", "1"))), nil)
		}
		t.update(fresh(field("a", "1")), nil)
		wantError(t, "Delete", t.store.Delete(ctx, ks...), nil)
		for _, k := range ks {
			_, err := t.store.Load(ctx, k)
			wantError(t, "Load", err, sessionstore.ErrNotFound)
		}
		t.holds(field("a", "1"))
		wantError(t, "Delete of nothing", t.store.Delete(ctx), nil)
		wantError(t, "Delete of one key twice", t.store.Delete(ctx, t.key, t.key), nil)
		t.gone()
	}},
	{"kinds are apart", func(t *trial) {
		other := sessionstore.Key{Kind: "tes", ID: "t" + t.key.ID}
		same := sessionstore.Key{Kind: "other", ID: t.key.ID}
		t.update(fresh(field("a", "1")), nil)
		for _, k := range []sessionstore.Key{other, same} {
			_, err := t.store.Load(context.Background(), k)
			wantError(t, "Load", err, sessionstore.ErrNotFound)
			wantError(t, "Delete", t.store.Delete(context.Background(), k), nil)
		}
		t.holds(field("a", "1"))
	}},
	{"ids differ by case", func(t *trial) {
		t.key.ID = "Ab" + t.key.ID
		lower := sessionstore.Key{Kind: t.key.Kind, ID: strings.ToLower(t.key.ID)}
		t.update(fresh(field("a", "1")), nil)
		_, err := t.store.Load(context.Background(), lower)
		wantError(t, "Load", err, sessionstore.ErrNotFound)
	}},
}

// values: any bytes come back as they went in.
var values = []contract{
	{"empty value", func(t *trial) { t.update(fresh(field("a", "")), nil); t.holds(field("a", "")) }},
	{"values that end in nothing", func(t *trial) {
		fields := []sessionstore.Field{field("a", "\x00"), field("b", "x\x00\x00"), field("c", " "), field("d", "x\n"), field("e", "\x00x")}
		t.update(fresh(fields...), nil)
		t.holds(fields...)
	}},
	{"every byte in a value", func(t *trial) {
		t.update(fresh(field("a", everyByte)), nil)
		t.holds(field("a", everyByte))
	}},
	{"every byte in a name", func(t *trial) {
		var fields []sessionstore.Field
		for i := range 256 {
			fields = append(fields, field(everyByte[i:i+1], fmt.Sprint(i)))
		}
		t.update(fresh(fields...), nil)
		t.holds(fields...)
	}},
	{"names that look alike are apart", func(t *trial) {
		fields := []sessionstore.Field{
			field("a", "1"), field("A", "2"), field("a ", "3"), field(" a", "4"), field("a\x00", "5"),
			field("ä", "6"), field("a\u0308", "7"), field("1", "8"), field("01", "9"), field("*", "10"), field("%", "11"),
		}
		t.update(fresh(fields...), nil)
		t.holds(fields...)
	}},
	{"values that look like numbers stay text", func(t *trial) {
		fields := []sessionstore.Field{field("a", "007"), field("b", "1e3"), field("c", "-0"), field("d", "null"), field("e", " x ")}
		t.update(fresh(fields...), nil)
		t.holds(fields...)
	}},
	{"every size of version", func(t *trial) {
		var fields []sessionstore.Field
		for i := range 64 {
			fields = append(fields,
				versioned(fmt.Sprint("bit ", i), "x", 1<<i),
				versioned(fmt.Sprint("below ", i), "x", 1<<i-1))
		}
		fields = append(fields, versioned("max", "x", 1<<64-1))
		t.update(fresh(fields...), nil)
		t.holds(fields...)
	}},
	{"a value of 1 MiB", func(t *trial) {
		big := strings.Repeat(everyByte, 1<<20/len(everyByte))
		t.update(fresh(field("big", big), field("small", "1")), nil)
		t.update(sessionstore.Change{Set: []sessionstore.Field{field("small", "2")}}, nil)
		t.holds(field("big", big), field("small", "2"))
	}},
	{"a thousand fields", func(t *trial) {
		var fields []sessionstore.Field
		for i := range 1000 {
			fields = append(fields, versioned(fmt.Sprint("field ", i), fmt.Sprint(i), uint64(i)))
		}
		t.update(fresh(fields...), nil)
		t.holds(fields...)
		var names []string
		for _, f := range fields[100:] {
			names = append(names, f.Name)
		}
		t.update(sessionstore.Change{Delete: names}, nil)
		t.holds(fields[:100]...)
	}},
}

var everyByte = func() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}()
