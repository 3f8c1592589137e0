package values_test

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/values"
)

// Whatever goes in comes out, with its type, and has one frame.
func FuzzRoundTrip(f *testing.F) {
	for kind := range 30 {
		f.Add([]byte{byte(kind), 3, 1, 2, 3, 255, 254, 253, 252, 251, 250})
	}
	f.Add([]byte{24, 7, 25, 7, 26, 2, 'a', 17, 3, 'b', 0, 1, 2, 28, 5})
	f.Fuzz(func(t *testing.T, seed []byte) {
		want := (&builder{seed}).value(0)
		b, err := values.Append(nil, want)
		if errors.Is(err, values.ErrDepth) {
			t.Fatalf("%v is built no deeper than is allowed", want)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := values.Decode(string(b))
		if err != nil {
			t.Fatalf("%T %v: frame %q: %v", want, want, b, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %T %#v, want %T %#v", got, got, want, want)
		}
		if again, err := values.Append(nil, got); err != nil || string(again) != string(b) {
			t.Fatalf("%T %v has the frames %q and %q, %v", want, want, b, again, err)
		}
	})
}

// A builder makes a value out of bytes; when they run out, of zeros.
type builder struct{ seed []byte }

func (b *builder) byte() byte {
	if len(b.seed) == 0 {
		return 0
	}
	c := b.seed[0]
	b.seed = b.seed[1:]
	return c
}

func (b *builder) uint() uint64 {
	var room [8]byte
	for i := range 1 + b.byte()%8 {
		room[i] = b.byte()
	}
	return binary.LittleEndian.Uint64(room[:])
}

func (b *builder) string() string {
	n := min(int(b.byte()), len(b.seed))
	s := string(b.seed[:n])
	b.seed = b.seed[n:]
	return s
}

// float returns no NaN, which is not even equal to itself.
func (b *builder) float() float64 {
	if f := math.Float64frombits(b.uint()); !math.IsNaN(f) {
		return f
	}
	return 0
}

func (b *builder) value(depth int) any {
	switch b.byte() % 29 {
	case 0:
		return nil
	case 1:
		return b.byte()%2 == 1
	case 2:
		return int(b.uint())
	case 3:
		return int8(b.uint())
	case 4:
		return int16(b.uint())
	case 5:
		return int32(b.uint())
	case 6:
		return int64(b.uint())
	case 7:
		return uint(b.uint())
	case 8:
		return uint8(b.uint())
	case 9:
		return uint16(b.uint())
	case 10:
		return uint32(b.uint())
	case 11:
		return b.uint()
	case 12:
		return uintptr(b.uint())
	case 13:
		return float32(b.float())
	case 14:
		return b.float()
	case 15:
		return complex(float32(b.float()), float32(b.float()))
	case 16:
		return complex(b.float(), b.float())
	case 17:
		return b.string()
	case 18:
		return []byte(b.string())
	case 19:
		return time.Unix(int64(b.uint()>>16), int64(b.uint()%1e9)).UTC()
	case 20:
		return time.Duration(b.uint())
	case 21:
		return elements(b, func() int { return int(b.uint()) })
	case 22:
		return elements(b, b.string)
	case 23:
		m := map[string]string{}
		for range b.byte() % 32 {
			m[b.string()] = b.string()
		}
		return m
	case 24, 25:
		if depth == values.MaxDepth {
			return nil
		}
		return elements(b, func() any { return b.value(depth + 1) })
	case 26, 27:
		if depth == values.MaxDepth || len(b.seed) == 0 {
			return map[string]string(nil)
		}
		m := map[string]any{}
		for range b.byte() % 32 {
			m[b.string()] = b.value(depth + 1)
		}
		return m
	default:
		return user{Name: b.string(), Seen: time.Unix(int64(b.byte()), 0).UTC()}
	}
}

// elements returns nil, or up to 30 elements.
func elements[V any](b *builder, element func() V) []V {
	n := int(b.byte() % 32)
	if n == 0 || len(b.seed) == 0 {
		return nil
	}
	vs := make([]V, 0, n-1)
	for range n - 1 {
		vs = append(vs, element())
	}
	return vs
}
