package sessionstore

import (
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

// A Record is what Load found: an immutable snapshot, packed into one string, from which nothing
// is copied. The zero Record has no fields. Printed or encoded, a record is "[redacted]".
type Record struct {
	packed string  // for each field: name, version, value, as packed writes them
	opener *opener // not nil: values in packed are sealed, see [Sealed]
	clear  string  // as packed, not sealed: what [Record.Apply] has set since; its names are not in packed

	Expires time.Time // in UTC, to the millisecond
}

// NewRecord returns a record of fields, for those who write a [Store]. Of two fields of one name
// the later one counts.
func NewRecord(expires time.Time, fields ...Field) Record {
	r, _ := Record{}.Apply(Change{Set: fields, Expires: expires}) // no condition, no conflict
	return r
}

// Field returns the field of that name. It takes time in proportion to the number of fields and
// allocates nothing, unless the value has to be opened.
func (r Record) Field(name string) (f Field, ok bool) {
	for rest := r.packed; rest != ""; {
		if f, rest = next(rest); f.Name == name {
			return r.open(f)
		}
	}
	for rest := r.clear; rest != ""; {
		if f, rest = next(rest); f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}

// Holds reports whether the field of that name has this value, and returns the field's version. It does what
// [Record.Field] and a comparison do, without an allocation for a value that has to be opened. One that does
// not open equals nothing, and Unopened of the [SealedStore] is not called for it.
func (r Record) Holds(name, value string) (version uint64, ok bool) {
	for i, fields := range [...]string{r.packed, r.clear} {
		for fields != "" {
			var f Field
			if f, fields = next(fields); f.Name != name {
				continue
			}
			if i == 0 && r.opener != nil {
				return f.Version, r.opener.holds(f, value)
			}
			return f.Version, f.Value == value
		}
	}
	return 0, false
}

// All yields the fields in the order in which they were first set. A store that keeps fields in
// no order, as a hash does, yields them in any.
func (r Record) All() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for rest := r.packed; rest != ""; {
			var f Field
			f, rest = next(rest)
			f, ok := r.open(f)
			if ok && !yield(f) {
				return
			}
		}
		for rest := r.clear; rest != ""; {
			var f Field
			if f, rest = next(rest); !yield(f) {
				return
			}
		}
	}
}

// Prefix yields the fields whose names begin with prefix, in the order of [Record.All]. Other
// values are not opened. Those that it opens are parts of one string: keep a copy of what is to be
// kept for longer than the others.
func (r Record) Prefix(prefix string) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		var values strings.Builder
		if r.opener != nil {
			values.Grow(valuesSize(r.packed, prefix))
		}
		for rest := r.packed; rest != ""; {
			var f Field
			f, rest = next(rest)
			if !strings.HasPrefix(f.Name, prefix) {
				continue
			}
			ok := true
			if r.opener != nil {
				f.Value, ok = r.opener.openTo(&values, f)
			}
			if ok && !yield(f) {
				return
			}
		}
		for rest := r.clear; rest != ""; {
			var f Field
			f, rest = next(rest)
			if strings.HasPrefix(f.Name, prefix) && !yield(f) {
				return
			}
		}
	}
}

// Versions yields the name and version of each field, in the order of [Record.All], as a [Match] wants
// them. It opens nothing: a field whose value would not open, because its key is gone, is there as well.
func (r Record) Versions() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for _, fields := range [...]string{r.packed, r.clear} {
			for fields != "" {
				var f Field
				if f, fields = next(fields); !yield(f.Name, f.Version) {
					return
				}
			}
		}
	}
}

// version returns that of the field of a name, and 0 if there is none. As for a store beneath, a value
// need not open to have one.
func (r Record) version(name string) uint64 {
	for _, fields := range [...]string{r.packed, r.clear} {
		for fields != "" {
			var f Field
			if f, fields = next(fields); f.Name == name {
				return f.Version
			}
		}
	}
	return 0
}

// valuesSize returns how many bytes the values have together whose names begin with prefix.
func valuesSize(fields, prefix string) int {
	n := 0
	for fields != "" {
		var f Field
		if f, fields = next(fields); strings.HasPrefix(f.Name, prefix) {
			n += len(f.Value)
		}
	}
	return n
}

// Len returns the number of fields. Sealed ones that would not open are counted.
func (r Record) Len() int { return count(r.packed) + count(r.clear) }

func count(fields string) int {
	n := 0
	for ; fields != ""; n++ {
		_, fields = next(fields)
	}
	return n
}

// Size returns the number of bytes that the record takes, as stored; what [Record.Apply] has set in
// one that is sealed counts as it is.
func (r Record) Size() int { return len(r.packed) + len(r.clear) }

// Apply returns what c makes of r, or [ErrConflict] if a condition does not hold. Deletions come
// first. It does not judge Mode and Tier, and does not validate: stores that lack conditions of
// their own use it, under a lock.
func (r Record) Apply(c Change) (Record, error) {
	for i := range c.If {
		if r.version(c.If[i].Name) != c.If[i].Version {
			return Record{}, ErrConflict
		}
	}
	if !c.Expires.IsZero() {
		r.Expires = c.Expires.UTC().Truncate(time.Millisecond)
	}
	if len(c.Set)+len(c.Delete) == 0 {
		return r, nil
	}
	if r.opener == nil {
		r.packed = merge(r.packed, &c)
		return r, nil
	}
	// Nobody has asked for the other values: they stay sealed.
	gone := Change{Delete: make([]string, 0, len(c.Set)+len(c.Delete))}
	for i := range cap(gone.Delete) {
		gone.Delete = append(gone.Delete, c.name(i))
	}
	r.packed, r.clear = merge(r.packed, &gone), merge(r.clear, &c)
	return r, nil
}

// layout is the first byte of what [Record.Pack] returns.
const layout = 1

// Pack returns r as one string, for stores that keep a record as one value. Values of a record
// that [Sealed] handed out are in the clear.
func (r Record) Pack() string {
	if r.opener != nil {
		r = r.opened()
	}
	b := make([]byte, 0, 16+len(r.packed))
	b = append(b, layout)
	b = packed.AppendTime(b, r.Expires)
	b = append(b, r.packed...)
	return string(b)
}

// Unpack reads what [Record.Pack] returned. Input of any other origin is an error.
func Unpack(s string) (Record, error) {
	if s == "" || s[0] != layout {
		return Record{}, fmt.Errorf("sessionstore: unpack: %w", packed.ErrShort)
	}
	p := packed.Read(s[1:])
	r := Record{Expires: p.Time()}
	r.packed = p.Rest()
	for p.More() {
		if p.String() == "" {
			return Record{}, fmt.Errorf("sessionstore: unpack: %w", packed.ErrShort)
		}
		p.Uint()
		_ = p.String()
	}
	if err := p.Err(); err != nil {
		return Record{}, fmt.Errorf("sessionstore: unpack: %w", err)
	}
	return r, nil
}

// Format writes "[redacted]", whatever the verb.
func (Record) Format(s fmt.State, _ rune) { redact(s) }

// LogValue returns "[redacted]".
func (Record) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Record) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// GobEncode returns "[redacted]".
func (Record) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// open returns f with its value opened, if this record's are sealed.
func (r Record) open(f Field) (Field, bool) {
	if r.opener == nil {
		return f, true
	}
	v, ok := r.opener.open(f)
	if !ok {
		return Field{}, false
	}
	f.Value = v
	return f, true
}

// opened returns r with every value opened; those that do not open are gone.
func (r Record) opened() Record {
	var fields []Field
	for f := range r.All() {
		fields = append(fields, f)
	}
	return NewRecord(r.Expires, fields...)
}

// next returns the first field of s, which is not empty, and what follows it.
func next(s string) (f Field, rest string) {
	n, s := uvarint(s)
	f.Name, s = s[:n], s[n:]
	f.Version, s = uvarint(s)
	n, s = uvarint(s)
	f.Value, s = s[:n], s[n:]
	return f, s
}

// uvarint reads a number from a string that is known to be well formed: we packed it ourselves,
// or Unpack has read it. Most numbers are lengths below 128.
func uvarint(s string) (uint64, string) {
	if c := s[0]; c < 0x80 {
		return uint64(c), s[1:]
	}
	var n uint64
	for i := 0; ; i++ {
		c := s[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, s[i+1:]
		}
	}
}

// fewEdits is how many names a change may have before a map finds them faster than a look at each.
const fewEdits = 16

// edits finds what a change does to a name.
type edits struct {
	c      *Change
	byName map[string]int // nil for a few
}

func editsOf(c *Change) edits {
	e := edits{c: c}
	n := len(c.Set) + len(c.Delete)
	if n <= fewEdits {
		return e
	}
	e.byName = make(map[string]int, n)
	for i := n - 1; i >= 0; i-- { // deletions first: what is set as well is set
		if j, ok := e.byName[c.name(i)]; !ok || j >= len(c.Set) {
			e.byName[c.name(i)] = i
		}
	}
	return e
}

// find returns the index of the field that replaces name, or whether name is deleted.
func (e edits) find(name string) (set int, deleted bool) {
	if e.byName != nil {
		i, ok := e.byName[name]
		if !ok {
			return -1, false
		}
		if i < len(e.c.Set) {
			return i, false
		}
		return -1, true
	}
	for i := len(e.c.Set) - 1; i >= 0; i-- {
		if e.c.Set[i].Name == name {
			return i, false
		}
	}
	for _, d := range e.c.Delete {
		if d == name {
			return -1, true
		}
	}
	return -1, false
}

// merge returns the fields of old as c leaves them, in one allocation for a small change.
func merge(old string, c *Change) string {
	var few [fewEdits]bool
	placed := few[:]
	if len(c.Set) > len(few) {
		placed = make([]bool, len(c.Set))
	}
	e := editsOf(c)
	var small [4096]byte // stays on the stack, with room for a session and its tokens
	b := small[:0]
	if size := mergedSize(old, c); size > len(small) {
		b = make([]byte, 0, size)
	}
	for rest := old; rest != ""; {
		f, after := next(rest)
		set, deleted := e.find(f.Name)
		switch {
		case set >= 0:
			b = appendField(b, &c.Set[set])
			placed[set] = true
		case !deleted:
			b = append(b, rest[:len(rest)-len(after)]...)
		}
		rest = after
	}
	for i := range c.Set {
		if set, _ := e.find(c.Set[i].Name); set == i && !placed[i] {
			b = appendField(b, &c.Set[i])
		}
	}
	return string(b)
}

// mergedSize returns what merge needs at most.
func mergedSize(old string, c *Change) int {
	n := len(old)
	for i := range c.Set {
		n += len(c.Set[i].Name) + len(c.Set[i].Value) + 3*binary.MaxVarintLen64
	}
	return n
}

func appendField(b []byte, f *Field) []byte {
	b = packed.AppendString(b, f.Name)
	b = packed.AppendUint(b, f.Version)
	return packed.AppendString(b, f.Value)
}
