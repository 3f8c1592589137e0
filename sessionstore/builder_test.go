package sessionstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

func TestBuilder(t *testing.T) {
	end := time.Date(2030, 1, 2, 3, 4, 5, 6_789_000, time.FixedZone("", 3600))
	rows := []struct {
		name   string
		grow   int
		fields []sessionstore.Field
	}{
		{"none", 0, nil},
		{"one", 0, []sessionstore.Field{f("a", "1", 7)}},
		{"grown", 100, []sessionstore.Field{f("a", "", 0), f("b", "2", 1<<64-1)}},
		{"every length", 0, []sessionstore.Field{f(strings.Repeat("n", 128), strings.Repeat("v", 1<<20), 1<<63), f("\x00", "\xff", 1)}},
	}
	var b sessionstore.Builder
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			b.Grow(len(row.fields), row.grow)
			for _, field := range row.fields {
				b.Add([]byte(field.Name), field.Version, []byte(field.Value))
			}
			got, want := b.Record(end), sessionstore.NewRecord(end, row.fields...)
			if got.Pack() != want.Pack() || !got.Expires.Equal(want.Expires) {
				t.Errorf("got %d fields until %v, want %d until %v", got.Len(), got.Expires, want.Len(), want.Expires)
			}
		})
	}
}

// A record that was built stays as it is when the builder is used again.
func TestBuilderAgain(t *testing.T) {
	var b sessionstore.Builder
	var records []sessionstore.Record
	for i := range 3 {
		b.Add([]byte("a"), 0, []byte(fmt.Sprint(i)))
		records = append(records, b.Record(time.Now()))
	}
	for i, r := range records {
		if f, _ := r.Field("a"); f.Value != fmt.Sprint(i) || r.Len() != 1 {
			t.Errorf("record %d: got value %q of %d fields", i, f.Value, r.Len())
		}
	}
}
