// Package values writes the values of a session as bytes, one frame each: a tag that says the
// type, and what is needed to make that value again. A value comes back with the dynamic type with
// which it went in: an int32 as an int32, a nil slice as a nil slice.
//
// The types that sessions mostly hold have frames of their own: nil, bool, every int, uint, float
// and complex, string, []byte, []int, []string, []any, [time.Time], [time.Duration],
// map[string]string and map[string]any. Every other type, also a named one such as "type role
// string", is written by [encoding/gob] and must be known to [gob.Register], as scs asks for too.
// What gob does to a value, it does here: a pointer comes back as what its type was registered as,
// and fields that are not exported are lost.
//
// Equal values of the first kind have equal frames: keys of maps are sorted. So a session finds
// out what changed by comparing frames. gob writes maps in random order; a value that holds one
// may look changed when it is not, and is then written once more, which does no harm.
//
// # Versions
//
// A tag means the same for ever. A new type gets a new tag, and a build that does not know it
// reports [ErrUnknown]. Whoever reads a session takes a value that cannot be decoded for absent,
// and keeps the rest: a rollback loses a key, never a session.
//
// # Hostile frames
//
// Decode never panics, nests at most [MaxDepth] deep, and for frames of its own allocates no more
// than a fixed multiple of what it reads. gob gives no such promise: it recurses as deep as a type
// allows, which [MaxGob] bounds, and makes room for as many entries of a map as seventy bytes can
// claim, gigabytes, which nothing bounds. A program that has registered a type with a map in it
// must decode frames only out of a store that is sealed or its own.
package values

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

// MaxDepth is how deep values may lie in others: []any{[]any{1}} has depth 2.
const MaxDepth = 32

// Errors of [Append] and [Decode]. None of them holds a part of a value.
var (
	ErrUnknown   = errors.New("values: unknown tag")       // the frame of a later version
	ErrMalformed = errors.New("values: malformed frame")   // no frame that Append writes
	ErrDepth     = errors.New("values: nested too deeply") // or a value that contains itself
)

// Tags are stored: never change or reuse one.
const (
	tagNil        = 1
	tagFalse      = 2
	tagTrue       = 3
	tagInt        = 4
	tagInt8       = 5
	tagInt16      = 6
	tagInt32      = 7
	tagInt64      = 8
	tagUint       = 9
	tagUint8      = 10
	tagUint16     = 11
	tagUint32     = 12
	tagUint64     = 13
	tagUintptr    = 14
	tagFloat32    = 15
	tagFloat64    = 16
	tagComplex64  = 17
	tagComplex128 = 18
	tagString     = 19
	tagBytes      = 20
	tagTime       = 21
	tagDuration   = 22
	tagInts       = 23
	tagStrings    = 24
	tagList       = 25
	tagStringMap  = 26
	tagMap        = 27
	tagGob        = 28
)

// Append appends the frame of v to b. A time keeps its instant and its offset from UTC, and loses
// its monotonic reading and the name of its zone, as with gob. The error is [ErrDepth] or a
// [*TypeError]; b is then returned as it was.
func Append(b []byte, v any) ([]byte, error) {
	longer, err := appendValue(b, v, 0)
	if err != nil {
		return b, err
	}
	return longer, nil
}

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, tagNil), nil
	case bool:
		if v {
			return append(b, tagTrue), nil
		}
		return append(b, tagFalse), nil
	case int:
		return appendInt(append(b, tagInt), int64(v)), nil
	case int8:
		return appendInt(append(b, tagInt8), int64(v)), nil
	case int16:
		return appendInt(append(b, tagInt16), int64(v)), nil
	case int32:
		return appendInt(append(b, tagInt32), int64(v)), nil
	case int64:
		return appendInt(append(b, tagInt64), v), nil
	case uint:
		return packed.AppendUint(append(b, tagUint), uint64(v)), nil
	case uint8:
		return packed.AppendUint(append(b, tagUint8), uint64(v)), nil
	case uint16:
		return packed.AppendUint(append(b, tagUint16), uint64(v)), nil
	case uint32:
		return packed.AppendUint(append(b, tagUint32), uint64(v)), nil
	case uint64:
		return packed.AppendUint(append(b, tagUint64), v), nil
	case uintptr:
		return packed.AppendUint(append(b, tagUintptr), uint64(v)), nil
	case float32:
		return appendFloat32(append(b, tagFloat32), v), nil
	case float64:
		return appendFloat64(append(b, tagFloat64), v), nil
	case complex64:
		return appendFloat32(appendFloat32(append(b, tagComplex64), real(v)), imag(v)), nil
	case complex128:
		return appendFloat64(appendFloat64(append(b, tagComplex128), real(v)), imag(v)), nil
	case string:
		return packed.AppendString(append(b, tagString), v), nil
	case time.Duration:
		return appendInt(append(b, tagDuration), int64(v)), nil
	case time.Time:
		return appendTime(append(b, tagTime), v)
	default:
		return appendComposite(b, v, depth)
	}
}

// appendComposite appends what has elements. Their number is written plus one, so that nil, which
// is 0, and empty stay apart.
func appendComposite(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		b = appendLen(append(b, tagBytes), len(v), v == nil)
		return append(b, v...), nil
	case []int:
		b = appendLen(append(b, tagInts), len(v), v == nil)
		for _, n := range v {
			b = appendInt(b, int64(n))
		}
		return b, nil
	case []string:
		b = appendLen(append(b, tagStrings), len(v), v == nil)
		for _, s := range v {
			b = packed.AppendString(b, s)
		}
		return b, nil
	case []any:
		return appendList(b, v, depth)
	case map[string]string:
		var room [16]string
		b = appendLen(append(b, tagStringMap), len(v), v == nil)
		for _, k := range sortedKeys(room[:0], v) {
			b = packed.AppendString(packed.AppendString(b, k), v[k])
		}
		return b, nil
	case map[string]any:
		return appendMap(b, v, depth)
	default:
		return appendGob(b, v)
	}
}

func appendList(b []byte, v []any, depth int) ([]byte, error) {
	if depth == MaxDepth {
		return b, ErrDepth
	}
	b = appendLen(append(b, tagList), len(v), v == nil)
	for _, element := range v {
		var err error
		if b, err = appendValue(b, element, depth+1); err != nil {
			return b, err
		}
	}
	return b, nil
}

func appendMap(b []byte, v map[string]any, depth int) ([]byte, error) {
	if depth == MaxDepth {
		return b, ErrDepth
	}
	var room [16]string
	b = appendLen(append(b, tagMap), len(v), v == nil)
	for _, k := range sortedKeys(room[:0], v) {
		var err error
		if b, err = appendValue(packed.AppendString(b, k), v[k], depth+1); err != nil {
			return b, err
		}
	}
	return b, nil
}

// sortedKeys appends the keys of m to room.
func sortedKeys[V any](room []string, m map[string]V) []string {
	for k := range m {
		room = append(room, k)
	}
	slices.Sort(room)
	return room
}

func appendLen(b []byte, n int, isNil bool) []byte {
	if isNil {
		return append(b, 0)
	}
	return packed.AppendUint(b, uint64(n)+1)
}

// appendInt writes small numbers of either sign as one byte.
func appendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// A float's bytes are turned round, since those that are zero stand at its end.
func appendFloat32(b []byte, f float32) []byte {
	return packed.AppendUint(b, uint64(bits.ReverseBytes32(math.Float32bits(f))))
}

func appendFloat64(b []byte, f float64) []byte {
	return packed.AppendUint(b, bits.ReverseBytes64(math.Float64bits(f)))
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	b = append(b, 0)
	n := len(b)
	b, err := t.AppendBinary(b)
	if err != nil {
		return b, &TypeError{Type: "time.Time", Err: err}
	}
	b[n-1] = byte(len(b) - n)
	return b, nil
}
