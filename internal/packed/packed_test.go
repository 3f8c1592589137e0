package packed_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

func TestUint(t *testing.T) {
	numbers := []uint64{0, 1, 127, 128, 16383, 16384, math.MaxUint32, math.MaxInt64, math.MaxUint64}
	for _, n := range numbers {
		r := packed.Read(string(packed.AppendUint(nil, n)))
		if got := r.Uint(); got != n || r.More() || r.Err() != nil {
			t.Errorf("got %d, more %v, error %v; want %d", got, r.More(), r.Err(), n)
		}
	}
}

func TestTime(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC)
	rows := []struct {
		name     string
		in, want time.Time
	}{
		{"zero", time.Time{}, time.Time{}},
		{"millisecond", at, at},
		{"finer is cut off", at.Add(999 * time.Microsecond), at},
		{"another zone", at.In(time.FixedZone("east", 3600)), at},
		{"1970", time.UnixMilli(0), time.UnixMilli(0).UTC()},
		{"before 1970", time.UnixMilli(-5), time.UnixMilli(0).UTC()},
		{"2038 and after", time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := packed.Read(string(packed.AppendTime(nil, row.in)))
			if got := r.Time(); got != row.want || r.Err() != nil {
				t.Errorf("got %v, error %v; want %v", got, r.Err(), row.want)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	rows := []struct {
		name string
		in   string
		read func(r *packed.Reader) bool // reports whether it got a zero
	}{
		{"number of nothing", "", func(r *packed.Reader) bool { return r.Uint() == 0 }},
		{"number without an end", "\x80\x80", func(r *packed.Reader) bool { return r.Uint() == 0 }},
		{"number of eleven bytes", strings.Repeat("\x80", 10) + "\x01", func(r *packed.Reader) bool { return r.Uint() == 0 }},
		{"number above 64 bits", strings.Repeat("\xff", 9) + "\x02", func(r *packed.Reader) bool { return r.Uint() == 0 }},
		{"string of nothing", "", func(r *packed.Reader) bool { return r.String() == "" }},
		{"string that ends early", "\x05abcd", func(r *packed.Reader) bool { return r.String() == "" }},
		{"string longer than memory", strings.Repeat("\xff", 9) + "\x01", func(r *packed.Reader) bool { return r.String() == "" }},
		{"list longer than memory", strings.Repeat("\xff", 9) + "\x01", func(r *packed.Reader) bool { return r.Strings() == nil }},
		{"list that ends early", "\x02\x01a", func(r *packed.Reader) bool { return r.Strings() == nil }},
		{"list with a string that ends early", "\x02\x01a\x02b", func(r *packed.Reader) bool { return r.Strings() == nil }},
		{"list of elements alike, longer than memory", strings.Repeat("\xff", 9) + "\x01", func(r *packed.Reader) bool { return r.Alike() == nil }},
		{"the first element like one before it", "\x01\x01\x01a", func(r *packed.Reader) bool { return r.Alike() == nil }},
		{"more alike than there is", "\x02\x00\x01a\x02\x01b", func(r *packed.Reader) bool { return r.Alike() == nil }},
		{"elements alike that end early", "\x02\x00\x01a\x01\x02b", func(r *packed.Reader) bool { return r.Alike() == nil }},
		{"time of nothing", "", func(r *packed.Reader) bool { return r.Time().IsZero() }},
		{"truth of nothing", "", func(r *packed.Reader) bool { return !r.Bool() }},
		{"neither true nor false", "\x02", func(r *packed.Reader) bool { return !r.Bool() }},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := packed.Read(row.in)
			if !row.read(&r) {
				t.Error("got a value, want zero")
			}
			if err := r.Err(); !errors.Is(err, packed.ErrShort) {
				t.Errorf("got error %v, want %v", err, packed.ErrShort)
			}
			// From the first mistake on, everything is zero.
			if r.More() || r.Uint() != 0 || r.String() != "" || r.Strings() != nil || r.Bool() || !r.Time().IsZero() {
				t.Error("got something behind a mistake")
			}
		})
	}
}

// FuzzRoundTrip: what the Append functions write is read back, in order, and nothing is left.
func FuzzRoundTrip(f *testing.F) {
	f.Add(uint64(0), "", "", int64(0), false)
	f.Add(uint64(math.MaxUint64), "a string", "a,list,,of strings", int64(1893553445678), true)
	f.Add(uint64(1), "", "https://a.example/read,https://a.example/read.only,https://a.example/,https://a.example/", int64(1), true)
	f.Fuzz(func(t *testing.T, n uint64, s, list string, milli int64, v bool) {
		ss := strings.Split(list, ",")
		at := time.UnixMilli(milli & (1<<50 - 1)).UTC()
		b := packed.AppendUint(nil, n)
		b = packed.AppendString(b, s)
		b = packed.AppendStrings(b, ss)
		b = packed.AppendStrings(b, nil)
		b = packed.AppendAlike(b, ss)
		b = packed.AppendAlike(b, nil)
		b = packed.AppendTime(b, at)
		b = packed.AppendBool(b, v)
		b = append(b, "rest"...)
		r := packed.Read(string(b))
		if got := r.Uint(); got != n {
			t.Errorf("number: got %d, want %d", got, n)
		}
		if got := r.String(); got != s {
			t.Errorf("string: got %q, want %q", got, s)
		}
		if got := r.Strings(); !slices.Equal(got, ss) {
			t.Errorf("list: got %q, want %q", got, ss)
		}
		if got := r.Strings(); got != nil {
			t.Errorf("empty list: got %q, want nil", got)
		}
		if got := r.Alike(); !slices.Equal(got, ss) {
			t.Errorf("list of elements alike: got %q, want %q", got, ss)
		}
		if got := r.Alike(); got != nil {
			t.Errorf("empty list of elements alike: got %q, want nil", got)
		}
		if got := r.Time(); got != at {
			t.Errorf("time: got %v, want %v", got, at)
		}
		if got := r.Bool(); got != v {
			t.Errorf("truth: got %v, want %v", got, v)
		}
		if got := r.Rest(); got != "rest" || !r.More() || r.Err() != nil {
			t.Errorf("rest: got %q, more %v, error %v", got, r.More(), r.Err())
		}
	})
}

// FuzzRead: any bytes, read in any order, give no panic, and never more than is there.
func FuzzRead(f *testing.F) {
	f.Add("", "")
	f.Add("\x05abcd", "usltbusltb")
	f.Add("\x02\x01a\x01b\x01", "lbu")
	f.Add("\x02\x00\x01a\x01\x01b", "a")
	f.Add(strings.Repeat("\xff", 20), "slut")
	f.Fuzz(func(t *testing.T, in, order string) {
		r := packed.Read(in)
		total := 0
		for _, c := range order {
			switch c {
			case 'u':
				r.Uint()
			case 's':
				total += len(r.String())
			case 'l':
				for _, s := range r.Strings() {
					total += len(s)
				}
			case 'a':
				r.Alike()
			case 't':
				r.Time()
			case 'b':
				r.Bool()
			}
		}
		if total+len(r.Rest()) > len(in) {
			t.Errorf("got %d bytes of strings and %d left of %d", total, len(r.Rest()), len(in))
		}
		if r.Err() != nil && r.More() {
			t.Error("got more behind a mistake")
		}
	})
}
