package values_test

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/returnleg/returnleg/internal/values"
)

func TestDecode_Refused(t *testing.T) {
	for _, row := range []struct {
		name, in string
		want     error // or nil: a TypeError
	}{
		{"empty", "", values.ErrMalformed},
		{"tag 0", "\x00", values.ErrUnknown},
		{"tag of a later version", "\x1d\x01\x02\x03", values.ErrUnknown},
		{"tag above 127", "\x80\x01", values.ErrUnknown},
		{"later version in a list", "\x19\x02\x1d", values.ErrUnknown},
		{"later version in a map", "\x1b\x02\x01a\x1d", values.ErrUnknown},
		{"something after nil", "\x01\x01", values.ErrMalformed},
		{"int8 too large", "\x05\x80\x02", values.ErrMalformed},
		{"int8 too small", "\x05\x81\x02", values.ErrMalformed},
		{"uint8 too large", "\x0a\x80\x02", values.ErrMalformed},
		{"float32 too large", "\x0f\x80\x80\x80\x80\x10", values.ErrMalformed},
		{"number that does not end", "\x04" + strings.Repeat("\xff", 11), values.ErrMalformed},
		{"string longer than the frame", "\x13\x05abc", values.ErrMalformed},
		{"bytes longer than the frame", "\x14\x05abc", values.ErrMalformed},
		{"more elements than bytes", "\x19\x80\x80\x80\x80\x10\x01", values.ErrMalformed},
		{"more elements than there are", "\x19\x03\x01", values.ErrMalformed},
		{"time of another version", "\x15\x01\x07", values.ErrMalformed},
		{"time without bytes", "\x15\x00", values.ErrMalformed},
		{"keys that descend", "\x1a\x03\x01b\x00\x01a\x00", values.ErrMalformed},
		{"key twice", "\x1b\x03\x01a\x01\x01a\x01", values.ErrMalformed},
		{"empty key twice", "\x1a\x03\x00\x00\x00\x00", values.ErrMalformed},
		{"one too deep", strings.Repeat("\x19\x02", values.MaxDepth+1) + "\x01", values.ErrDepth},
		{"map one too deep", strings.Repeat("\x1b\x02\x00", values.MaxDepth+1) + "\x01", values.ErrDepth},
		{"far too deep", strings.Repeat("\x19\x02", 1<<20), values.ErrDepth},
		{"gob, empty", "\x1c\x00", nil},
		{"gob, not gob", "\x1c\x03abc", nil},
		{"gob, too large", string(binary.AppendUvarint([]byte{28}, values.MaxGob+1)) + strings.Repeat("a", values.MaxGob+1), values.ErrMalformed},
		{"gob, two values", frameOf(stream(t, role("a")) + stream(t, role("b"))), nil},
		{"gob, unregistered", frameOf(strings.Replace(stream(t, role("a")), "values_test.role", "values_test.rule", 1)), nil},
		{"gob, method that fails", frameOf(stream(t, trap{"hunter2"})), nil},
		{"gob, method that panics", frameOf(stream(t, trap{"panic"})), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			v, err := values.Decode(row.in)
			var e *values.TypeError
			if v != nil || row.want != nil && !errors.Is(err, row.want) || row.want == nil && !errors.As(err, &e) {
				t.Fatalf("Decode = %v, %v, want %v", v, err, row.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %q holds the value", err)
			}
		})
	}
}

// What a frame claims to hold costs nothing before it is there.
func TestDecode_Memory(t *testing.T) {
	size := 1 << 16
	claim := string(binary.AppendUvarint(nil, uint64(size)))
	tail := strings.Repeat("\x01", size)
	for _, row := range []struct{ name, in string }{
		{"ints", "\x17" + claim + tail[:size/2]},
		{"strings", "\x18" + claim + tail},
		{"list", "\x19" + claim + tail[:size/2]},
		{"string map", "\x1a" + claim + tail},
		{"map", "\x1b" + claim + tail},
		{"lists in lists", strings.Repeat("\x19"+claim, values.MaxDepth) + tail},
		{"maps in maps", strings.Repeat("\x1b"+claim+"\x00", values.MaxDepth) + tail},
		{"lists beside lists", "\x19" + claim + strings.Repeat("\x19\x02\x01", size)},
		{"list that is there", "\x19" + claim + tail[:size-1]},
	} {
		t.Run(row.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = values.Decode(row.in)
			runtime.ReadMemStats(&after)
			// An element of a byte takes 16, and growing by steps about four times that.
			if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(100*len(row.in)+64<<10); got > limit {
				t.Errorf("%d bytes of input allocate %d, want at most %d", len(row.in), got, limit)
			}
		})
	}
}

// gob recurses into a type that holds itself. As much of it as is let through must fit a stack:
// one that does not ends the program, and this test with it.
func TestDecode_GobDepth(t *testing.T) {
	const links = values.MaxGob/2 - 100 // of two bytes: the field, and the end of it
	var c *chain
	for range links {
		c = &chain{Next: c}
	}
	frame := encode(t, c)
	if n := length(decode(t, frame)); n != links {
		t.Errorf("%d links, want %d", n, links)
	}
	// gob takes the end of its input for every end that is missing: a byte for a level.
	ends := len(frame) - len(strings.TrimRight(frame, "\x00"))
	if n := length(decode(t, frame[:len(frame)-ends]+strings.Repeat("\x01", ends))); n != links+ends {
		t.Errorf("without ends: %d links, want %d", n, links+ends)
	}
}

func length(v any) (n int) {
	for c, _ := v.(*chain); c != nil; c = c.Next {
		n++
	}
	return n
}

func FuzzDecode(f *testing.F) {
	for _, row := range typed {
		f.Add(encode(f, row.v))
	}
	for _, s := range []string{"", "\x00", "\x1d", "\x19\x02\x1d", "\x1c\x03abc", "\x1a\x03\x01b\x00\x01a\x00", "\x15\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		// gob makes room for whatever a map claims; see the package comment.
		if strings.Contains(s, "labels") {
			return
		}
		v, err := values.Decode(s)
		if err != nil {
			if v != nil {
				t.Fatalf("Decode(%q) = %v with %v", s, v, err)
			}
			return
		}
		frame, err := values.Append(nil, v)
		if err != nil {
			// A gob stream may hold what no frame can.
			if !strings.Contains(s, "\x1c") {
				t.Fatalf("Decode(%q) = %v, which has no frame: %v", s, v, err)
			}
			return
		}
		again, err := values.Append(nil, decode(t, string(frame)))
		if err != nil || !bytes.Equal(again, frame) {
			t.Fatalf("Decode(%q) = %v, with the frames %q and %q, %v", s, v, frame, again, err)
		}
	})
}

// stream is what gob makes of v.
func stream(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func frameOf(stream string) string {
	return string(binary.AppendUvarint([]byte{28}, uint64(len(stream)))) + stream
}
