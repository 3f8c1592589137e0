package sessionstore

import (
	"encoding/binary"
	"strings"
	"time"
)

// A Builder makes a [Record] of bytes, for those who write a [Store] and have no strings: it costs
// one allocation in all, where [NewRecord] needs two strings for each field. The zero Builder is
// empty and ready.
type Builder struct{ s strings.Builder }

// Grow makes room for fields whose names and values have this many bytes together.
func (b *Builder) Grow(fields, bytes int) {
	// Two lengths and a version, which take more than two bytes each only where they are large.
	b.s.Grow(bytes + 6*fields)
}

// Add adds a field. Each name may be added once.
func (b *Builder) Add(name []byte, version uint64, value []byte) {
	var few [64]byte // enough for most, so that a field is written at two strokes
	head := binary.AppendUvarint(few[:0], uint64(len(name)))
	head = append(head, name...)
	head = binary.AppendUvarint(head, version)
	head = binary.AppendUvarint(head, uint64(len(value)))
	b.s.Write(head)
	b.s.Write(value)
}

// Record returns the record of what was added. The Builder is empty afterwards, and may be used
// again.
func (b *Builder) Record(expires time.Time) Record {
	r := Record{packed: b.s.String(), Expires: expires.UTC().Truncate(time.Millisecond)}
	b.s.Reset()
	return r
}
