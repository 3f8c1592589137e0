package packed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/internal/packed"
)

// A Builder and the Append functions write the same bytes: what one has stored, the other's reader reads.
func TestBuilder(t *testing.T) {
	long := strings.Repeat("x", 300) // a length of two bytes
	rows := []struct {
		name string
		b    func(*packed.Builder)
		want []byte
	}{
		{"nothing", func(*packed.Builder) {}, nil},
		{"byte", func(b *packed.Builder) { b.Byte(7) }, []byte{7}},
		{"small number", func(b *packed.Builder) { b.Uint(3) }, packed.AppendUint(nil, 3)},
		{"largest number", func(b *packed.Builder) { b.Uint(1<<64 - 1) }, packed.AppendUint(nil, 1<<64-1)},
		{"empty string", func(b *packed.Builder) { b.Text("") }, packed.AppendString(nil, "")},
		{"long string", func(b *packed.Builder) { b.Text(long) }, packed.AppendString(nil, long)},
		{"no strings", func(b *packed.Builder) { b.Texts(nil) }, packed.AppendStrings(nil, nil)},
		{"strings", func(b *packed.Builder) { b.Texts([]string{"a", long}) }, packed.AppendStrings(nil, []string{"a", long})},
		{"zero time", func(b *packed.Builder) { b.Time(time.Time{}) }, packed.AppendTime(nil, time.Time{})},
		{"time", func(b *packed.Builder) { b.Time(time.UnixMilli(1e12)) }, packed.AppendTime(nil, time.UnixMilli(1e12))},
		{"truth", func(b *packed.Builder) { b.Bool(true); b.Bool(false) }, packed.AppendBool(packed.AppendBool(nil, true), false)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var b packed.Builder
			row.b(&b)
			if got := b.String(); got != string(row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
