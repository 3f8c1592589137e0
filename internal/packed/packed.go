// Package packed writes small structures as flat bytes: numbers as varints, strings behind their
// length. It is what records, tokens and flows are stored as. Reading copies nothing: strings are
// parts of the input, which costs one pass and no allocation, where gob takes fifty times that.
package packed

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrShort is what a [Reader] reports for input that ends early or has a length that cannot be.
var ErrShort = errors.New("packed: malformed input")

// AppendUint appends n as a varint.
func AppendUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// AppendString appends s behind its length.
func AppendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendStrings appends the number of elements, then each of them.
func AppendStrings(b []byte, ss []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(ss)))
	for _, s := range ss {
		b = AppendString(b, s)
	}
	return b
}

// AppendAlike is AppendStrings for a list whose elements begin alike, as the scopes of one provider do:
// of each stands there how much of the one before it it begins with, and its rest.
func AppendAlike(b []byte, ss []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(ss)))
	before := ""
	for _, s := range ss {
		n := 0
		for n < len(s) && n < len(before) && s[n] == before[n] {
			n++
		}
		b = binary.AppendUvarint(b, uint64(n))
		b = AppendString(b, s[n:])
		before = s
	}
	return b
}

// AppendTime appends t in milliseconds since 1970; the zero time stays the zero time, and a time
// before 1970 becomes the first millisecond of it.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendUvarint(b, 0)
	}
	return binary.AppendUvarint(b, uint64(max(t.UnixMilli(), 0))+1)
}

// AppendBool appends v as one byte.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// A Reader reads what the Append functions wrote, in the same order. The first malformed value
// makes every later one zero, so that a caller checks [Reader.Err] once, at the end.
type Reader struct {
	rest string
	bad  bool
}

// Read returns a Reader of s.
func Read(s string) Reader { return Reader{rest: s} }

// Uint returns the next number.
func (r *Reader) Uint() uint64 {
	var n uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return n
		}
	}
	r.fail()
	return 0
}

// String returns the next string, a part of the input.
func (r *Reader) String() string {
	n := r.Uint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// Strings returns the next list; an empty one is nil.
func (r *Reader) Strings() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	ss := make([]string, 0, n)
	for range n {
		ss = append(ss, r.String())
	}
	if r.bad {
		return nil
	}
	return ss
}

// Alike returns the next list that [AppendAlike] wrote; an empty one is nil. Elements that begin like
// others are copies, and the list may be longer than the input.
func (r *Reader) Alike() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	ss := make([]string, 0, n)
	before := ""
	for range n {
		same := r.Uint()
		if same > uint64(len(before)) {
			r.fail()
			return nil
		}
		before = before[:same] + r.String()
		ss = append(ss, before)
	}
	if r.bad {
		return nil
	}
	return ss
}

// count returns the number of elements of a list.
func (r *Reader) count() uint64 {
	n := r.Uint()
	// Each element takes a byte at least: a hostile count allocates no more than the input's size.
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return n
}

// Time returns the next time, in UTC.
func (r *Reader) Time() time.Time {
	n := r.Uint()
	if n == 0 || n > 1<<62 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n - 1)).UTC()
}

// Bool returns the next truth value; a byte other than 0 and 1 is malformed.
func (r *Reader) Bool() bool {
	if len(r.rest) == 0 || r.rest[0] > 1 {
		r.fail()
		return false
	}
	v := r.rest[0] == 1
	r.rest = r.rest[1:]
	return v
}

// More reports whether there is something left to read, such as a field that a later version added.
func (r *Reader) More() bool { return len(r.rest) > 0 }

// Rest returns what was not read.
func (r *Reader) Rest() string { return r.rest }

// Err returns [ErrShort] if any value was malformed.
func (r *Reader) Err() error {
	if r.bad {
		return ErrShort
	}
	return nil
}

func (r *Reader) fail() { r.bad, r.rest = true, "" }
