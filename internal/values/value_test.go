package values_test

import (
	"encoding/gob"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/values"
)

type role string

type user struct {
	Name  string
	Roles []role
	Seen  time.Time
	Best  *int
}

// A chain nests in gob as deep as one likes.
type chain struct{ Next *chain }

type labels struct{ M map[string]int }

type unknown struct{ Secret string }

// A trap panics, or fails and says what it holds, when gob asks for its bytes.
type trap struct{ Secret string }

func (t trap) GobEncode() ([]byte, error) {
	if t.Secret == "" {
		panic("hunter2")
	}
	return []byte(t.Secret), nil
}

func (t *trap) GobDecode(b []byte) error {
	if string(b) == "panic" {
		panic("hunter2")
	}
	return errors.New(string(b))
}

func TestMain(m *testing.M) {
	gob.Register(role(""))
	gob.Register(user{})
	gob.Register(&chain{})
	gob.Register(labels{})
	gob.Register(trap{})
	gob.Register([]user(nil))
	gob.Register([]any(nil))
	// What scs's own codec asks for, to be compared with.
	gob.Register(moment)
	gob.Register(time.Duration(0))
	gob.Register(map[string]string(nil))
	m.Run()
}

var (
	one    = 1
	moment = time.Date(2026, 11, 21, 10, 20, 30, 123456789, time.UTC)
)

// typed has a value of every type that has a frame of its own, at its edges, and of some that do not.
var typed = []struct {
	name string
	v    any
}{
	{"nil", nil},
	{"false", false},
	{"true", true},
	{"int", 42},
	{"int, zero", 0},
	{"int, least", math.MinInt},
	{"int, largest", math.MaxInt},
	{"int8, least", int8(math.MinInt8)},
	{"int8, largest", int8(math.MaxInt8)},
	{"int16, least", int16(math.MinInt16)},
	{"int16, largest", int16(math.MaxInt16)},
	{"int32, least", int32(math.MinInt32)},
	{"int32, largest", int32(math.MaxInt32)},
	{"int64, least", int64(math.MinInt64)},
	{"int64, largest", int64(math.MaxInt64)},
	{"uint", uint(math.MaxUint)},
	{"uint8", uint8(math.MaxUint8)},
	{"uint16", uint16(math.MaxUint16)},
	{"uint32", uint32(math.MaxUint32)},
	{"uint64", uint64(math.MaxUint64)},
	{"uintptr", uintptr(7)},
	{"float32", float32(1.5)},
	{"float32, least", float32(math.SmallestNonzeroFloat32)},
	{"float64", 0.1},
	{"float64, infinite", math.Inf(-1)},
	{"complex64", complex(float32(1), float32(-2))},
	{"complex128", complex(0.1, math.MaxFloat64)},
	{"string", "page"},
	{"string, empty", ""},
	{"string, not UTF-8", "\xff\x00"},
	{"string, long", strings.Repeat("a", 1<<16)},
	{"bytes", []byte{0, 1, 255}},
	{"bytes, empty", []byte{}},
	{"bytes, nil", []byte(nil)},
	{"time", moment},
	{"time, zero", time.Time{}},
	{"time, year 1", time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)},
	{"time, year 99999", time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)},
	{"duration", -3 * time.Hour},
	{"ints", []int{1, -2, math.MaxInt}},
	{"ints, empty", []int{}},
	{"ints, nil", []int(nil)},
	{"ints, many", make([]int, 1000)},
	{"strings", []string{"a", "", "c"}},
	{"strings, empty", []string{}},
	{"strings, nil", []string(nil)},
	{"list", []any{nil, 1, "a", []any{true, []byte{1}}, map[string]any{"b": int8(2)}}},
	{"list, empty", []any{}},
	{"list, nil", []any(nil)},
	{"string map", map[string]string{"": "x", "a": "1", "b": ""}},
	{"string map, empty", map[string]string{}},
	{"string map, nil", map[string]string(nil)},
	{"map", map[string]any{"a": 1, "b": "c", "": nil, "d": map[string]any{"e": moment}}},
	{"map, empty", map[string]any{}},
	{"map, nil", map[string]any(nil)},
	{"deepest", nest(nil, values.MaxDepth)},
	{"gob, named string", role("admin")},
	{"gob, struct", user{Name: "n", Roles: []role{"a"}, Seen: moment, Best: &one}},
	{"gob, structs", []user{{Name: "a"}, {Name: "b"}}},
	{"gob, pointer", &chain{Next: &chain{}}},
	{"gob, map inside", labels{map[string]int{"a": 1}}},
	{"gob, slice that gob knows", []float64{1, 2}},
	{"gob inside", []any{role("admin"), map[string]any{"u": user{Name: "n"}}}},
}

// nest lays v into as many lists.
func nest(v any, depth int) any {
	for range depth {
		v = []any{v}
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	for _, row := range typed {
		t.Run(row.name, func(t *testing.T) {
			frame := encode(t, row.v)
			got := decode(t, frame)
			if reflect.TypeOf(got) != reflect.TypeOf(row.v) || !reflect.DeepEqual(got, row.v) {
				t.Errorf("got %T %v, want %T %v", got, got, row.v, row.v)
			}
			if again := encode(t, got); again != frame {
				t.Errorf("frame of the result = %q, want %q", again, frame)
			}
		})
	}
}

// No frame is the beginning of another, and none is longer than what it says.
func TestDecode_Cut(t *testing.T) {
	for _, row := range typed {
		t.Run(row.name, func(t *testing.T) {
			frame := encode(t, row.v)
			for n := range min(len(frame), 200) {
				if v, err := values.Decode(frame[:n]); err == nil {
					t.Errorf("the first %d of %d bytes are %T %v", n, len(frame), v, v)
				}
			}
			if _, err := values.Decode(frame + "\x00"); !errors.Is(err, values.ErrMalformed) {
				t.Errorf("one byte more: error %v, want %v", err, values.ErrMalformed)
			}
		})
	}
}

func TestAppend_Deterministic(t *testing.T) {
	table, texts := map[string]any{}, map[string]string{}
	for _, k := range strings.Split("the quick brown fox jumps over the lazy dog and naps under an old oak tree at noon in may", " ") {
		table[k], texts[k] = k, k
	}
	for _, v := range []any{table, texts, []any{table, map[string]any{"t": table}}} {
		want := encode(t, v)
		for range 50 {
			if got := encode(t, v); got != want {
				t.Fatalf("%T has two frames:\n%q\n%q", v, got, want)
			}
		}
	}
}

func TestAppend_Time(t *testing.T) {
	for _, row := range []struct {
		name   string
		in     time.Time
		offset int
	}{
		{"east", moment.In(time.FixedZone("CET", 3600)), 3600},
		{"west, odd minutes", moment.In(time.FixedZone("", -12600)), -12600},
		{"seconds in the offset", moment.In(time.FixedZone("LMT", 1172)), 1172},
		{"monotonic reading", time.Now().UTC(), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok := decode(t, encode(t, row.in)).(time.Time)
			if !ok || !got.Equal(row.in) {
				t.Fatalf("got %v, want %v", got, row.in)
			}
			if _, offset := got.Zone(); offset != row.offset {
				t.Errorf("offset = %d s, want %d", offset, row.offset)
			}
			if got != got.Round(0) {
				t.Errorf("%v has a monotonic reading", got)
			}
		})
	}
}

func TestAppend_NaN(t *testing.T) {
	got, ok := decode(t, encode(t, math.NaN())).(float64)
	if !ok || !math.IsNaN(got) {
		t.Errorf("got %v, want NaN", got)
	}
	negative := math.Copysign(0, -1)
	if got, ok := decode(t, encode(t, negative)).(float64); !ok || !math.Signbit(got) {
		t.Errorf("got %v, want -0", got)
	}
}

func TestAppend_Refused(t *testing.T) {
	loop := map[string]any{}
	loop["self"] = []any{loop, loop}
	for _, row := range []struct {
		name string
		v    any
		is   error  // or nil: a TypeError
		text string // part of it
	}{
		{"one too deep", nest(nil, values.MaxDepth+1), values.ErrDepth, "nested too deeply"},
		{"map one too deep", nest(map[string]any{}, values.MaxDepth), values.ErrDepth, "nested too deeply"},
		{"contains itself", loop, values.ErrDepth, "nested too deeply"},
		{"unregistered", unknown{"hunter2"}, nil, "values_test.unknown: type is not known to gob.Register"},
		{"unregistered, pointer", &unknown{"hunter2"}, nil, "values_test.unknown: type is not known to gob.Register"},
		{"unregistered, in a list", []any{1, unknown{"hunter2"}}, nil, "values_test.unknown"},
		{"unregistered, in a map", map[string]any{"a": map[string]any{"b": unknown{"hunter2"}}}, nil, "values_test.unknown"},
		{"channel", make(chan int), nil, "chan int"},
		{"function", func() {}, nil, "func()"},
		{"nil pointer", (*chain)(nil), nil, "*values_test.chain"},
		{"method that panics", trap{}, nil, "values_test.trap"},
		{"too large for gob", role(strings.Repeat("a", values.MaxGob)), nil, "values_test.role"},
		{"offset that cannot be", moment.In(time.FixedZone("", 1<<30)), nil, "time.Time"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := values.Append([]byte("before"), row.v)
			if string(got) != "before" {
				t.Errorf("Append returns %q, want what it was given", got)
			}
			var e *values.TypeError
			if row.is == nil && !errors.As(err, &e) || row.is != nil && !errors.Is(err, row.is) {
				t.Fatalf("error = %v", err)
			}
			if text := err.Error(); !strings.Contains(text, row.text) || strings.Contains(text, "hunter2") {
				t.Errorf("error = %q, want %q and no value", text, row.text)
			}
		})
	}
}

// Bytes that come out are the caller's own: writing to them changes no other reader's.
func TestDecode_OwnBytes(t *testing.T) {
	frame := encode(t, []byte("abc"))
	first, _ := decode(t, frame).([]byte)
	first[0] = 'x'
	_ = append(first[:1], 'y')
	if second, _ := decode(t, frame).([]byte); string(second) != "abc" {
		t.Errorf("got %q, want abc", second)
	}
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := values.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode(t testing.TB, frame string) any {
	t.Helper()
	v, err := values.Decode(frame)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
