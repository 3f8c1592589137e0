package packed

import (
	"strings"
	"time"
)

// A Builder writes what the Append functions append, for values that are kept as a string: where those
// need a copy at the end, which for a set of tokens is more than a kilobyte, it needs none. Make room
// with Grow first. The zero Builder is empty and ready.
type Builder struct{ strings.Builder }

// Byte writes c as it is.
func (b *Builder) Byte(c byte) { _ = b.WriteByte(c) }

// Uint writes n as [AppendUint] does.
func (b *Builder) Uint(n uint64) {
	var short [10]byte
	_, _ = b.Write(AppendUint(short[:0], n))
}

// Text writes s as [AppendString] does.
func (b *Builder) Text(s string) {
	b.Uint(uint64(len(s)))
	_, _ = b.WriteString(s)
}

// Texts writes ss as [AppendStrings] does.
func (b *Builder) Texts(ss []string) {
	b.Uint(uint64(len(ss)))
	for _, s := range ss {
		b.Text(s)
	}
}

// Time writes t as [AppendTime] does.
func (b *Builder) Time(t time.Time) {
	var short [10]byte
	_, _ = b.Write(AppendTime(short[:0], t))
}

// Bool writes v as [AppendBool] does.
func (b *Builder) Bool(v bool) {
	if v {
		b.Byte(1)
		return
	}
	b.Byte(0)
}
