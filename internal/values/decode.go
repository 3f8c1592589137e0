package values

import (
	"math"
	"math/bits"
	"strconv"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

// firstRoom is the most elements for which there is room before one of them was read: a frame of
// five bytes can claim any number.
const firstRoom = 64

// Decode returns the value of the frame s. Strings in it are parts of s, and keep all of s in
// memory; a []byte is a copy, the caller's own. The error is [ErrUnknown], [ErrMalformed],
// [ErrDepth] or a [*TypeError].
func Decode(s string) (any, error) {
	d := decoder{r: packed.Read(s)}
	v := d.value(0)
	if d.err == nil && (d.r.Err() != nil || d.r.More()) {
		d.err = ErrMalformed
	}
	if d.err != nil {
		return nil, d.err
	}
	return v, nil
}

// A decoder keeps the first error; after it, every value is nil and every loop ends.
type decoder struct {
	r   packed.Reader
	err error
}

func (d *decoder) value(depth int) any {
	tag := d.r.Uint()
	if d.r.Err() != nil {
		return d.fail(ErrMalformed)
	}
	switch tag {
	case tagNil:
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagInt:
		return int(d.int(strconv.IntSize))
	case tagInt8:
		return int8(d.int(8))
	case tagInt16:
		return int16(d.int(16))
	case tagInt32:
		return int32(d.int(32))
	case tagInt64:
		return d.int(64)
	case tagUint:
		return uint(d.uint(strconv.IntSize))
	case tagUint8:
		return uint8(d.uint(8))
	case tagUint16:
		return uint16(d.uint(16))
	case tagUint32:
		return uint32(d.uint(32))
	case tagUint64:
		return d.uint(64)
	case tagUintptr:
		return uintptr(d.uint(strconv.IntSize))
	case tagFloat32:
		return d.float32()
	case tagFloat64:
		return d.float64()
	case tagComplex64:
		re := d.float32()
		return complex(re, d.float32())
	case tagComplex128:
		re := d.float64()
		return complex(re, d.float64())
	case tagString:
		return d.r.String()
	case tagTime:
		return d.time()
	case tagDuration:
		return time.Duration(d.int(64))
	default:
		return d.composite(tag, depth)
	}
}

func (d *decoder) composite(tag uint64, depth int) any {
	switch tag {
	case tagBytes:
		return d.bytes()
	case tagInts:
		return list(d, func() int { return int(d.int(strconv.IntSize)) })
	case tagStrings:
		return list(d, d.r.String)
	case tagStringMap:
		return table(d, d.r.String)
	case tagGob:
		return d.gob()
	case tagList, tagMap:
		if depth == MaxDepth {
			return d.fail(ErrDepth)
		}
		element := func() any { return d.value(depth + 1) }
		if tag == tagList {
			return list(d, element)
		}
		return table(d, element)
	default:
		return d.fail(ErrUnknown)
	}
}

// list reads elements, each of which takes a byte at least.
func list[V any](d *decoder, element func() V) []V {
	n, ok := d.len()
	if !ok {
		return nil
	}
	vs := make([]V, 0, min(n, firstRoom))
	for range n {
		vs = append(vs, element())
		if d.failed() {
			return nil
		}
	}
	return vs
}

// table reads keys and values. Keys ascend, so that one table has one frame and no key twice.
func table[V any](d *decoder, element func() V) map[string]V {
	n, ok := d.len()
	if !ok {
		return nil
	}
	m := make(map[string]V, min(n, firstRoom))
	last := ""
	for i := range n {
		k := d.r.String()
		if i > 0 && k <= last {
			d.fail(ErrMalformed)
		}
		last = k
		m[k] = element()
		if d.failed() {
			return nil
		}
	}
	return m
}

// len reads a number of elements, and false for none at all, which is nil.
func (d *decoder) len() (int, bool) {
	n := d.r.Uint()
	if n > uint64(len(d.r.Rest()))+1 {
		d.fail(ErrMalformed)
		return 0, false
	}
	return int(n) - 1, n > 0
}

func (d *decoder) bytes() any {
	n, ok := d.len()
	if !ok {
		return []byte(nil)
	}
	rest := d.r.Rest()
	d.r = packed.Read(rest[n:])
	return []byte(rest[:n])
}

func (d *decoder) time() any {
	var t time.Time
	if err := t.UnmarshalBinary([]byte(d.r.String())); err != nil {
		return d.fail(ErrMalformed)
	}
	return t
}

// int reads a number that fits into so many bits.
func (d *decoder) int(size int) int64 {
	u := d.r.Uint()
	n := int64(u>>1) ^ -int64(u&1)
	if n<<(64-size)>>(64-size) != n {
		d.fail(ErrMalformed)
		return 0
	}
	return n
}

func (d *decoder) uint(size int) uint64 {
	n := d.r.Uint()
	if bits.Len64(n) > size {
		d.fail(ErrMalformed)
		return 0
	}
	return n
}

func (d *decoder) float32() float32 {
	return math.Float32frombits(bits.ReverseBytes32(uint32(d.uint(32))))
}

func (d *decoder) float64() float64 {
	return math.Float64frombits(bits.ReverseBytes64(d.uint(64)))
}

func (d *decoder) failed() bool { return d.err != nil || d.r.Err() != nil }

func (d *decoder) fail(err error) any {
	if d.err == nil {
		d.err = err
	}
	return nil
}
